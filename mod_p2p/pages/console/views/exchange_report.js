// SPDX-License-Identifier: Apache-2.0
// The report of an exchange: what did not go in and why, its parts and requests, a page at a time; and all parts, as far as they were read, for the picture.
import { call } from '../api.js';
import { h, replace } from '../dom.js';
import { badge, bytes, count, dash, span, time } from '../format.js';
import { problemBox } from '../notice.js';
import { plainTable } from '../table.js';
import { reduced } from './exchange_picture.js';

const EVERY = 5000;   // milliseconds between looks at it while the exchange runs, and
const AT_ONCE = 10;   // pages each time
const MOST = 100;     // pages in all: what is beyond is not drawn
const FULL = 100;     // parts of a page that is full

const KINDS = {
    pages: 'what was ordered', read: 'a resource that others refer to', 'dead-letters': 'refused before, tried again', again: 'a page, once more for references left open',
    'again-all': 'all pages, once more for references left open',
};
const OUTCOMES = { rejected: 'bad', skipped: 'warn', missing: 'warn', retrying: 'live', note: '' };

function table(caption, columns, rows) {
    const element = plainTable({ caption, columns, rows });
    for (const [name, value] of [['tabindex', '0'], ['role', 'region'], ['aria-label', caption]]) element.setAttribute(name, value);
    return element;
}

const partName = (row) => `${row.request} / ${row.part}`;
const number = (title, member) => ({ title, class: 'number', cell: (part) => count(part[member]) });

const RESOURCES = [
    { title: 'Outcome', cell: (row) => badge(row.outcome, OUTCOMES[row.outcome]) },
    { title: 'Resource', cell: (row) => (row.type ? h('span', { class: 'mono' }, row.id ? `${row.type}/${row.id}` : row.type) : dash()) },
    { title: 'Why', class: 'why', cell: (row) => [row.reason, ' ', h('code', { class: 'muted' }, row.code), row.detail ? h('pre', row.detail) : null] },
    { title: 'Request / part', cell: partName },
];
const PARTS = [
    { title: 'Request / part', cell: (part) => h('span', { title: part.url }, partName(part)) },
    { title: 'State', cell: (part) => (part.landed ? badge('landed', 'good') : badge('under way', 'live')) },
    { title: 'Received', cell: (part) => time(part.receivedTime) },
    { title: 'Landed after', class: 'number', cell: (part) => (part.landed && part.receivedTime ? span(Date.parse(part.landedTime) - Date.parse(part.receivedTime)) : dash()) },
    number('Retrieved', 'retrieved'), number('Written', 'written'), number('Duplicate', 'duplicate'), number('Skipped', 'skipped'), number('Rejected', 'rejected'),
    { title: 'Size', class: 'number', cell: (part) => bytes(part.bytes) },
];
const REQUESTS = [
    { title: 'Request', cell: (request) => request.request },
    { title: 'What', cell: (request) => KINDS[request.kind] ?? request.kind },
    { title: 'URL', class: 'why', cell: (request) => (request.url ? h('span', { class: 'mono' }, request.url) : dash()) },
];
const LISTS = [
    ['resources', 'Not written', RESOURCES, (job) => (job.endTime ? 'All that was retrieved was written.' : 'Nothing was refused or skipped so far.')],
    ['parts', 'Parts', PARTS, () => 'No part has come yet.'],
    ['requests', 'Requests', REQUESTS, () => 'There are no requests.'],
];

/**
 * The report of job id: { element, look(job) }. look is called with each new state of the job; onRead(pages, body) after each round: all parts that are known,
 * what of them is not read, and the first page.
 */
export function report(id, signal, onRead) {
    const first = `/admin/batch_jobs/${id}/report`;
    const pages = [];          // { path, etag, next, parts, whole, body of the first and the shown one }
    let [shown, chosen, job, busy, timer, last, at] = [0, 'resources', null, false, null, 0, 0];
    let drawn = '';
    const place = h('div', { class: 'report-page' });
    const choices = h('ul', { class: 'tabs', 'aria-label': 'Lists of the report' }, LISTS.map(([name, words]) => h('li', h('button', { type: 'button', id: `report-${name}`, 'aria-pressed': String(name === chosen), onclick: () => choose(name) }, words))));
    const before = h('button', { type: 'button', onclick: () => turn(-1) }, 'Previous');
    const behind = h('button', { type: 'button', onclick: () => turn(1) }, 'Next');
    const pager = h('nav', { class: 'actions pages', 'aria-label': 'Pages of the report', hidden: true }, before, behind);

    function choose(name) {
        chosen = name;
        for (const button of choices.querySelectorAll('button')) button.setAttribute('aria-pressed', String(button.id === `report-${name}`));
        draw();
    }

    function draw() {
        const { body } = pages[shown] ?? {};
        if (!body) return;
        const [name, words, columns, none] = LISTS.find((one) => one[0] === chosen);
        const json = JSON.stringify([name, shown, body[name], job.endTime]);
        before.disabled = !shown;
        behind.disabled = !body.next;
        pager.hidden = !shown && !body.next;
        if (json === drawn) return;
        drawn = json;
        const instead = shown ? 'There are no more of these: see the pages before.' : none(job);
        replace(place, body[name].length ? table(words, columns, body[name]) : h('div', { class: 'empty' }, h('p', instead)));
    }

    async function turn(step) {
        const to = shown + step;
        try {
            await load(to, to ? pages[to - 1].next : first, true);
            if (shown) delete pages[shown].body;
            shown = to;
            draw();
            if (document.activeElement?.disabled || document.activeElement === document.body) (before.disabled ? behind : before).focus();
        } catch (problem) {
            failed(problem);
        }
    }

    async function load(i, path, keep) {
        const old = pages[i]?.path === path ? pages[i] : null;
        const answer = await call('GET', path, { ifNoneMatch: old && (!keep || old.body) ? old.etag : null, signal });
        if (answer.status === 304) return old;
        const { body } = answer;
        const parts = body.parts.map(reduced);
        pages[i] = { path, etag: answer.etag, next: body.next, parts, whole: parts.length === FULL && parts.every((part) => part.landed), body: keep ? body : undefined };
        if (!body.next) pages.length = i + 1;
        return pages[i];
    }

    // From where pages may have changed to the end, some at once. What has ended is read from its beginning: parts may have come in between.
    async function walk() {
        await load(0, first, true);
        if (shown) await load(shown, pages[shown - 1].next, true);
        at = Math.max(1, job.endTime ? at : pages.findIndex((page) => !page.whole));
        for (let n = 1; n < AT_ONCE && at < MOST && pages[at - 1]?.next; n += 1, at += 1) await load(at, pages[at - 1].next, at === shown);
        return at < MOST && Boolean(pages[at - 1]?.next);
    }

    async function round() {
        busy = true;
        timer = null;
        last = Date.now();
        const seen = job;
        try {
            const more = await walk();
            draw();
            onRead(pages.flatMap((page) => page.parts), more ? 'More parts are being read.' : pages[MOST - 1]?.next ? `The first ${count(MOST * FULL)} parts are drawn.` : '', pages[0].body);
            busy = false;
            if (more || seen !== job) plan(more ? 1000 : EVERY);
        } catch (problem) {
            busy = false;
            failed(problem);
        }
    }

    function failed(problem) {
        if (problem.name === 'AbortError' || signal.aborted) return;
        if (problem.name !== 'Problem') throw problem;
        if (problem.code === 'bad-page') {
            [pages.length, shown, at] = [0, 0, 0];
            plan(EVERY);
        } else if (!pages.length) replace(place, problemBox(problem, () => plan(0)));
        else plan(2 * EVERY);
    }

    function plan(wait) {
        if (busy || timer || signal.aborted) return;
        timer = setTimeout(() => (document.hidden ? (timer = null) : round()), Math.max(0, wait));
    }

    signal.addEventListener('abort', () => clearTimeout(timer));
    document.addEventListener('visibilitychange', () => { if (job && !document.hidden) plan(0); }, { signal });
    return {
        element: h('section', { class: 'card' }, h('h2', 'Report'), choices, place, pager),
        look(now) {
            if (job && job.attempt !== now.attempt) [pages.length, shown, at, last] = [0, 0, 0, 0];
            if (now.endTime && !job?.endTime) [at, last] = [0, 0];
            job = now;
            plan(last + EVERY - Date.now());
        },
    };
}
