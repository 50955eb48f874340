// SPDX-License-Identifier: Apache-2.0
// What is done with a definition besides editing it: its test, unbinding a member, archiving and removing it.
import { call, pathOf } from '../api.js';
import { h, replace } from '../dom.js';
import { clearErrors, field, showErrors } from '../form.js';
import { badge, count, span, time } from '../format.js';
import { live } from '../live.js';
import { act, ask, problemBox, say } from '../notice.js';

const QUICK = 500;     // milliseconds between looks at a test that runs
const LONG = 10000;    // a test that waits so long is worth a word
const ENDED = ['COMPLETED', 'FAILED', 'STOPPED', 'ABANDONED', 'UNKNOWN'];
const STEPS = [
    ['wellKnown', 'Well-known document', 'authWellKnown'], ['tokenEndpoint', 'Token endpoint', 'clientId'], ['jwks', 'Keys', 'keyText'], ['capabilityStatement', 'FHIR endpoint', 'fhirEndpoint'],
];

const exchangeLink = (location, words) => h('a', { href: `#/exchanges/${/[0-9]+$/.exec(pathOf(location))[0]}` }, words);

// ---- The test ----

function stepRow([name, label, fault], steps, look) {
    const step = steps?.find((one) => one.name === name);
    const verdict = step ? badge(step.ok ? 'good' : 'failed', step.ok ? 'good' : 'bad') : badge(steps ? 'not tried' : 'to be tried');
    const place = step && !step.ok ? h('button', { type: 'button', class: 'quiet', onclick: () => look(fault) }, 'Go to the field') : null;
    return h('li', { class: 'step', 'data-step': name }, h('div', h('strong', label), ' ', verdict, ' ', h('span', { class: 'muted' }, step ? span(step.milliseconds) : ''), place),
        h('p', { class: 'anywhere' }, step?.detail ?? ''));
}

function verdictOf(test) {
    if (!test) return 'Not tested yet.';
    if (test.status === 'STARTING') return Date.now() - Date.parse(test.createTime) > LONG ? 'No runner has taken it yet: the overview tells which are alive.' : 'Waits for a runner…';
    if (!ENDED.includes(test.status)) return 'A runner tries it now…';
    if (!test.result) return test.error?.message ?? 'It could not be tried.';
    const failed = test.result.steps.filter((step) => !step.ok).length;
    return test.result.ok ? 'All steps are good: exchanges can begin.' : `${failed} of ${test.result.steps.length} steps failed.`;
}

/** The card of a definition's test. before(): saves what was edited, false where that failed. look(name): shows a field. */
export function testCard({ pid, signal, before, look }) {
    const words = h('p', { role: 'status', id: 'verdict' });
    const when = h('p', { class: 'muted small' });
    const steps = h('ol', { class: 'steps', 'aria-label': 'Steps of the test' });
    const button = h('button', { type: 'button', class: 'primary', id: 'test', onclick: () => act(button, begin) }, 'Test it');
    let following = new AbortController();
    let asked = false;

    function show(test) {
        const sentence = verdictOf(test);
        const over = test && ENDED.includes(test.status);
        if (words.textContent !== sentence) replace(words, sentence);
        words.className = over ? (test.result?.ok ? 'good' : 'bad') : '';
        replace(when, over ? ['Tested ', time(test.endTime), '.'] : test ? 'Each answer has up to 15 seconds, the FHIR endpoint’s 60.' : 'What is saved is tested; changes are saved first.');
        replace(steps, STEPS.map((step) => stepRow(step, test?.result?.steps ?? null, look)));
        if (over) following.abort();
    }

    function follow(id) {
        following.abort();
        following = new AbortController();
        live(`/admin/oidc_servers/${pid}/test/${id}`, AbortSignal.any([signal, following.signal]), show, {
            every: QUICK, onProblem: (problem) => { following.abort(); replace(words, problem.message); return true; },
        });
    }

    async function begin() {
        if (!await before()) return;
        asked = true;
        const { body } = await call('POST', `/admin/oidc_servers/${pid}/test`, { signal });
        show(body);
        follow(body.testId);
    }

    // The last one, whoever asked for it; tests of long ago are forgotten (P2PKeepJobs).
    async function last() {
        const { body } = await call('GET', `/admin/batch_jobs?server=${pid}&kind=definition-test`, { signal });
        if (body.jobs.length && !asked) follow(body.jobs[0].batchJobId);
    }

    show(null);
    last().catch((problem) => { if (problem.name !== 'AbortError') say(problem.message, 'bad'); });
    return h('section', { class: 'card', 'aria-labelledby': 'test-title' }, h('h2', { id: 'test-title' }, 'Test'), words, steps, when, h('div', { class: 'actions' }, button));
}

// ---- Unbinding ----

/** The card that unbinds a member of the source. */
export function unbindCard({ pid, signal }) {
    const patient = field({ name: 'sourcePatientId', label: 'Patient id at the source', mono: true, required: true, hint: 'The logical id of the member’s Patient at this payer.' });
    const result = h('div', { 'data-errors': true, role: 'alert' });
    const button = h('button', { type: 'submit' }, 'Unbind…');
    const form = h('form', { class: 'unbind', novalidate: true, onsubmit: (event) => { event.preventDefault(); act(button, unbind); } }, patient, result, h('div', { class: 'actions' }, button));

    async function unbind() {
        clearErrors(form);
        const sure = patient.read().trim() === '' || await ask({
            title: 'Unbind this member?', action: 'Unbind', danger: true,
            text: 'The next exchange of this source patient may name another member here. What was written for the former one stays there, under ids that the next exchange writes again: see to it first.',
        });
        if (!sure) return;
        try {
            await call('POST', `/admin/oidc_servers/${pid}/unbind`, { body: { sourcePatientId: patient.read().trim() }, signal });
            patient.write('');
            say('The member is unbound: the next exchange binds anew.');
        } catch (problem) {
            if (problem.name !== 'Problem') throw problem;
            if (showErrors(form, problem)) return;
            replace(result, problemBox(problem), problem.location ? h('p', exchangeLink(problem.location, 'Show the exchange that is under way')) : null);
            patient.focusField();
        }
    }

    return h('section', { class: 'card', 'aria-labelledby': 'unbind-title' }, h('h2', { id: 'unbind-title' }, 'Unbind a member'),
        h('p', { class: 'muted' }, 'The first exchange binds a patient of this payer to a member here; another member is refused from then on. Where the first one was a mistake, it is undone here.'), form);
}

// ---- Archiving and removing ----

const some = (n, one, many) => `${n >= 1000 ? '1,000 or more' : count(n)} ${n === 1 ? one : many}`;

function touches(use) {
    const lines = [
        use.jobsUnderWay ? `${some(use.jobsUnderWay, 'exchange is', 'exchanges are')} under way: they go on.` : 'No exchange is under way.',
        use.members ? `${some(use.members, 'member is', 'members are')} bound to it, and stay so.` : 'No member is bound to it.',
        'The portal does not show it any more, and nothing new is ordered from it.',
        use.everExchanged ? 'Since records were exchanged from it, it is kept, archived, and can be brought back.' : 'Nothing was ever exchanged from it: it can be archived, or removed for good.',
    ];
    return h('ul', lines.map((line) => h('li', line)));
}

/** Asks whether to archive or remove it, telling what that touches, and does it; 'archived', 'removed' or null. etag: of what is shown. */
export async function retire({ pid, etag, signal }) {
    const { body: use } = await call('GET', `/admin/oidc_servers/${pid}/use`, { signal });
    const choices = [{ label: 'Archive it', value: 'archived', class: 'danger' }];
    if (!use.everExchanged) choices.push({ label: 'Remove it for good', value: 'removed', class: 'danger' });
    const way = await ask({ title: 'Archive this payer?', text: touches(use), choices });
    if (way === 'archived') await call('PATCH', `/admin/oidc_servers/${pid}`, { body: { archived: true }, etag, signal });
    if (way === 'removed') await call('DELETE', `/admin/oidc_servers/${pid}`, { etag, signal });
    return way;
}
