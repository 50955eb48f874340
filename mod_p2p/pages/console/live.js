// SPDX-License-Identifier: Apache-2.0
// What is shown is kept up to date: asked for again every two seconds while the page is seen, with the ETag of what is there.
import { call } from './api.js';
import { trouble, troubleOver } from './notice.js';

const first = new WeakMap();  // signal of a view: promises of the first answers that it waits for

/** Resolves when everything that a view keeps live has been shown once, or failed once. */
export function settled(signal) {
    return Promise.allSettled(first.get(signal) ?? []);
}

/**
 * Gets path (or what path() tells), calls show(body, etag), and again when it has changed, until signal aborts; not while the page is hidden.
 * options: every (milliseconds), onProblem(problem) for a failure before anything was shown, or one that asking again does not mend (true: it was dealt with).
 * Returns { again() }, which asks at once: after a change, or when path() tells another one.
 */
export function live(path, signal, show, { every = 2000, onProblem } = {}) {
    const me = {};
    let timer = null;
    let asking = null;
    let etag = null;
    let asked = null;
    let failures = 0;
    let shown;
    const ready = new Promise((resolve) => { shown = resolve; });
    first.set(signal, [...(first.get(signal) ?? []), ready]);

    function after(milliseconds) {
        clearTimeout(timer);
        timer = signal.aborted || document.hidden ? null : setTimeout(ask, milliseconds);
    }

    async function ask() {
        if (asking || signal.aborted) return;
        const where = typeof path === 'function' ? path() : path;
        asking = new AbortController();
        const mine = asking;
        try {
            const answer = await call('GET', where, { ifNoneMatch: where === asked ? etag : null, signal: AbortSignal.any([signal, mine.signal]) });
            if (signal.aborted || mine.signal.aborted) return;
            failures = 0;
            troubleOver(me);
            if (answer.status !== 304) {
                [asked, etag] = [where, answer.etag];
                show(answer.body, answer.etag);
            }
            after(every);
        } catch (problem) {
            if (!signal.aborted && !mine.signal.aborted) failed(problem);
        } finally {
            if (asking === mine) asking = null;
            shown();
        }
    }

    // Back off: 2, 4, 8, 16, 30 seconds, a tenth more or less, or as long as the server wants. A refusal is shown, and asked about again as slowly as that.
    function failed(problem) {
        failures += 1;
        const wait = Math.max(Math.min(2 ** failures, 30), problem.retryAfter ?? 0) * 1000 * (0.9 + Math.random() / 5);
        const refused = problem.status >= 400 && problem.status < 500 && problem.status !== 429;
        if (problem.name !== 'Problem') throw problem;
        if (!((asked === null || refused) && onProblem?.(problem))) trouble(me, problem, again);
        after(wait);
    }

    function again() {
        asking?.abort();
        asking = null;
        clearTimeout(timer);
        ask();
    }

    const wake = () => (document.hidden ? clearTimeout(timer) : again());
    document.addEventListener('visibilitychange', wake);
    window.addEventListener('online', again);
    signal.addEventListener('abort', () => {
        clearTimeout(timer);
        troubleOver(me);
        document.removeEventListener('visibilitychange', wake);
        window.removeEventListener('online', again);
    });
    ask();
    return { again };
}
