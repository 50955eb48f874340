// SPDX-License-Identifier: Apache-2.0
// The member portal: choose a payer, sign in there, watch the exchange, see what arrived; or ask for a payer that is not listed.
import { call, fhir, getSession, pause, Problem, record } from './calls.js';
import { addPayerTask, bySender, byKind } from './record.js';
import { beginSignIn, comingBack, redeem } from './sign_in.js';

const WATCHED = 'exchange';  // { pid, job } in sessionStorage, so that a reload goes on watching
const ENDED = ['COMPLETED', 'FAILED', 'STOPPED', 'ABANDONED', 'UNKNOWN'];
const SIGN_IN_AGAIN = ['token-refused', 'token-of-another-patient', 'grant-ended', 'source-refuses', 'no-patient'];
let member = { first: '', last: '', email: '', phone: '' };

// An element; what others wrote becomes text, never markup.
function h(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
        if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
        else if (value !== false) element.setAttribute(name, value === true ? '' : value);
    }
    element.append(...children);
    return element;
}

const button = (text, onclick, attributes = {}) => h('button', { type: 'button', onclick: (event) => attempt(() => onclick(event)), ...attributes }, text);
const tell = (text) => { document.getElementById('news').textContent = text; };

function show(title, ...children) {
    const heading = h('h1', { tabindex: '-1' }, title);
    document.getElementById('view').replaceChildren(heading, ...children);
    document.title = `${title} – Member portal`;
    tell('');
    heading.focus();
}

// A browser asks a person about an unknown certificate on pages alone, never on calls; sandboxes have such certificates.
function certificateHint({ code, origin = '' }) {
    if (code !== 'no-answer' || !origin.startsWith('https:') || origin === location.origin) return [];
    const link = h('a', { href: `${origin}/`, target: '_blank', rel: 'noopener noreferrer' }, `Open ${origin} once`);
    return [h('p', {}, 'Perhaps your browser does not trust its certificate. ', link, ', accept it there, and come back.')];
}

// Whatever a person began ends in words, never in silence.
async function attempt(work) {
    try {
        await work();
    } catch (problem) {
        if (!(problem instanceof Problem)) console.error(problem);
        show('That did not work', h('p', { class: 'bad', role: 'alert' }, problem.message), ...certificateHint(problem), button('Back to the payers', home, { class: 'primary' }));
    }
}

async function home() {
    sessionStorage.removeItem(WATCHED);
    const { body } = await call('GET', '/api/oidc_servers');
    const payers = body.servers.map((server) => h('li', {}, button(server.name, () => signIn(server.pid))));
    show('Where were you insured before?',
        h('p', {}, 'Choose your former health plan. You sign in there and say yes, and we bring your record over.'),
        payers.length ? h('ul', { class: 'payers' }, ...payers) : h('p', {}, 'No health plan is listed yet.'),
        h('h2', {}, 'Is it not in the list?'), h('p', {}, 'Tell us, and we look into it.'), button('Ask for another health plan', askForPayer),
        h('h2', {}, 'What we have of you'), button('Show my record', () => showRecord('Your record')));
}

const definition = async (pid) => (await call('GET', `/api/oidc_servers/${pid}`)).body;

async function signIn(pid, restart) {
    const server = await definition(pid);
    show(`To ${server.name}`, h('p', {}, 'We take you to its own sign-in page. Your password there is not ours to see.'));
    await beginSignIn(server, restart);
}

// Back from the payer: its tokens go to mod_p2p, which keeps them working until the exchange has ended.
async function cameBack(back) {
    show('One moment', h('p', {}, 'You are back. We ask for your record.'));
    const server = await definition(back.pid);
    const { patient, organization } = await getSession();
    const sourcePayer = await redeem(server, back);
    const jobs = `/api/oidc_servers/${back.pid}/batch_job`;
    try {
        const answer = back.restart
            ? await call('POST', `${jobs}/${back.restart}/restart`, { body: { sourcePayer } })
            : await call('POST', jobs, { body: { sourcePayer, targetPayer: { patientId: patient, organizationId: organization } }, headers: { 'Idempotency-Key': back.key } });
        await watch(server.pid, answer.body.batchJobId);
    } catch (problem) {
        const running = problem.code === 'already-running' && problem.location?.match(/oidc_servers\/(\d+)\/batch_job\/(\d+)$/);
        if (!running) throw problem;
        await watch(Number(running[1]), Number(running[2]));
    }
}

// Looks again until the exchange has ended; an answer of 304 tells that nothing changed, and costs next to nothing.
async function watch(pid, id) {
    sessionStorage.setItem(WATCHED, JSON.stringify({ pid, job: id }));
    const path = `/api/oidc_servers/${pid}/batch_job/${id}`;
    const server = await definition(pid);
    const bar = h('progress', { 'aria-label': 'Progress of the exchange' });
    const numbers = h('p', { id: 'numbers' }, wordsOf({}));
    show(`Your record is on its way from ${server.name}`, bar, numbers,
        h('p', { class: 'soft' }, 'You may close this page: it goes on without you, and we write to you when it is done.'),
        button('Stop', () => call('DELETE', path)));
    let job = {};
    let etag;
    while (!ENDED.includes(job.batchStatus)) {
        const answer = await call('GET', path, { headers: etag ? { 'If-None-Match': etag } : {} }).catch((problem) => {
            if (problem.code !== 'no-answer') throw problem;
            tell('We cannot reach the exchange service just now. We try again.');
            return { status: 304, wait: 3 };
        });
        if (answer.status !== 304) {
            ({ body: job, etag } = answer);
            numbers.textContent = wordsOf(job);
            tell(job.batchStatus === 'STARTING' ? 'Your request waits for its turn.' : 'We are fetching your record.');
        }
        if (!ENDED.includes(job.batchStatus)) await pause(answer.wait ? Math.min(answer.wait, 3) : 1);
    }
    sessionStorage.removeItem(WATCHED);
    if (job.batchStatus === 'COMPLETED') await showRecord(`Your record from ${server.name} has arrived`, job);
    else showFailure(server, job);
}

function wordsOf({ progress = {} }) {
    if (!progress.retrieved) return 'Asking for your record …';
    return `${progress.retrieved} entries came, ${progress.written} of them are in your record here.`;
}

// In words, with what to do. A restart is the same job: what has landed stays.
function showFailure(server, job) {
    const stopped = job.batchStatus === 'STOPPED';
    const path = `/api/oidc_servers/${server.pid}/batch_job/${job.batchJobId}`;
    const again = SIGN_IN_AGAIN.includes(job.error?.code);
    const goOn = async () => {
        await call('POST', `${path}/restart`);
        await watch(server.pid, job.batchJobId);
    };
    show(stopped ? 'The exchange was stopped' : 'Your record did not come through',
        h('p', { class: stopped ? '' : 'bad', role: 'alert' }, stopped ? 'What had arrived until then is in your record.' : job.error?.message ?? 'We do not know why.'),
        h('p', {}, again ? `${server.name} does not take your sign-in any longer. Sign in there again, and we go on where it ended.`
            : 'You can try again: we go on where it ended.'),
        again ? '' : button('Try again', goOn, { class: 'primary' }),
        button(`Sign in at ${server.name} again`, () => signIn(server.pid, job.batchJobId), again ? { class: 'primary' } : {}),
        button('Back to the payers', home));
}

async function showRecord(title, job) {
    const resources = await record();
    const groups = byKind(resources).map(({ kind, entries }) => h('details', {}, h('summary', {}, `${kind} (${entries.length})`),
        h('ul', {}, ...entries.slice(0, 20).map(({ title: name, date }) => h('li', {}, date ? `${date} ${name}` : name))),
        entries.length > 20 ? h('p', { class: 'soft' }, `and ${entries.length - 20} more`) : ''));
    const senders = bySender(resources).map(({ from, count, received }) => h('li', {}, `${from}: ${count} entries, received ${new Date(received).toLocaleString()}`));
    show(title, job ? h('p', { class: 'good' }, wordsOf(job)) : '',
        ...(groups.length ? groups : [h('p', {}, 'There is nothing yet.')]),
        h('h2', {}, 'Where it came from'), senders.length ? h('ul', {}, ...senders) : h('p', {}, 'All of it is ours.'),
        button('Back to the payers', home, { class: 'primary' }));
    if (job) tell('Your record has arrived.');
}

const field = (name, label, attributes) => [h('label', { for: name }, label), h('input', { id: name, name, ...attributes })];

function askForPayer() {
    const send = async (event) => {
        const { patient, organization } = await getSession();
        const values = Object.fromEntries(new FormData(event.target));
        const task = await fhir('Task', { method: 'POST', body: addPayerTask({ ...member, ...values, patient, organization }) });
        show('We have your request', h('p', { class: 'good' }, `We look for “${values.payer}” and write to ${values.email}.`),
            h('p', { class: 'soft' }, `Your request has the number ${task.id} and is ${task.status}.`), button('Back to the payers', home, { class: 'primary' }));
    };
    show('Ask for another health plan', h('form', { onsubmit: (event) => { event.preventDefault(); attempt(() => send(event)); } },
        ...field('payer', 'Name of the health plan', { required: true, maxlength: '200', autocomplete: 'off' }),
        ...field('email', 'Your email address', { type: 'email', required: true, value: member.email, autocomplete: 'email' }),
        ...field('phone', 'Your phone number (if we may call)', { type: 'tel', value: member.phone, autocomplete: 'tel' }),
        h('p', {}, h('button', { class: 'primary' }, 'Send'), button('Back', home))));
}

async function greet() {
    const { patient } = await getSession();
    const found = await fhir(`Patient/${patient}`);
    const name = found.name?.[0] ?? {};
    const contact = (system) => found.telecom?.find((one) => one.system === system)?.value ?? '';
    member = { first: name.given?.join(' ') ?? '', last: name.family ?? '', email: contact('email'), phone: contact('phone') };
    document.getElementById('greeting').textContent = `Hello ${member.first || 'member'}`;
}

attempt(async () => {
    const back = comingBack();
    const watched = JSON.parse(sessionStorage.getItem(WATCHED) ?? 'null');
    await greet();
    if (back) await cameBack(back);
    else if (watched) await watch(watched.pid, watched.job);
    else await home();
});
