// SPDX-License-Identifier: Apache-2.0
// Stopping an exchange, and beginning it again, with new tokens where the member has authorised anew: they go into the request and are kept nowhere.
import { call, pathOf } from '../api.js';
import { h, replace } from '../dom.js';
import { act, ask, say } from '../notice.js';

// What the API says in few words, for people who look at this page.
const WORDS = {
    'job-active': 'It is under way already.',
    'job-completed': 'It has completed: there is nothing to begin again.',
    'restart-too-late': 'It ended too long ago: what tells apart what has landed is not kept any longer. The member’s portal has to order a new exchange.',
    'already-running': 'Another exchange of this member from this payer is under way.',
    'bound-to-another': 'This member’s record was exchanged for another patient of the target since. Unbind that on the payer’s page first.',
    'grant-ended': 'The source payer has ended this authorization: the member has to authorise again, and the new tokens are needed here.',
    'job-ended': 'It has come to its end meanwhile.',
    changed: 'It changed in the same moment. Look at it again.',
    'precondition-failed': 'It changed meanwhile: perhaps somebody else began it again. Close this and look at it again.',
};

/** What went wrong, in words, with a link to the exchange that is in the way. */
function troubleOf(problem) {
    const other = problem.code === 'already-running' && /\/batch_jobs\/([0-9]+)$/.exec(problem.location ? pathOf(problem.location) : '');
    return h('div', { class: 'banner bad', role: 'alert' },
        h('p', WORDS[problem.code] ?? problem.message, ' ', h('code', { class: 'muted' }, problem.code), other ? [' ', h('a', { href: `#/exchanges/${other[1]}` }, `Exchange ${other[1]}`)] : null),
        problem.errors.map((one) => h('p', `${one.pointer.replace('/sourcePayer/', '')} ${one.detail}`)));
}

/** Asks, then stops it. Resolves when that is done, or was not wanted. */
export async function stopExchange(button, id) {
    const sure = await ask({
        title: `Stop exchange ${id}?`, danger: true, action: 'Stop it',
        text: 'What has arrived at the target stays there, with its Provenance. The exchange can be begun again later and then fetches only what is missing.',
    });
    if (!sure) return;
    await act(button, async () => {
        try {
            const { body } = await call('DELETE', `/admin/batch_jobs/${id}`);
            say(body.batchStatus === 'STOPPED' ? `Exchange ${id} is stopped.` : `Exchange ${id} is being stopped.`);
        } catch (problem) {
            if (!WORDS[problem.code]) throw problem;
            say(WORDS[problem.code], 'bad');
        }
    });
}

function tokenField(name, label, hint) {
    const input = h('input', { type: 'password', id: `restart-${name}`, name, autocomplete: 'off', spellcheck: 'false', 'aria-describedby': `restart-${name}-hint` });
    return { input, element: h('div', { class: 'field' }, h('label', { for: `restart-${name}` }, label), h('p', { class: 'hint', id: `restart-${name}-hint` }, hint), input) };
}

/** Asks whether, and with what tokens, it is begun again, and does it if it is still as etag tells. Resolves to whether it was, or may have been. */
export function restartExchange(id, etag) {
    return new Promise((resolve) => {
        const access = tokenField('oidcToken', 'Access token', 'Of the source payer, for the same member. Leave it empty where there is a refresh token.');
        const refresh = tokenField('oidcRefreshToken', 'Refresh token', 'Of the same authorization, if the source payer gave one.');
        const trouble = h('div');
        const send = h('button', { class: 'primary' }, 'Begin again');
        let tried = false;
        const submit = async (event) => {
            event.preventDefault();
            if (send.getAttribute('aria-disabled') === 'true') return;
            const tokens = Object.fromEntries([access, refresh].map(({ input }) => [input.name, input.value.trim()]).filter(([, value]) => value));
            for (const { input } of [access, refresh]) input.value = '';
            tried = true;
            await act(send, async () => {
                try {
                    await call('POST', `/admin/batch_jobs/${id}/restart`, { etag, body: Object.keys(tokens).length ? { sourcePayer: tokens } : undefined });
                    dialog.close();
                    say(`Exchange ${id} is begun again.`);
                } catch (problem) {
                    if (problem.name !== 'Problem') throw problem;
                    replace(trouble, troubleOf(problem));
                }
            });
        };
        const dialog = h('dialog', { 'aria-labelledby': 'restart-title', onclose: () => { dialog.remove(); resolve(tried); } },
            h('form', { class: 'fields', method: 'dialog', autocomplete: 'off', onsubmit: submit },
                h('div', h('h2', { id: 'restart-title' }, `Begin exchange ${id} again?`),
                    h('p', 'It takes only what is missing: what has landed stays, what the target refused is tried again.')),
                h('details', h('summary', 'With new tokens'),
                    h('p', { class: 'small' }, 'Needed where the source payer has ended the authorization, or there was no refresh token. They are sent once and shown nowhere.'), access.element, refresh.element),
                trouble,
                h('div', { class: 'actions' }, send, h('button', { type: 'button', autofocus: true, onclick: () => dialog.close() }, 'Cancel'))));
        trouble.addEventListener('click', (event) => { if (event.target.closest('a')) dialog.close(); });
        document.body.append(dialog);
        dialog.showModal();
    });
}
