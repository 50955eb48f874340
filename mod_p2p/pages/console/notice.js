// SPDX-License-Identifier: Apache-2.0
// What the console tells people beside its views: results of what they did, questions, problems, and trouble with the connection.
import { h, replace } from './dom.js';

const TOLD_FOR = 8000;  // milliseconds that a result stays

/** Tells the result of an action, at the foot of the page and to screen readers. kind: good, bad or nothing. */
export function say(sentence, kind = 'good') {
    const place = document.getElementById('said');
    const line = h('p', { class: kind }, sentence, h('button', { type: 'button', class: 'quiet', 'aria-label': 'Dismiss', onclick: () => line.remove() }, '×'));
    replace(place, line);
    if (kind !== 'bad') setTimeout(() => line.remove(), TOLD_FOR);
}

/** A problem in words, with its code, and a button where asking again may help. */
export function problemBox(problem, again) {
    const wait = problem.retryAfter ? ` Try again in ${problem.retryAfter} s.` : '';
    return h('div', { class: 'banner bad', role: 'alert' },
        h('p', problem.message, wait, problem.code ? [' ', h('code', { class: 'muted' }, problem.code)] : null),
        again ? h('button', { type: 'button', onclick: again }, 'Try again') : null);
}

/** Runs what a button does: it is off meanwhile, and a problem is told. Returns what work returns, undefined after a problem. */
export async function act(button, work) {
    if (button.getAttribute('aria-disabled') === 'true') return undefined;
    button.setAttribute('aria-disabled', 'true');
    try {
        return await work();
    } catch (problem) {
        if (problem.name !== 'AbortError') say(`${problem.message}${problem.retryAfter ? ` Try again in ${problem.retryAfter} s.` : ''}`, 'bad');
        if (problem.name !== 'Problem' && problem.name !== 'AbortError') console.error(problem);
        return undefined;
    } finally {
        button.removeAttribute('aria-disabled');
    }
}

/** Asks: { title, text (or nodes), action: 'Stop it', danger } or choices: [{ label, value, class }]. Resolves to the value (true for action), null for "Cancel" and Escape. */
export function ask({ title, text, action, danger, choices = [{ label: action, value: true, class: danger ? 'danger' : 'primary' }] }) {
    return new Promise((resolve) => {
        let chosen = null;
        const choose = (value) => () => {
            chosen = value;
            dialog.close();
        };
        const dialog = h('dialog', { 'aria-labelledby': 'asked', onclose: () => { dialog.remove(); resolve(chosen); } },
            h('h2', { id: 'asked' }, title),
            typeof text === 'string' ? h('p', text) : text,
            h('div', { class: 'actions' },
                choices.map((choice) => h('button', { type: 'button', class: choice.class, onclick: choose(choice.value) }, choice.label)),
                h('button', { type: 'button', autofocus: true, onclick: choose(null) }, 'Cancel')));
        document.body.append(dialog);
        dialog.showModal();
    });
}

const troubles = new Map();  // who has trouble: its problem, and what asks again

function showTrouble() {
    const place = document.getElementById('trouble');
    const [problem, again] = [...troubles.values()][0] ?? [];
    if (!problem) {
        replace(place);
        return;
    }
    const text = `${problem.message} What you see may be old; it is asked for again by itself.`;
    if (place.querySelector('p')?.textContent === text) return;
    replace(place, h('div', { class: 'banner warn' }, h('p', text), h('button', { type: 'button', onclick: () => again() }, 'Try now')));
}

/** Shows a banner for as long as who has trouble; for live.js. */
export function trouble(who, problem, again) {
    troubles.set(who, [problem, again]);
    showTrouble();
}

export function troubleOver(who) {
    if (troubles.delete(who)) showTrouble();
}
