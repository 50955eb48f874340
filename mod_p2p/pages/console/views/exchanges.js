// SPDX-License-Identifier: Apache-2.0
// Exchanges: those of a state and of a source payer, newest first, kept up to date; other kinds of jobs where one asks for them.
// Exports what the page of one exchange says in the same way: payers, kinds, what is waited for, how long it takes.
import { call } from '../api.js';
import { h, replace } from '../dom.js';
import { ago, count, dash, jobStatus, span } from '../format.js';
import { pagedTable } from '../table.js';

export const title = 'Exchanges';

/** The kinds of jobs, in words. */
export const KINDS = {
    'p2p-exchange': 'Exchanges', 'definition-test': 'Tests of payers', 'jwks-refresh': 'Key sets', subscription: 'Subscription', 'task-look': 'Tasks read',
    mail: 'Mail sent',
};

// ---- Payers ----

const payers = new Map();  // pid: { name, archived }, or a promise of that
let list = null;

/** The first page of payers: { servers, more }; their names are known from then on. */
export async function firstPayers(signal) {
    if (list) return list;
    const { body } = await call('GET', '/admin/oidc_servers?archived=true', { signal });
    for (const server of body.servers) payers.set(server.pid, server);
    list = { servers: body.servers, more: body.next !== null };
    setTimeout(() => { list = null; }, 60000);
    return list;
}

/** Payers with these words in their names, a page at most. */
async function findPayers(words, signal) {
    const { body } = await call('GET', `/admin/oidc_servers?archived=true&name=${encodeURIComponent(words)}`, { signal });
    for (const server of body.servers) payers.set(server.pid, server);
    return body.servers;
}

/** A payer by its number, as far as it can be had. */
async function payerOf(pid) {
    if (!payers.has(pid)) payers.set(pid, call('GET', `/admin/oidc_servers/${pid}`).then((answer) => answer.body, () => ({ pid, name: `Payer ${pid}` })));
    return payers.get(pid);
}

/** A link to a payer, with its name as soon as that is known. */
export function payerLink(pid) {
    if (!pid) return h('span', { class: 'muted' }, 'none');
    const known = payers.get(pid);
    const link = h('a', { href: `#/payers/${pid}` }, known?.name ?? `Payer ${pid}`);
    if (!known?.name) payerOf(pid).then((payer) => { link.textContent = payer.name; });
    return link;
}

// ---- Time that goes on ----

function running(node) {
    const from = Date.parse(node.dataset.since);
    return span(Math.max(0, Math.floor((Date.now() - from) / 1000) * 1000));
}

function left(node) {
    const away = Math.ceil((Date.parse(node.dataset.until) - Date.now()) / 1000);
    return away > 0 ? `Next try in ${away < 60 ? `${away} s` : span(away * 1000)}.` : 'Tried again any moment.';
}

/** How long a job took, or has taken until now; since it was begun, not while it was queued. */
export function duration(job) {
    if (!job.startTime) return h('span', { class: 'muted none' }, '–');
    if (job.endTime) return span(Date.parse(job.endTime) - Date.parse(job.startTime));
    const node = h('span', { 'data-since': job.startTime });
    node.textContent = running(node);
    return node;
}

/** Keeps what duration and waitWords show right, each second, until signal aborts. */
export function keepTime(signal) {
    const timer = setInterval(() => {
        if (document.hidden) return;
        for (const [what, words] of [['since', running], ['until', left]]) {
            for (const node of document.querySelectorAll(`span[data-${what}]`)) {
                const text = words(node);
                if (node.textContent !== text) node.textContent = text;
            }
        }
    }, 1000);
    signal.addEventListener('abort', () => clearInterval(timer));
}

/** What a job waits for, in words, with a countdown where it is known until when. */
export function waitWords(waits) {
    if (!waits.until) return waits.sentence;
    const node = h('span', { 'data-until': waits.until, role: 'timer' });
    node.textContent = left(node);
    return [`${waits.sentence} `, node];
}

// ---- The list ----

const TABS = [
    ['', 'all'], ['STARTING', 'queued'], ['STARTED', 'running'], ['COMPLETED', 'completed'], ['FAILED', 'failed'], ['STOPPING', 'stopping'], ['STOPPED', 'stopped'],
];
const NONE = {
    '': 'No exchange yet.', STARTING: 'Nothing is queued.', STARTED: 'Nothing is running.', STOPPING: 'Nothing is being stopped.', STOPPED: 'None was stopped.',
    COMPLETED: 'None has completed.', FAILED: 'None has failed.',
};

function hashOf({ status, server, kind }) {
    const query = new URLSearchParams();
    if (status) query.set('status', status);
    if (server) query.set('server', server);
    if (kind && kind !== 'p2p-exchange') query.set('kind', kind);
    return query.size ? `#/exchanges?${query}` : '#/exchanges';
}

function pathOf({ status, server, kind }) {
    const query = new URLSearchParams({ kind });
    if (status) query.set('status', status);
    if (server) query.set('server', server);
    return `/admin/batch_jobs?${query}`;
}

function far({ progress, waits, batchStatus, error }) {
    const numbers = progress.retrieved || batchStatus === 'COMPLETED' ? `${count(progress.written)} of ${count(progress.retrieved)} written` : null;
    return [numbers, progress.rejected ? [numbers ? ', ' : null, h('span', { class: 'bad' }, `${count(progress.rejected)} rejected`)] : null,
        error ? h('div', { class: 'small' }, error.message) : null,
        waits && waits.code !== 'queued' ? h('div', { class: 'small warn' }, waitWords(waits)) : null,
        numbers || error || (waits && waits.code !== 'queued') ? null : dash()];
}

const COLUMNS = [
    { title: 'Exchange', cell: (job) => [h('a', { href: `#/exchanges/${job.batchJobId}`, 'aria-label': `Exchange ${job.batchJobId}` }, job.batchJobId),
        job.kind === 'p2p-exchange' ? null : h('span', { class: 'muted small' }, ` ${job.kind}`)] },
    { title: 'State', cell: (job) => jobStatus(job.batchStatus) },
    { title: 'From', cell: (job) => payerLink(job.oidcServerId) },
    { title: 'Ordered by', cell: (job) => job.client || dash() },
    { title: 'How far', class: 'far', cell: far },
    { title: 'Ordered', cell: (job) => ago(job.createTime) },
    { title: 'Took', class: 'number', cell: duration },
];

// ---- The filter ----

function tabs(filter) {
    const tab = ([status, words]) => h('li', h('a', { id: `status-${status || 'all'}`, href: hashOf({ ...filter, status }), 'aria-current': filter.status === status ? 'true' : null }, words));
    return h('ul', { class: 'tabs', 'aria-label': 'State' }, TABS.map(tab));
}

function payerOptions(servers, chosen) {
    const option = (server) => h('option', { value: String(server.pid), selected: server.pid === chosen?.pid }, server.archived ? `${server.name} (archived)` : server.name);
    const all = chosen && !servers.some((server) => server.pid === chosen.pid) ? [chosen, ...servers] : servers;
    return [h('option', { value: '', selected: !chosen }, 'any payer'), all.map(option)];
}

// Where there are more payers than a page holds they are found by name.
function payerSearch(select, chosen, signal) {
    let asked = null;
    const words = h('input', { type: 'search', id: 'exchanges-find', autocomplete: 'off', placeholder: 'part of its name', oninput: () => {
        clearTimeout(asked);
        asked = setTimeout(async () => replace(select, payerOptions(words.value.trim() ? await findPayers(words.value.trim(), signal) : (await firstPayers(signal)).servers, chosen)), 300);
    } });
    signal.addEventListener('abort', () => clearTimeout(asked));
    return h('div', { class: 'field' }, h('label', { for: 'exchanges-find' }, 'Find a payer'), words);
}

async function filterForm(filter, go, signal) {
    const first = await firstPayers(signal);
    const chosen = filter.server ? await payerOf(Number(filter.server)) : null;
    const select = h('select', { id: 'exchanges-payer', onchange: () => go(hashOf({ ...filter, server: select.value })) }, payerOptions(first.servers, chosen));
    const kind = h('select', { id: 'exchanges-kind', onchange: () => go(hashOf({ ...filter, kind: kind.value })) },
        Object.entries(KINDS).map(([name, words]) => h('option', { value: name, selected: name === filter.kind }, words)));
    return h('form', { class: 'filter', role: 'search', onsubmit: (event) => event.preventDefault() },
        first.more ? payerSearch(select, chosen, signal) : null,
        h('div', { class: 'field' }, h('label', { for: 'exchanges-payer' }, 'Payer'), select),
        h('div', { class: 'field' }, h('label', { for: 'exchanges-kind' }, 'Show'), kind));
}

function nothing(filter) {
    if (filter.kind !== 'p2p-exchange') return [h('p', 'There are none of this kind.'), h('p', h('a', { href: '#/exchanges' }, 'Show exchanges'))];
    if (filter.status || filter.server) return [h('p', filter.server ? 'This payer has none of that kind.' : NONE[filter.status]), h('p', h('a', { href: '#/exchanges' }, 'Show all exchanges'))];
    return [h('p', NONE['']), h('p', 'A member portal starts one when a member chooses a payer: it needs a ', h('a', { href: '#/payers' }, 'payer that is defined here'), ' and tested.')];
}

export default async function show(main, { query, signal, go }) {
    const filter = {
        status: TABS.some(([status]) => status === query.status) ? query.status : '', server: /^[1-9][0-9]{0,17}$/.test(query.server ?? '') ? query.server : '',
        kind: Object.hasOwn(KINDS, query.kind ?? '') ? query.kind : 'p2p-exchange',
    };
    const form = await filterForm(filter, go, signal);
    const table = pagedTable({
        path: pathOf(filter), rows: (body) => body.jobs, columns: COLUMNS, caption: KINDS[filter.kind].toLowerCase(), signal,
        empty: h('div', nothing(filter)), rowClass: (job) => job.batchStatus.toLowerCase(),
    });
    keepTime(signal);
    replace(main, h('h1', title), tabs(filter), form, table);
}
