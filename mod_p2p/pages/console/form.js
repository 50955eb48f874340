// SPDX-License-Identifier: Apache-2.0
// Fields of forms: labels, hints and errors that screen readers tie to them, what is only written, and the entries of a 422 at their fields.
import { h, replace } from './dom.js';

let made = 0;

function frame(id, { label, hint, required, group }, ...controls) {
    const name = group ? h('legend', label) : h('label', { for: id }, label, required ? h('span', { class: 'muted small' }, ' (required)') : null);
    const parts = [name, hint ? h('p', { class: 'hint', id: `${id}-hint` }, typeof hint === 'function' ? hint() : hint) : null, ...controls, h('p', { class: 'error', id: `${id}-error` })];
    return h(group ? 'fieldset' : 'div', { class: 'field' }, parts);
}

// What every field has: its name, its controls, what it holds, and its error.
function finish(element, id, name, controls, { read, write }) {
    const error = element.querySelector('.error');
    element.dataset.field = name;
    return Object.assign(element, {
        read,
        write,
        fail(text) {
            replace(error, text);
            for (const control of controls()) {
                if (text) control.setAttribute('aria-invalid', 'true');
                else control.removeAttribute('aria-invalid');
            }
        },
        focusField() { controls().find((control) => control.offsetParent !== null)?.focus(); },
        failed: () => error.textContent !== '',
    });
}

const describe = (id, hint) => (hint ? `${id}-hint ${id}-error` : `${id}-error`);

/**
 * A field: { name, label, hint (text, or what makes nodes), type ('text', 'password', 'area'), value, required, rows, placeholder, mono }. The element has read(), write(value),
 * fail(text or nodes; null: all is well) and focusField().
 */
export function field({ name, label, hint, type = 'text', value = '', required, rows, placeholder, mono }) {
    const id = `field-${made += 1}`;
    const shared = {
        id, name, placeholder, class: mono ? 'mono' : null, 'aria-describedby': describe(id, hint), 'aria-required': required ? 'true' : null,
        autocomplete: 'off', autocapitalize: 'off', spellcheck: type === 'area' && !mono ? 'true' : 'false',
    };
    const control = type === 'area' ? h('textarea', { ...shared, rows: rows ?? 4, value }) : h('input', { ...shared, type, value });
    return finish(frame(id, { label, hint, required }, control), id, name, () => [control], {
        read: () => control.value,
        write: (text) => { control.value = text ?? ''; },
    });
}

/**
 * Checkboxes that make up a set of words: { name, label, hint, choices: [[word, what it is]], alone (a word that stands by itself), value }. read() tells the
 * words, parted by spaces, in the order of choices.
 */
export function words({ name, label, hint, choices, alone, value = '' }) {
    const id = `field-${made += 1}`;
    const boxes = choices.map(([word], i) => h('input', { type: 'checkbox', id: `${id}-${i}`, value: word, 'aria-describedby': describe(id, hint), onchange: (event) => chosen(event.target) }));
    const lines = choices.map(([word, text], i) => h('label', { class: 'choice', for: `${id}-${i}` }, boxes[i], ' ', h('code', word), text ? h('span', { class: 'muted' }, ` ${text}`) : null));

    function chosen(box) {
        if (box.checked) for (const other of boxes) if (other !== box && (other.value === alone || box.value === alone)) other.checked = false;
    }

    const element = finish(frame(id, { label, hint, group: true }, h('div', { class: 'choices' }, lines)), id, name, () => boxes, {
        read: () => boxes.filter((box) => box.checked).map((box) => box.value).join(' '),
        write: (text) => { for (const box of boxes) box.checked = (text ?? '').split(/\s+/).includes(box.value); },
    });
    element.write(value);
    return element;
}

/** What is wrong with a text that is to be public keys, in words; null where nothing is seen from here. The API looks closer. */
export function keyFault(text) {
    let set;
    try {
        set = JSON.parse(text);
    } catch {
        return 'This is no JSON: a JWK, or a JWK set, is wanted.';
    }
    const keys = Array.isArray(set?.keys) ? set.keys : [set];
    if (keys.some((key) => key?.d !== undefined || key?.k !== undefined)) return 'This has a private or a shared key in it. It was not sent: only public keys belong here.';
    return null;
}

// Reads a file that was chosen into a control. Nothing leaves the browser by that.
async function readFile(chooser, control, element) {
    const [file] = chooser.files;
    if (!file) return;
    const text = file.size > 65536 ? null : await file.text();
    const fault = text === null ? 'That file is over 64 KiB long: it is no set of keys.' : keyFault(text);
    chooser.value = '';
    element.fail(fault);
    if (!fault) control.value = text;
    control.focus();
}

/**
 * What is only written: { name, label, hint, set (is there one?), type ('password' or 'area'), file (label of a button that reads a local file) }. It is kept unless the
 * person says otherwise: read() is undefined for that, '' where it is to be removed, else the new one; write(set) empties it.
 */
export function secret({ name, label, hint, set, type = 'password', file }) {
    const id = `field-${made += 1}`;
    const shared = { id, name, class: 'mono', autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false', 'aria-describedby': describe(id, hint), 'aria-label': label };
    const control = type === 'area' ? h('textarea', { ...shared, rows: 5 }) : h('input', { ...shared, type });
    const chooser = file ? h('input', { type: 'file', class: 'unseen', tabindex: '-1', 'aria-hidden': 'true', onchange: () => readFile(chooser, control, element) }) : null;
    const button = file ? h('button', { type: 'button', onclick: () => chooser.click() }, file) : null;
    const inputs = h('div', { class: 'secret' }, control, button, chooser);
    const state = h('span', { class: 'badge' });
    const ways = [['keep', 'Keep it'], ['replace', 'Replace it'], ['remove', 'Remove it']];
    const radios = ways.map(([way]) => h('input', { type: 'radio', name: `${id}-way`, id: `${id}-${way}`, value: way, onchange: () => show(true) }));
    const choice = h('div', { class: 'choices' }, ways.map(([way, text], i) => h('label', { class: 'choice', for: `${id}-${way}` }, radios[i], ` ${text}`)));
    const way = () => (there ? radios.find((radio) => radio.checked).value : 'replace');
    let there = false;

    function show(byHand) {
        inputs.hidden = way() !== 'replace';
        if (inputs.hidden) control.value = '';
        else if (byHand) control.focus();
    }

    const element = finish(frame(id, { label: [label, ' ', state], hint, group: true }, choice, inputs), id, name, () => [control, ...radios], {
        read: () => (way() === 'keep' ? undefined : way() === 'remove' ? '' : control.value || (there ? undefined : '')),
        write(now) {
            there = now;
            control.value = '';
            radios[0].checked = true;
            choice.hidden = !there;
            replace(state, there ? 'set' : 'not set');
            show(false);
        },
    });
    element.write(Boolean(set));
    return element;
}

/** All fields of a form, in order. */
export const fieldsOf = (form) => [...form.querySelectorAll('[data-field]')];

/** Takes what was wrong away. */
export function clearErrors(form) {
    for (const one of fieldsOf(form)) one.fail(null);
    replace(form.querySelector('[data-errors]') ?? document.createElement('p'));
}

/**
 * Puts each entry of a 422 at its field, by its pointer, and the focus to the first; what belongs to no field, and how many there are, is said where the form has an
 * element data-errors (role alert). Returns false where the problem has no entries.
 */
export function showErrors(form, problem) {
    const place = form.querySelector('[data-errors]');
    const fields = new Map(fieldsOf(form).map((one) => [`/${one.dataset.field}`, one]));
    const rest = [];
    clearErrors(form);
    if (!problem.errors.length) return false;
    for (const { pointer, detail } of problem.errors) {
        const one = fields.get(pointer);
        if (!one) rest.push(`${pointer.slice(1)} ${detail}.`);
        else one.fail(one.failed() ? `${one.querySelector('.error').textContent} It ${detail}.` : `It ${detail}.`);
    }
    const failed = fieldsOf(form).filter((one) => one.failed());
    if (place) replace(place, failed.length ? `Not saved: ${failed.length === 1 ? 'a field needs' : `${failed.length} fields need`} a change. ` : 'Not saved. ', rest.join(' '));
    failed[0]?.focusField();
    return true;
}
