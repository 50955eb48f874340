// SPDX-License-Identifier: Apache-2.0
// What this page calls: its own server for a token, mod_p2p with that token, and the FHIR server of our payer.

let session;  // { token, api, fhir, patient, organization, until }; in memory alone

// What went wrong, for people; code is for programs (docs/api.md, "Errors").
export class Problem extends Error {
    constructor(detail, { status = 0, code = '', location, origin } = {}) {
        super(detail);
        Object.assign(this, { status, code, location, origin });
    }
}

export const pause = (seconds) => new Promise((done) => { setTimeout(done, seconds * 1000); });

// One request. Network trouble is a Problem as well.
export async function ask(url, options = {}) {
    try {
        return await fetch(url, { credentials: 'omit', cache: 'no-store', redirect: 'error', referrerPolicy: 'no-referrer', ...options });
    } catch {
        const { origin } = new URL(url, document.baseURI);
        throw new Problem(`${origin} does not answer.`, { code: 'no-answer', origin });
    }
}

// Who is signed in at this portal, and a token for the API that is good for this member alone. A production portal has its own session here.
export async function getSession({ fresh = false } = {}) {
    if (fresh || !session || Date.now() > session.until) {
        const answer = await ask('session', { method: 'POST', credentials: 'same-origin' });
        if (!answer.ok) throw new Problem('This portal has no session for you.', { status: answer.status });
        session = await answer.json();
        session.until = Date.now() + (session.expiresIn - 60) * 1000;
    }
    return session;
}

// A call of mod_p2p: { status, body, etag, location, wait }. 304 has no body. A token that has ended is renewed once; "come back later" is done.
export async function call(method, path, { body, headers = {}, again = 5 } = {}) {
    const { token, api } = await getSession();
    const answer = await ask(api + path, {
        method,
        headers: { Authorization: `Bearer ${token}`, ...(body && { 'Content-Type': 'application/json' }), ...headers },
        body: body && JSON.stringify(body),
    }).catch(async (problem) => {
        // An order whose answer was lost is sent again: its Idempotency-Key makes one order of both.
        if (!headers['Idempotency-Key'] || again === 0) throw problem;
        await pause(1);
    });
    if (!answer) return call(method, path, { body, headers, again: again - 1 });
    const wait = Number(answer.headers.get('Retry-After')) || 0;
    if ([429, 503].includes(answer.status) && again > 0) {
        await pause(Math.min(wait || 2, 10));
        return call(method, path, { body, headers, again: again - 1 });
    }
    if (answer.status === 401 && again > 0) {
        await getSession({ fresh: true });
        return call(method, path, { body, headers, again: 0 });
    }
    const location = answer.headers.get('Location');
    if (answer.status === 304) return { status: 304, wait };
    const content = await answer.json().catch(() => ({}));
    if (!answer.ok) {
        const words = [content.detail ?? `The exchange service answered ${answer.status}.`, ...(content.errors ?? []).map((one) => `${one.pointer} ${one.detail}.`)];
        throw new Problem(words.join(' '), { status: answer.status, code: content.code, location });
    }
    return { status: answer.status, body: content, etag: answer.headers.get('ETag'), location, wait };
}

// A call of our own FHIR server. url: below its base, or a whole one that it gave us.
export async function fhir(url, { method = 'GET', body } = {}) {
    const { fhir: base } = await getSession();
    const whole = new URL(url, `${base}/`);
    if (whole.origin !== new URL(base).origin) throw new Problem('Our FHIR server names another one.');
    const answer = await ask(whole.href, {
        method,
        headers: { Accept: 'application/fhir+json', ...(body && { 'Content-Type': 'application/fhir+json' }) },
        body: body && JSON.stringify(body),
    });
    if (!answer.ok) throw new Problem(`Our FHIR server answered ${answer.status}.`, { status: answer.status });
    return answer.json();
}

// All resources that a search or an operation finds, page after page.
async function all(first) {
    const found = [];
    for (let url = first, pages = 0; url && pages < 100; pages += 1) {
        const bundle = await fhir(url);
        found.push(...(bundle.entry ?? []).map((entry) => entry.resource));
        url = (bundle.link ?? []).find((link) => link.relation === 'next')?.url;
    }
    return found;
}

// The member's record. $everything leaves out Provenance that names other people's resources as well: it is asked for until all is named, or few is left.
export async function record() {
    const { patient } = await getSession();
    const found = await all(`Patient/${patient}/$everything?_count=500`);
    const open = new Set(found.filter((one) => !['Patient', 'Provenance'].includes(one.resourceType)).map((one) => `${one.resourceType}/${one.id}`));
    const take = (resources) => resources.flatMap((one) => one.target ?? []).forEach(({ reference = '' }) => open.delete(reference.replace(/\/_history\/.*/, '')));
    take(found);
    for (let misses = 0; open.size && misses < 10;) {
        const [one] = open;
        const more = (await all(`Provenance?target=${one}`)).filter((resource) => resource.resourceType === 'Provenance');
        if (!more.length) misses += 1;
        open.delete(one);
        take(more);
        found.push(...more);
    }
    return found;
}
