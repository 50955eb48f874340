// SPDX-License-Identifier: Apache-2.0
// Signing in at the provider that P2PSignIn names: authorization code with PKCE (RFC 7636), for a public client. Tokens live in this module alone.

const KEY = 'p2p-sign-in';           // of sessionStorage: what one sign-in under way needs to be finished
const home = new URL('./', import.meta.url);
const FRESH = 15000;                 // milliseconds: a token that is refused so soon is refused for good

let provider = null;
let tokens = null;                   // { access, refresh, since, name }
let renewing = null;
let ended = () => undefined;
let found = () => undefined;
const back = takeAnswer();

/** A sign-in that did not come to its end; message is for people. */
export class SignInProblem extends Error {}

// The provider sends people back with code and state in the query, or with an error: that leaves the address at once.
function takeAnswer() {
    const query = new URLSearchParams(location.search);
    if (!query.has('state') || !(query.has('code') || query.has('error'))) return null;
    history.replaceState(null, '', location.pathname + location.hash);
    return Object.fromEntries(query);
}

const base64url = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
const random = () => base64url(crypto.getRandomValues(new Uint8Array(32)));
const plain = (issuer) => String(issuer).replace(/\/$/, '');

/** Whether a provider is named, and nobody has signed in. */
export const needed = () => provider !== null && tokens === null;

/** Whether somebody has signed in here (httpd may know callers by itself, too). */
export const signedIn = () => tokens !== null;

/** The access token, or null. */
export const token = () => tokens?.access ?? null;

/** Who signed in, as the provider calls them; '' where it does not tell. */
export const name = () => tokens?.name ?? '';

/** What the provider is called here. */
export const issuer = () => provider?.issuer ?? '';

/** What is to happen when the token has ended and none can be had without the person. */
export function onEnd(listener) {
    ended = listener;
}

/** What is to happen when a provider is named that was not known when the page began; listener gets what went wrong with a sign-in that came back, or null. */
export function onFound(listener) {
    found = listener;
}

/** Asks who the provider is and finishes a sign-in that came back. Throws a SignInProblem, or an Error where nobody answers. */
export async function begin() {
    const answer = await fetch(new URL('sign-in.json', home), { cache: 'no-cache', credentials: 'same-origin' });
    if (!answer.ok) throw new SignInProblem(`How to sign in is not to be had for the moment (${answer.status}).`);
    provider = (await answer.json()).signIn;
    if (provider && back) await finish();
}

function takeSaved() {
    try {
        return JSON.parse(sessionStorage.getItem(KEY));
    } catch {
        return null;
    } finally {
        sessionStorage.removeItem(KEY);
    }
}

async function finish() {
    const saved = takeSaved();
    if (!saved || saved.state !== back.state) throw new SignInProblem('This sign-in was not begun in this window, or has been used already. Sign in again.');
    const asked = plain(provider.issuer);
    const named = back.iss ?? (provider.namesIssuer ? '' : asked);
    if (saved.issuer !== asked || plain(named) !== asked) throw new SignInProblem('The answer came from another provider than the one that was asked.');
    history.replaceState(null, '', location.pathname + saved.hash);
    if (back.error) throw new SignInProblem(wordsOf(back));
    const form = { grant_type: 'authorization_code', code: back.code, redirect_uri: home.href, client_id: provider.clientId, code_verifier: saved.verifier };
    keep(await redeem(form), saved.nonce);
}

function wordsOf({ error, error_description: description }) {
    if (error === 'access_denied') return 'The provider did not let you in.';
    return `The provider refuses to sign you in: ${description || error}.`.replace(/\.\.$/, '.');
}

async function redeem(form) {
    let answer;
    try {
        answer = await fetch(provider.tokenEndpoint, { method: 'POST', body: new URLSearchParams(form), credentials: 'omit', redirect: 'error', cache: 'no-store' });
    } catch {
        throw new SignInProblem(`The token endpoint of ${provider.issuer} does not answer this page. Is ${location.origin} one of the origins that the client may be used from?`);
    }
    const body = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new SignInProblem(wordsOf({ error: `the answer was ${answer.status}`, ...body }));
    if (!body.access_token || String(body.token_type).toLowerCase() !== 'bearer') throw new SignInProblem('The provider gave no bearer token.');
    return body;
}

// The ID token came from the token endpoint itself (OpenID Connect Core 3.1.3.7): its claims are looked at, and no signature.
function claimsOf(jwt) {
    const part = String(jwt).split('.')[1] ?? '';
    const bytes = Uint8Array.from(atob(part.replace(/-/g, '+').replace(/_/g, '/')), (letter) => letter.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes));
}

function checkId(jwt, nonce) {
    const claims = claimsOf(jwt);
    const good = plain(claims.iss) === plain(provider.issuer) && [claims.aud].flat().includes(provider.clientId) && claims.nonce === nonce;
    if (!good) throw new SignInProblem('The provider answered with an ID token of another sign-in.');
    return claims.name ?? claims.preferred_username ?? claims.email ?? claims.sub ?? '';
}

function keep(body, nonce) {
    let who = tokens?.name ?? '';
    if (nonce && !body.id_token) throw new SignInProblem('The provider gave no ID token, though it was asked for openid.');
    if (nonce) who = checkId(body.id_token, nonce);
    tokens = { access: body.access_token, refresh: body.refresh_token ?? tokens?.refresh ?? null, since: Date.now(), name: String(who) };
}

/** Goes to the provider; comes back to this view. The page is left: the promise does not resolve, unless it cannot be left. */
export async function leave() {
    if (!crypto.subtle) throw new SignInProblem('Signing in needs https: browsers give this page no cryptography without it.');
    const scopes = provider.scopes.split(/\s+/);
    const saved = { issuer: plain(provider.issuer), state: random(), verifier: random(), nonce: scopes.includes('openid') ? random() : null, hash: location.hash };
    const challenge = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(saved.verifier));
    const url = new URL(provider.authorizationEndpoint);
    if (!/^https?:$/.test(url.protocol)) throw new SignInProblem('The provider names an authorization endpoint that is no web address.');
    const query = {
        response_type: 'code', client_id: provider.clientId, redirect_uri: home.href, scope: provider.scopes, state: saved.state,
        code_challenge: base64url(challenge), code_challenge_method: 'S256',
        ...(saved.nonce ? { nonce: saved.nonce } : {}), ...(scopes.includes('offline_access') ? { prompt: 'consent' } : {}),
    };
    for (const [parameter, value] of Object.entries(query)) url.searchParams.set(parameter, value);
    sessionStorage.setItem(KEY, JSON.stringify(saved));
    location.assign(url);
    await new Promise(() => undefined);
}

/** After a 401: true where there is a new token to call with. Else who listens (onEnd) has the person sign in. */
export function renew() {
    renewing ??= renewed().finally(() => { renewing = null; });
    return renewing;
}

// A runner reads from the issuer where people sign in: a page that was opened before that asks again when the API wants to know who calls.
async function lookAgain() {
    if (provider) return false;
    const trouble = await begin().then(() => null, (problem) => problem);
    if (provider) found(trouble);
    return tokens !== null;
}

async function renewed() {
    if (!tokens) return lookAgain();
    if (Date.now() - tokens.since < FRESH) return false;
    if (tokens.refresh) {
        try {
            keep(await redeem({ grant_type: 'refresh_token', refresh_token: tokens.refresh, client_id: provider.clientId }));
            return true;
        } catch (problem) {
            if (!(problem instanceof SignInProblem)) throw problem;
        }
    }
    await ended();
    return false;
}

/** Forgets who signed in. */
export function signOut() {
    tokens = null;
    sessionStorage.removeItem(KEY);
}
