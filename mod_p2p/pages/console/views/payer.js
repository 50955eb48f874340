// SPDX-License-Identifier: Apache-2.0
// One definition of a source payer: made anew, or edited, tested, archived and brought back.
import { call, pathOf } from '../api.js';
import { h, replace } from '../dom.js';
import { clearErrors, fieldsOf, showErrors } from '../form.js';
import { badge, time } from '../format.js';
import { live } from '../live.js';
import { act, ask, say } from '../notice.js';
import { plainTable } from '../table.js';
import { retire, testCard, unbindCard } from './payer_aside.js';
import { changesOf, differences, fill, makeFields, refuse, valuesOf } from './payer_fields.js';

export const title = 'Payer';

const EVERY = 5000;  // milliseconds between looks at whether somebody else changed it

const definitionOf = (location) => /[0-9]+$/.exec(pathOf(location))[0];

function makeForm(definition, submit, more) {
    const button = h('button', { type: 'submit', class: 'primary', id: 'save' }, definition.pid ? 'Save' : 'Add this payer');
    return h('form', { class: 'fields', id: 'definition', novalidate: true, autocomplete: 'off', 'aria-label': 'Definition', onsubmit: (event) => { event.preventDefault(); act(button, submit); } },
        makeFields(definition), h('div', { class: 'actions save' }, button, more, h('p', { class: 'error', role: 'alert', 'data-errors': true })));
}

// What the API refuses is told at its field; true where that could be done.
function refused(form, problem) {
    const issuer = form.querySelector('[data-field=issuer]');
    if (showErrors(form, problem)) return true;
    if (problem.code !== 'issuer-exists') return false;
    const archived = problem.message.includes('archived');
    issuer.fail([archived ? 'An archived definition has this issuer: ' : 'Another definition has this issuer: ',
        problem.location ? h('a', { href: `#/payers/${definitionOf(problem.location)}` }, archived ? 'bring that back' : 'open that one') : problem.message, '.']);
    issuer.focusField();
    return true;
}

// Nothing can be typed while it is being stored: what comes back fills the form.
async function still(form, work) {
    const focused = document.activeElement;
    form.inert = true;
    try {
        return await work();
    } finally {
        form.inert = false;
        if (form.contains(focused)) focused.focus({ preventScroll: true });
    }
}

// ---- A new one ----

function create(main, { signal, go }) {
    const form = makeForm({}, add, h('a', { class: 'button', href: '#/payers' }, 'Cancel'));

    async function add() {
        clearErrors(form);
        if (refuse(fieldsOf(form))) return;
        try {
            const { body } = await still(form, () => call('POST', '/admin/oidc_servers', { body: valuesOf(fieldsOf(form)), signal }));
            form.removeAttribute('data-edited');
            say(`${body.name} is added. Test it before members use it.`);
            go(`#/payers/${body.pid}`);
        } catch (problem) {
            if (problem.name !== 'Problem' || !refused(form, problem)) throw problem;
        }
    }

    replace(main, h('div', { class: 'head' }, h('h1', 'A new payer')),
        h('p', { class: 'muted' }, 'What the payer told when it registered us as a client. Only three fields have to be filled; the test tells what else is missing.'), form);
}

// ---- Conflicts ----

function differenceTable(rows) {
    const column = (title, member) => ({ title, class: 'anywhere', cell: (row) => row[member] ?? h('span', { class: 'muted' }, `${row.base} (as before)`) });
    return plainTable({ caption: 'What differs', rows, columns: [{ title: 'Field', cell: (row) => row.label }, column('Theirs', 'theirs'), column('Mine', 'mine')] });
}

function askWhose(rows) {
    return ask({
        title: 'Somebody else changed it meanwhile',
        text: [h('p', 'Your changes are not saved yet. Saving them keeps what the other one changed in other fields.'), differenceTable(rows)],
        choices: [{ label: 'Save mine', value: 'mine', class: 'primary' }, { label: 'Take theirs, lose mine', value: 'theirs', class: 'danger' }],
    });
}

// ---- One that is there ----

function facts(definition) {
    const entries = [
        ['Number', String(definition.pid)], ['Last change', time(definition.lastUpdated)], ['Version', String(definition.version)],
        ['Ids at the target derive from', h('span', { class: 'mono' }, definition.idNamespace)],
    ];
    return h('dl', { class: 'facts' }, entries.map(([name, value]) => [h('dt', name), h('dd', value)]));
}

async function edit(main, { id, signal, go }) {
    const path = `/admin/oidc_servers/${id}`;
    const first = await call('GET', path, { signal });
    let base = first.body;
    let etag = first.etag;
    const undo = h('button', { type: 'button', id: 'undo', onclick: () => { accept(base, etag); say('Your changes are undone.'); } }, 'Undo changes');
    const form = makeForm(base, save, undo);
    const heading = h('h1');
    const state = h('span');
    const retirement = h('button', { type: 'button', class: 'danger', id: 'retire', onclick: () => act(retirement, away) }, 'Archive…');
    const revival = h('button', { type: 'button', id: 'revive', onclick: () => act(revival, revive) }, 'Bring it back');
    const news = h('div', { role: 'status' });
    const about = h('div');
    const test = testCard({ pid: base.pid, signal, before: settle, look: (name) => form.querySelector(`[data-field=${name}]`).focusField() });

    // Shows what is stored; what was typed and not saved is gone.
    function accept(definition, tag) {
        [base, etag] = [definition, tag];
        clearErrors(form);
        fill(fieldsOf(form), base);
        form.removeAttribute('data-edited');
        replace(heading, base.name);
        replace(state, base.archived ? badge('archived', 'warn') : null);
        retirement.hidden = base.archived;
        revival.hidden = !base.archived;
        test.hidden = base.archived;
        replace(news);
        replace(about, facts(base));
        document.title = document.title.replace(/^.*(?= · )/, base.name);
    }

    // Sends changes; true where they are stored now.
    async function send(patch, tag) {
        try {
            const answer = await still(form, () => call('PATCH', path, { body: patch, etag: tag, type: 'application/merge-patch+json', signal }));
            accept(answer.body, answer.etag);
            return true;
        } catch (problem) {
            if (problem.status === 412 || problem.code === 'edit-conflict') return conflict(patch);
            if (problem.name !== 'Problem' || !refused(form, problem)) throw problem;
            return false;
        }
    }

    async function conflict(patch) {
        const theirs = await call('GET', path, { signal });
        const whose = await askWhose(differences(base, theirs.body, patch));
        if (whose === 'mine') return send(patch, theirs.etag);
        if (whose === 'theirs') {
            accept(theirs.body, theirs.etag);
            say('This is what the other one saved.', '');
        }
        return false;
    }

    async function save() {
        const patch = changesOf(fieldsOf(form), base);
        clearErrors(form);
        if (refuse(fieldsOf(form))) return false;
        if (!Object.keys(patch).length) {
            accept(base, etag);
            say('There is nothing to save: nothing was changed.', '');
            return true;
        }
        const saved = await send(patch, etag);
        if (saved) say('It is saved.');
        return saved;
    }

    // Before something is done with what is stored.
    async function settle() {
        return form.hasAttribute('data-edited') ? save() : true;
    }

    async function away() {
        if (!await settle()) return;
        try {
            const way = await retire({ pid: base.pid, etag, signal });
            if (!way) return;
            say(`${base.name} is ${way}.`);
            go('#/payers');
        } catch (problem) {
            if (problem.status !== 412) throw problem;
            const now = await call('GET', path, { signal });
            accept(now.body, now.etag);
            say('Somebody else changed it meanwhile. This is what is stored now: look at it, then do it again.', 'bad');
        }
    }

    async function revive() {
        if (await settle() && await send({ archived: false }, etag)) say(`${base.name} is back: members can choose it.`);
    }

    function changed(definition, tag) {
        if (definition.version <= base.version) return;
        if (!form.hasAttribute('data-edited')) {
            accept(definition, tag);
            say('Somebody else changed it: this is what is stored now.', '');
        } else {
            replace(news, h('div', { class: 'banner warn' }, h('p', 'Somebody else changed it meanwhile. Saving tells what differs.')));
        }
    }

    accept(base, etag);
    replace(main, h('div', { class: 'head' }, heading, state, retirement, revival), news,
        h('div', { class: 'sides' }, form, h('div', { class: 'side' }, test,
            h('section', { class: 'card', 'aria-labelledby': 'facts-title' }, h('h2', { id: 'facts-title' }, 'About it'), about, h('p', h('a', { href: `#/exchanges?server=${base.pid}` }, 'Its exchanges'))),
            unbindCard({ pid: base.pid, signal }))));
    live(path, signal, changed, { every: EVERY });
}

export default function show(main, context) {
    return context.id === 'new' ? create(main, context) : edit(main, context);
}
