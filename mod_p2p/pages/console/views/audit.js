// SPDX-License-Identifier: Apache-2.0
// Audit: who did what to which payer, exchange or mail, and how it was answered; filtered by either.
import { h, replace } from '../dom.js';
import { badge, time } from '../format.js';
import { pagedTable } from '../table.js';

export const title = 'Audit';

const ACTIONS = {
    start: 'start an exchange', stop: 'stop', restart: 'restart', create: 'create', replace: 'replace', change: 'change', remove: 'remove or archive',
    unbind: 'unbind a member', test: 'test', resend: 'send again',
};
// What the API calls a thing: what it is called here, and where it is shown.
const THINGS = { oidc_server: ['payer', 'payers'], batch_job: ['exchange', 'exchanges'], mail: ['mail', 'mail'] };

/** Words for an object of the audit: "payer 3" for oidc_server/3. */
function wordsOf(object) {
    const [kind, id] = object.split('/');
    return THINGS[kind] && id ? `${THINGS[kind][0]} ${id}` : object;
}

/** The object that somebody means who types "payer 3", or oidc_server/3. */
function objectOf(words) {
    const [, word, id] = /^\s*(\S+)\s+([0-9]+)\s*$/.exec(words) ?? [];
    const kind = Object.keys(THINGS).find((name) => THINGS[name][0] === word?.toLowerCase());
    return kind ? `${kind}/${id}` : words.trim();
}

function hashOf(filter) {
    const query = new URLSearchParams(Object.entries(filter).filter(([, value]) => value));
    return query.size ? `#/audit?${query}` : '#/audit';
}

function objectCell(object) {
    const [kind, id] = object.split('/');
    if (!THINGS[kind] || !/^[0-9]+$/.test(id ?? '')) return h('span', { class: 'mono' }, object);
    return h('a', { href: `#/${THINGS[kind][1]}/${id}` }, wordsOf(object));
}

function answerCell(entry) {
    const done = entry.status < 400;
    return [badge(done ? 'done' : 'refused', done ? 'good' : 'bad'), ' ', h('span', { class: 'muted' }, entry.status), entry.code ? [' ', h('code', entry.code)] : null];
}

function columns(filter) {
    return [
        { title: 'When', cell: (entry) => time(entry.time) },
        { title: 'Who', cell: (entry) => [h('a', { href: hashOf({ ...filter, client: entry.client }), title: 'Only what this one did' }, entry.client), h('span', { class: 'muted' }, ` ${entry.role}`)] },
        { title: 'From', cell: (entry) => h('span', { class: 'mono' }, entry.address) },
        { title: 'Did', cell: (entry) => ACTIONS[entry.action] ?? entry.action },
        { title: 'To', cell: (entry) => objectCell(entry.object) },
        { title: 'Answer', cell: answerCell },
    ];
}

function filterForm(filter, go) {
    const object = h('input', { id: 'audit-object', value: filter.object ? wordsOf(filter.object) : '', placeholder: 'payer 3', autocomplete: 'off' });
    const client = h('input', { id: 'audit-client', value: filter.client ?? '', autocomplete: 'off', spellcheck: 'false' });
    const submit = (event) => {
        event.preventDefault();
        go(hashOf({ object: objectOf(object.value), client: client.value.trim() }));
    };
    return h('form', { class: 'filter', role: 'search', onsubmit: submit },
        h('div', { class: 'field' }, h('label', { for: 'audit-object' }, 'Done to'), object),
        h('div', { class: 'field' }, h('label', { for: 'audit-client' }, 'Done by'), client),
        h('button', { id: 'audit-filter' }, 'Filter'),
        filter.object || filter.client ? h('a', { class: 'button', href: '#/audit' }, 'Show all') : null);
}

function emptyWords(filter) {
    if (filter.object || filter.client) return [h('p', 'Nothing is noted of that.'), h('p', '“Done to” takes a payer, exchange or mail with its number (“payer 3”); “Done by” the whole name.')];
    return 'Nothing is noted yet. Each change that somebody makes, here or through the API, will stand here.';
}

export default async function show(main, { query, signal, go }) {
    const filter = { object: query.object ?? '', client: query.client ?? '' };
    const empty = h('div', emptyWords(filter));
    const asked = new URLSearchParams(Object.entries(filter).filter(([, value]) => value));
    const table = pagedTable({ path: `/admin/audit${asked.size ? `?${asked}` : ''}`, rows: (body) => body.entries, columns: columns(filter), caption: 'audit entries', empty, signal });
    replace(main, h('h1', title), filterForm(filter, go), table);
}
