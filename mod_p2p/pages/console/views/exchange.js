// SPDX-License-Identifier: Apache-2.0
// One exchange: how far it is and how it came there, what it waits for, what went wrong, its report; and stopping or beginning it again.
import { call, pathOf } from '../api.js';
import { h, part, replace } from '../dom.js';
import { ago, bytes, count, dash, jobStatus, time } from '../format.js';
import { live } from '../live.js';
import { act, ask, problemBox, say } from '../notice.js';
import { picture } from './exchange_picture.js';
import { report } from './exchange_report.js';
import { KINDS, duration, firstPayers, keepTime, payerLink, waitWords } from './exchanges.js';

export const title = 'Exchange';

const STATES = {
    STARTING: 'It is queued.', STARTED: 'It is under way.', STOPPING: 'It is being stopped: what is under way at the target comes to its end.',
    STOPPED: 'It was stopped. It can be begun again, and then takes only what is missing.', COMPLETED: 'It has completed.', FAILED: 'It has failed.',
    ABANDONED: 'It was given up.',
};

// What to do about an error, by its code.
const HINTS = {
    'token-refused': 'The member has to authorise again at the source payer. Then begin it again with the new tokens.',
    'token-of-another-patient': 'The tokens are of another member than the order names. The member’s portal has to order it anew.',
    'token-endpoint-unreachable': 'Test the payer; begin it again when its token endpoint is well.',
    'source-refuses': 'The member’s authorization does not reach what is asked for: see the scopes of the payer, and let the member authorise again.',
    'source-answered': 'Begin it again when the source is well, or see what was ordered.',
    'target-unavailable': 'Begin it again when the target is well.',
    'target-refuses': 'See P2PTarget and P2PTargetAuth; then begin it again.',
    'resources-rejected': 'The report below says which and why. When the target takes them, begin it again: only they are tried.',
    'not-r4': 'The source has to be FHIR R4. See the FHIR endpoint of the payer.',
    unreachable: 'See whether the server runs and is reached from here; then begin it again.',
    'tls-refused': 'See P2PCAFile and the server’s certificate; then begin it again.',
};

const ACCOUNT = [['retrieved', ''], ['written', '='], ['duplicate', '+'], ['skipped', '+'], ['rejected', '+'], ['waiting', '+']];
const canStop = (job) => job.batchStatus === 'STARTING' || job.batchStatus === 'STARTED';
const canRestart = (job) => job.kind === 'p2p-exchange' && (job.batchStatus === 'FAILED' || job.batchStatus === 'STOPPED');

// ---- What is told ----

function account(progress) {
    return [h('div', { class: 'account' }, ACCOUNT.map(([name, sign]) => [sign ? h('span', { class: 'sign', 'aria-hidden': 'true' }, sign) : null,
        h('div', { class: progress[name] && name === 'rejected' ? 'bad' : null }, h('strong', count(progress[name])), h('span', { class: 'small' }, name))])),
    h('p', { class: 'muted small' }, `${count(progress.parts)} ${progress.parts === 1 ? 'part' : 'parts'}, ${bytes(progress.bytes)}`)];
}

function errorWords(error) {
    return [h('p', { class: 'bad' }, h('strong', error.message), ' ', h('code', { class: 'muted' }, error.code)),
        HINTS[error.code] ? h('p', h('strong', 'What to do: '), HINTS[error.code]) : null,
        error.detail ? h('details', h('summary', 'In full, for administrators'), h('pre', error.detail)) : null];
}

function now(status, waits, error) {
    return [h('p', STATES[status] ?? `It is ${status}.`), waits ? h('p', { class: 'warn', id: 'waits' }, waitWords(waits)) : null, error ? errorWords(error) : null];
}

function facts(job, task) {
    const fact = (name, value) => [h('dt', name), h('dd', value)];
    return h('dl', { class: 'facts' },
        fact('From', payerLink(job.oidcServerId)), fact('To', h('span', { class: 'mono' }, job.target)), fact('Ordered by', job.client || dash()),
        fact('Ordered', [time(job.createTime), ' (', ago(job.createTime), ')']), fact('Began', time(job.startTime)), fact('Ended', time(job.endTime)),
        fact('Took', duration(job)), fact('Attempt', count(job.attempt)), fact('Token refreshed', time(job.tokenRefreshed)),
        fact('Task', [job.taskId ? h('span', { class: 'mono small' }, job.taskId) : dash(), task?.fault ? h('div', { class: 'warn' }, task.fault) : null]));
}

const FACTS = ['oidcServerId', 'target', 'client', 'createTime', 'startTime', 'endTime', 'attempt', 'tokenRefreshed', 'taskId'];

function head(job) {
    return job.kind === 'p2p-exchange' ? `Exchange ${job.batchJobId}` : `Job ${job.batchJobId}: ${(KINDS[job.kind] ?? job.kind).toLowerCase()}`;
}

function buttons(id, job, state) {
    const stop = h('button', { type: 'button', id: 'stop', class: 'danger', onclick: () => stopExchange(stop, id).then(() => state.follow.again()) }, 'Stop…');
    const again = h('button', { type: 'button', id: 'restart', onclick: () => restartExchange(id, state.etag).then((tried) => tried && state.follow.again()) }, 'Begin again…');
    return [canStop(job) ? stop : null, canRestart(job) ? again : null];
}

// ---- Stopping it, and beginning it again: new tokens go into the request and are kept nowhere ----

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

// What went wrong, in words, with a link to the exchange that is in the way.
function troubleOf(problem) {
    const other = problem.code === 'already-running' && /\/batch_jobs\/([0-9]+)$/.exec(problem.location ? pathOf(problem.location) : '');
    return h('div', { class: 'banner bad', role: 'alert' },
        h('p', WORDS[problem.code] ?? problem.message, ' ', h('code', { class: 'muted' }, problem.code), other ? [' ', h('a', { href: `#/exchanges/${other[1]}` }, `Exchange ${other[1]}`)] : null),
        problem.errors.map((one) => h('p', `${one.pointer.replace('/sourcePayer/', '')} ${one.detail}`)));
}

// Asks, then stops it. Resolves when that is done, or was not wanted.
async function stopExchange(button, id) {
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

// Asks whether, and with what tokens, it is begun again, and does it if it is still as etag tells. Resolves to whether it was, or may have been.
function restartExchange(id, etag) {
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

// ---- The view ----

function notThere(main, id, problem) {
    const gone = problem.status === 404;
    replace(main, h('h1', gone ? 'Not there' : 'That did not work'), gone ? h('div', { class: 'empty' },
        h('p', `There is no exchange ${id}. What has ended is deleted after some time (P2PKeepJobs).`), h('p', h('a', { href: '#/exchanges' }, 'Show all exchanges'))) : problemBox(problem));
    return true;
}

function make(main, id, job, signal, state) {
    const heading = h('h1', head(job));
    const [status, actions, counts, told, about] = [h('span'), h('div', { class: 'actions head-actions' }), h('div'), h('div', { class: 'now', role: 'status' }),
        h('section', { class: 'card', 'aria-label': 'Facts' })];
    const showStatus = part(status, jobStatus);
    const showActions = part(actions, () => buttons(id, state.job, state));
    const showCounts = part(counts, account);
    const showNow = part(told, now);
    const showFacts = part(about, () => facts(state.job, state.task));
    const drawing = picture(signal);
    const isExchange = job.kind === 'p2p-exchange';
    const reading = isExchange ? report(id, signal, (parts, more, body) => {
        [state.parts, state.more, state.task] = [parts, more, body.task];
        showFacts(FACTS.map((name) => state.job[name]), state.task);
        drawing.show(state.job, parts, more);
    }) : null;
    replace(main, h('p', { class: 'small' }, h('a', { href: isExchange ? '#/exchanges' : `#/exchanges?kind=${encodeURIComponent(job.kind)}` }, isExchange ? 'Exchanges' : KINDS[job.kind] ?? 'Exchanges')),
        h('div', { class: 'head' }, heading, status, actions),
        h('div', { class: 'grid' }, h('section', { class: 'card', 'aria-label': 'How far' }, isExchange ? counts : null, told), about),
        isExchange ? [h('section', { class: 'card' }, h('h2', 'Over time'), drawing.element), reading.element] : null);
    return (job) => {
        if (state.attempt !== job.attempt) drawing.forget();
        state.attempt = job.attempt;
        drawing.sample(job);
        showStatus(job.batchStatus);
        showActions(canStop(job), canRestart(job));
        showCounts(job.progress);
        showNow(job.batchStatus, job.waits, job.error ?? null);
        showFacts(FACTS.map((name) => job[name]), state.task);
        if (state.parts) drawing.show(job, state.parts, state.more);
        reading?.look(job);
    };
}

export default async function show(main, { id, signal }) {
    const state = { task: null, parts: null, more: '' };
    let update = null;
    await firstPayers(signal);
    keepTime(signal);
    state.follow = live(`/admin/batch_jobs/${id}`, signal, (job, etag) => {
        [state.job, state.etag] = [job, etag];
        update ??= make(main, id, job, signal, state);
        update(job);
    }, { onProblem: (problem) => (update ? false : notThere(main, id, problem)) });
}
