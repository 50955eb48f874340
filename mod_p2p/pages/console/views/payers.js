// SPDX-License-Identifier: Apache-2.0
// The definitions of source payers (the guide's "Config > OpenID Connect Servers"): a list that is searched, a page at a time.
import { h, replace } from '../dom.js';
import { ago, badge } from '../format.js';
import { pagedTable } from '../table.js';

export const title = 'Payers';

const PATIENCE = 300;  // milliseconds after the last key until a search begins
const FILTERS = [['name', 'Server Name', 'Any part of it, in upper or lower case'], ['issuer', 'Issuer', 'The whole URL'], ['organization', 'Organization ID', 'The whole id']];

const COLUMNS = [
    { title: 'Server Name', cell: (row) => [h('a', { href: `#/payers/${row.pid}` }, row.name), row.archived ? [' ', badge('archived', 'warn')] : null] },
    { title: 'Organization ID', cell: (row) => row.organizationId || h('span', { class: 'muted' }, 'none'), class: 'anywhere' },
    { title: 'FHIR Endpoint URL', cell: (row) => row.fhirEndpoint, class: 'mono' },
    { title: 'Issuer', cell: (row) => row.issuer, class: 'mono' },
    { title: 'Client', cell: (row) => (row.clientSecretSet ? 'with a secret' : row.clientId ? 'public' : h('span', { class: 'muted' }, 'none')) },
    { title: 'Changed', cell: (row) => ago(row.lastUpdated) },
];

function pathOf(query) {
    const wanted = new URLSearchParams();
    for (const [name] of FILTERS) if (query[name]) wanted.set(name, query[name]);
    if (query.archived === 'true') wanted.set('archived', 'true');
    return [`/admin/oidc_servers${wanted.size ? `?${wanted}` : ''}`, `#/payers${wanted.size ? `?${wanted}` : ''}`];
}

const filtered = (query) => FILTERS.some(([name]) => query[name]);

function nothing(query, clear) {
    if (filtered(query)) return h('div', h('p', 'No payer matches.'), h('p', h('button', { type: 'button', onclick: clear }, 'Show all payers')));
    return h('div',
        h('p', h('strong', 'No source payer is defined yet.')),
        h('p', 'Before you add one, register this installation as a client at the payer. It tells you an issuer, a client id (and a secret, unless the client is public), and the URL of its FHIR endpoint.'),
        h('p', 'Then add it here, and test it: each step tells what is wrong.'),
        h('p', h('a', { class: 'button primary', href: '#/payers/new' }, 'Add the first payer')));
}

export default async function show(main, { query, signal, go }) {
    const state = { ...query };
    const inputs = FILTERS.map(([name, , hint]) => h('input', { type: 'search', id: `filter-${name}`, name, value: state[name] ?? '', title: hint, autocomplete: 'off', spellcheck: 'false', oninput: later }));
    const archived = h('input', { type: 'checkbox', id: 'filter-archived', checked: state.archived === 'true', onchange: apply });
    let timer = null;

    function apply() {
        clearTimeout(timer);
        for (const input of inputs) state[input.name] = input.value.trim();
        state.archived = String(archived.checked);
        go(pathOf(state)[1], { replace: true });
        table.reload();
    }

    function later() {
        clearTimeout(timer);
        timer = setTimeout(apply, PATIENCE);
    }

    function clear() {
        for (const input of inputs) input.value = '';
        apply();
        inputs[0].focus();
    }

    const search = h('form', { class: 'filter', role: 'search', 'aria-label': 'Payers', onsubmit: (event) => { event.preventDefault(); apply(); } },
        FILTERS.map(([, label], i) => h('div', { class: 'field' }, h('label', { for: inputs[i].id }, label), inputs[i])),
        h('label', { class: 'choice', for: 'filter-archived' }, archived, ' Archived ones, too'));
    const table = pagedTable({
        path: () => pathOf(state)[0], rows: (body) => body.servers, columns: COLUMNS, caption: 'Payers, by number', signal, turns: ['Back', 'Further'],
        empty: () => nothing(state, clear), rowClass: (row) => (row.archived ? 'past' : null),
    });
    signal.addEventListener('abort', () => clearTimeout(timer));
    replace(main, h('div', { class: 'head' }, h('h1', title), h('a', { class: 'button primary', href: '#/payers/new' }, 'Add a payer')), search, table);
}
