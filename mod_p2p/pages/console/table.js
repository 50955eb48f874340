// SPDX-License-Identifier: Apache-2.0
// A list of the API, a page at a time: never more than a page is held, and rows that did not change are not drawn again.
import { h, replace } from './dom.js';
import { live } from './live.js';
import { problemBox } from './notice.js';

function cellOf(column, row) {
    const content = column.cell(row);
    return h('td', { role: 'cell', class: column.class, 'data-title': column.title }, h('div', content));
}

function rowOf(columns, row, rowClass) {
    return h('tr', { role: 'row', class: rowClass?.(row) }, columns.map((column) => cellOf(column, row)));
}

function tableOf(caption, columns, body) {
    const head = h('tr', { role: 'row' }, columns.map((column) => h('th', { role: 'columnheader', scope: 'col', class: column.class }, column.title)));
    return h('table', { class: 'list', role: 'table' }, h('caption', { class: 'unseen' }, caption), h('thead', { role: 'rowgroup' }, head), body);
}

/** A table of rows that are there, with the columns of pagedTable; rows become blocks on small screens. (The roles say that it is a table then, too.) */
export function plainTable({ caption, columns, rows, rowClass }) {
    return h('div', { class: 'scroll' }, tableOf(caption, columns, h('tbody', { role: 'rowgroup' }, rows.map((row) => rowOf(columns, row, rowClass)))));
}

// Puts rows into body in this order, moving as few as can be, so that neither focus nor a selection is lost.
function arrange(body, rows) {
    const wanted = new Set(rows);
    for (const old of [...body.children]) if (!wanted.has(old)) old.remove();
    rows.forEach((row, i) => { if (body.children[i] !== row) body.insertBefore(row, body.children[i] ?? null); });
}

/**
 * A table of a list of the API: path (or a function that tells it), rows(body) -> array, columns: [{ title, cell(row), class }], empty (text, node or function of
 * the body, for none), caption, signal, turns (words of the buttons), key(row) (its first member), rowClass(row), onBody(body). The element has reload(), back to
 * the first page, and again(), which asks for this page at once.
 */
export function pagedTable({ path, rows, columns, empty, caption, signal, key, rowClass, onBody, turns = ['Newer', 'Older'] }) {
    const first = () => (typeof path === 'function' ? path() : path);
    const stack = [];          // links of the pages that lead here; none: the first page
    let next = null;
    let drawn = new Map();     // key: { json, row }
    let follow;
    const body = h('tbody', { role: 'rowgroup' });
    const table = tableOf(caption, columns, body);
    const newer = h('button', { type: 'button', onclick: () => turn(() => stack.pop()) }, turns[0]);
    const older = h('button', { type: 'button', onclick: () => turn(() => stack.push(next)) }, turns[1]);
    const pages = h('nav', { class: 'actions pages', 'aria-label': `Pages of ${caption}`, hidden: true }, newer, older);
    const place = h('div', { class: 'scroll' });
    const element = h('div', { class: 'paged' }, place, pages);
    const here = () => stack.at(-1) ?? first();

    function turn(step) {
        step();
        older.disabled = newer.disabled = true;
        ask();
    }

    function row(data) {
        const name = String(key ? key(data) : Object.values(data)[0]);
        const json = JSON.stringify(data);
        const old = drawn.get(name);
        return [name, old?.json === json ? old : { json, row: rowOf(columns, data, rowClass) }];
    }

    function show(answer) {
        const had = document.activeElement?.closest?.('tr');
        const focused = had?.parentNode === body && [[...drawn].find(([, one]) => one.row === had)?.[0], [...had.querySelectorAll('a,button')].indexOf(document.activeElement)];
        const list = rows(answer);
        const now = new Map(list.map(row));
        next = answer.next ?? null;
        if (list.length) {
            drawn = now;
            arrange(body, [...now.values()].map((one) => one.row));
            if (table.parentNode !== place) replace(place, table);
            if (focused && !had.isConnected) drawn.get(focused[0])?.row.querySelectorAll('a,button')[focused[1]]?.focus();
        } else {
            drawn = new Map();
            replace(body);
            const instead = stack.length ? 'There are no more.' : typeof empty === 'function' ? empty(answer) : empty;
            replace(place, h('div', { class: 'empty' }, typeof instead === 'string' ? h('p', instead) : instead));
        }
        newer.disabled = !stack.length;
        older.disabled = !next;
        pages.hidden = !stack.length && !next;
        onBody?.(answer);
    }

    // A cursor that has gone (it is of another list, or of before an upgrade) leads back to the first page.
    function failed(problem) {
        if (problem.code === 'bad-page' && stack.length) {
            stack.length = 0;
            ask();
            return true;
        }
        replace(place, problemBox(problem, ask));
        drawn = new Map();
        return true;
    }

    function ask() {
        if (follow) follow.again();
        else follow = live(here, signal, show, { onProblem: failed });
    }

    element.reload = () => {
        stack.length = 0;
        ask();
    };
    element.again = ask;
    ask();
    return element;
}
