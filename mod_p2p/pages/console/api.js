// SPDX-License-Identifier: Apache-2.0
// Calls of the API, with whatever credentials there are, and what went wrong with them in words.
import * as signIn from './sign_in.js';

// Where the API is: the folder above the console's, with a slash at its end.
const root = new URL('..', import.meta.url);

// What to say where an answer has no words of its own: a proxy's, for example.
const WORDS = {
    401: 'You are not signed in.', 403: 'You may not see or do this.', 404: 'There is nothing here.', 412: 'It changed meanwhile.',
    429: 'That was too many requests in a short time.', 502: 'The API is not reached.', 503: 'The API cannot answer for the moment.',
};

/** A call that failed. status is 0 where no answer came; retryAfter is in seconds, or null; message is for people. */
export class Problem extends Error {
    constructor(status, body = {}, more = {}) {
        super(body.detail || WORDS[status] || (status ? `The answer was ${status} ${body.title ?? ''}`.trim() : 'The API does not answer.'));
        this.name = 'Problem';
        this.status = status;
        this.code = body.code ?? (status ? `http-${status}` : 'no-answer');
        this.detail = body.detail ?? '';
        this.errors = Array.isArray(body.errors) ? body.errors : [];
        this.retryAfter = more.retryAfter ?? null;
        this.location = more.location ?? null;
    }
}

// Links in answers (next, Location) begin with the prefix that httpd has us below, or are whole URLs; paths of the console do not.
function urlOf(path) {
    const full = new URL(path, root);
    return full.pathname.startsWith(root.pathname) && root.pathname !== '/' ? full : new URL(`.${full.pathname}${full.search}`, root);
}

/** The path of a link of an answer as call() and the console's own links know it: without the prefix. */
export function pathOf(link) {
    const url = urlOf(link);
    return `/${url.pathname.slice(root.pathname.length)}${url.search}`;
}

function headersOf({ body, etag, ifNoneMatch, type }) {
    const headers = new Headers({ Accept: 'application/json' });
    if (body !== undefined) headers.set('Content-Type', type ?? 'application/json');
    if (etag) headers.set('If-Match', etag);
    if (ifNoneMatch) headers.set('If-None-Match', ifNoneMatch);
    if (signIn.token()) headers.set('Authorization', `Bearer ${signIn.token()}`);
    return headers;
}

async function documentOf(answer) {
    try {
        return await answer.json();
    } catch (trouble) {
        if (trouble.name === 'AbortError') throw trouble;
        return null;
    }
}

function secondsOf(header) {
    if (!header) return null;
    const seconds = Number(header);
    return Number.isNaN(seconds) ? Math.max(0, Math.ceil((Date.parse(header) - Date.now()) / 1000)) || null : seconds;
}

// The mode stays fetch's own (cors): with same-origin and no referrer, browsers send Origin: null, which the API takes for another site's page.
async function send(method, path, options) {
    const { body, signal } = options;
    try {
        return await fetch(urlOf(path), {
            method, signal, headers: headersOf(options), body: body === undefined || typeof body === 'string' ? body : JSON.stringify(body),
            credentials: 'same-origin', cache: 'no-store', redirect: 'error',
        });
    } catch (trouble) {
        if (trouble.name === 'AbortError') throw trouble;
        throw new Problem(0, { detail: navigator.onLine ? 'The API does not answer.' : 'This computer is offline.' });
    }
}

/**
 * Calls the API: path is /admin/…, /api/… or a link of an answer; options: body (object or text), etag (If-Match), ifNoneMatch, type (of the body), signal.
 * Returns { status, body, etag, location }, body null for 204 and 304. Throws a Problem for 400 and above and where no answer came, and signal's AbortError.
 */
export async function call(method, path, options = {}) {
    let answer = await send(method, path, options);
    if (answer.status === 401 && await signIn.renew()) answer = await send(method, path, options);
    const body = answer.status === 204 || answer.status === 304 ? null : await documentOf(answer);
    if (answer.status >= 400) {
        const more = { retryAfter: secondsOf(answer.headers.get('Retry-After')), location: answer.headers.get('Location') };
        throw new Problem(answer.status, body ?? {}, more);
    }
    if (body === null && answer.status === 200) throw new Problem(0, { detail: 'The answer came only in part, or is none of this API.', code: 'not-json' });
    return { status: answer.status, body, etag: answer.headers.get('ETag'), location: answer.headers.get('Location') };
}
