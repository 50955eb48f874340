// SPDX-License-Identifier: Apache-2.0
// Exchanges: those of a state and of a source payer, newest first, kept up to date; other kinds of jobs where one asks for them.
import { h, replace } from '../dom.js';
import { ago, count, dash, jobStatus } from '../format.js';
import { pagedTable } from '../table.js';
import { KINDS, duration, findPayers, firstPayers, keepTime, payerLink, payerOf, waitWords } from './exchange_words.js';

export const title = 'Exchanges';

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
    { title: 'Exchange', cell: (job) => [h('a', { href: `#/exchanges/${job.batchJobId}` }, h('span', { class: 'unseen' }, 'Exchange '), job.batchJobId),
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
        h('div', { class: 'field' }, h('label', { for: 'exchanges-payer' }, 'Source payer'), select),
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
