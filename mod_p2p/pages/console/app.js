// SPDX-License-Identifier: Apache-2.0
// The console: which view the address names, its title and focus, and what happens when it fails.
import { h, replace } from './dom.js';
import { settled } from './live.js';
import { ask, problemBox, say } from './notice.js';
import * as signIn from './sign_in.js';

const PRODUCT = 'P2P exchange';
const SLOW = 300;  // milliseconds until a view is shown that has not got its first answer
// What an address may be: the module of its view, and the name of its part of the console.
const ROUTES = [
    [/^$/, 'overview', 'overview'],
    [/^payers$/, 'payers', 'payers'],
    [/^payers\/(new|[0-9]+)$/, 'payer', 'payers'],
    [/^exchanges$/, 'exchanges', 'exchanges'],
    [/^exchanges\/([0-9]+)$/, 'exchange', 'exchanges'],
    [/^mail(?:\/([0-9]+))?$/, 'mail', 'mail'],
    [/^audit$/, 'audit', 'audit'],
];

const main = document.getElementById('main');
let current = { hash: null, where: null, controller: new AbortController() };

function parse(hash) {
    const [path, query = ''] = hash.replace(/^#?\/?/, '').split(/\?(.*)/s);
    const trimmed = path.replace(/\/$/, '');
    for (const [pattern, view, part] of ROUTES) {
        const match = pattern.exec(trimmed);
        if (match) return { view, part, id: match[1] ?? null, query: Object.fromEntries(new URLSearchParams(query)), where: `${view}/${match[1] ?? ''}` };
    }
    return null;
}

/** Goes to a view: '#/payers/3', without asking about what was typed. With { replace: true } the address alone changes: the view shows that already. */
function go(hash, { replace: quiet = false } = {}) {
    edited()?.removeAttribute('data-edited');
    if (quiet) {
        history.replaceState(null, '', hash);
        current.hash = location.hash;
    } else if (location.hash === hash) {
        show();
    } else {
        location.hash = hash;
    }
}

function mark(part) {
    for (const link of document.querySelectorAll('#parts a')) {
        if (link.dataset.part === part) link.setAttribute('aria-current', 'page');
        else link.removeAttribute('aria-current');
    }
}

// The view's heading gets the focus, so that a screen reader says where one is; not on the first page, and not where a filter of the same view changed.
function focus({ first, same, id }) {
    const heading = main.querySelector('h1');
    document.title = `${heading?.textContent ?? 'Console'} · ${PRODUCT}`;
    const kept = same && id ? document.getElementById(id) : null;
    if (kept) kept.focus();
    else if (heading && !first) {
        heading.tabIndex = -1;
        heading.focus({ preventScroll: true });
    }
    if (!same) window.scrollTo(0, 0);
}

const load = (route) => import(`./views/${route.view}.js`);

async function draw(route, place, signal) {
    if (signIn.needed()) return signInPage(place);
    if (!route) return notFound(place);
    const view = await load(route);
    document.title = `${view.title} · ${PRODUCT}`;
    return view.default(place, { id: route.id, query: route.query, signal, go });
}

/** Shows what the address names. The view before stays until the new one has something to show, or has taken its time. */
async function show() {
    const hash = location.hash;
    const route = parse(hash);
    const controller = new AbortController();
    const came = { first: current.where === null, same: route !== null && route.where === current.where, id: document.activeElement?.id };
    const place = h('div', { class: `view ${route?.view ?? ''}` });
    current.controller.abort();
    current = { ...current, hash, controller };
    mark(route?.part);
    const drawn = draw(route, place, controller.signal).catch((problem) => failed(problem, place, controller));
    await Promise.race([drawn.then(() => settled(controller.signal)), new Promise((resolve) => { setTimeout(resolve, SLOW); })]);
    if (controller.signal.aborted) return;
    const late = !place.hasChildNodes();
    replace(main, place);
    focus(came);
    current.where = route?.where ?? '';
    if (!late) return;
    await drawn;
    if (!controller.signal.aborted) focus(came);
}

function failed(problem, place, controller) {
    if (controller.signal.aborted || problem.name === 'AbortError') return;
    if (problem.name !== 'Problem' && !(problem instanceof signIn.SignInProblem)) console.error(problem);
    const told = problem.name === 'Problem' || problem instanceof signIn.SignInProblem ? problem : { message: 'This part of the console could not be shown.', code: String(problem.message) };
    replace(place, h('h1', told.status === 404 ? 'Not there' : 'That did not work'), problemBox(told, show));
}

function notFound(place) {
    replace(place, h('h1', 'Not there'), h('div', { class: 'empty' }, h('p', 'The console has no such page.'), h('p', h('a', { href: '#/' }, 'Go to the overview'))));
}

// ---- Signing in ----

let signInTrouble = null;

function signInPage(place) {
    const host = URL.canParse(signIn.issuer()) ? new URL(signIn.issuer()).host : signIn.issuer();
    const enter = async () => {
        try {
            await signIn.leave();
        } catch (problem) {
            signInTrouble = problem;
            show();
        }
    };
    replace(place, h('div', { class: 'card enter' }, h('h1', 'Sign in'), signInTrouble ? problemBox(signInTrouble) : null,
        h('p', 'The console is for administrators of this payer’s exchanges.'),
        h('button', { type: 'button', class: 'primary', id: 'sign-in', onclick: enter }, `Sign in at ${host}`)));
    signInTrouble = null;
}

function showWho() {
    const leave = () => {
        signIn.signOut();
        showWho();
        show();
    };
    replace(document.getElementById('who'), signIn.signedIn() ? [signIn.name() ? h('span', { class: 'muted' }, signIn.name()) : null,
        h('button', { type: 'button', class: 'quiet', onclick: leave }, 'Sign out')] : null);
}

// What was typed is not thrown away because a token ended: the person says when to go.
signIn.onEnd(async () => {
    if (!document.querySelector('form[data-edited]')) return signIn.leave();
    const go = await ask({ title: 'Your sign-in has ended', text: 'To go on you have to sign in again. What you typed here and did not save will be lost.', action: 'Sign in again' });
    return go ? signIn.leave() : undefined;
});

signIn.onFound((trouble) => {
    signInTrouble = trouble;
    showWho();
    show();
});

// ---- Forms that were edited ----

const edited = () => document.querySelector('form[data-edited]');
main.addEventListener('input', (event) => event.target.closest('form.fields')?.setAttribute('data-edited', ''));
window.addEventListener('beforeunload', (event) => { if (edited()) event.preventDefault(); });

async function addressChanged() {
    if (location.hash === current.hash) return;
    if (edited()) {
        const wanted = location.hash;
        history.replaceState(null, '', current.hash || '#/');
        if (await ask({ title: 'Leave without saving?', text: 'What you typed here has not been saved.', action: 'Leave', danger: true })) go(wanted);
        return;
    }
    show();
}

window.addEventListener('hashchange', addressChanged);
window.addEventListener('popstate', addressChanged);
window.addEventListener('unhandledrejection', (event) => { if (event.reason?.name !== 'AbortError') say('Something in this page went wrong. Reload it if it does not go on.', 'bad'); });
document.getElementById('skip').addEventListener('click', (event) => {
    event.preventDefault();
    const heading = main.querySelector('h1') ?? main;
    heading.tabIndex = -1;
    heading.focus();
});

async function start() {
    const route = parse(location.hash);
    if (route) load(route).catch(() => undefined);
    try {
        await signIn.begin();
    } catch (problem) {
        if (signIn.needed()) signInTrouble = problem;
        else {
            failed(problem instanceof signIn.SignInProblem ? problem : { name: 'Problem', message: 'The server does not answer.', code: 'no-answer' }, main, current.controller);
            main.querySelector('button').addEventListener('click', start, { once: true });
            return;
        }
    }
    showWho();
    await show();
}

start();
