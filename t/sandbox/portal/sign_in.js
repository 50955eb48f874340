// SPDX-License-Identifier: Apache-2.0
// Signing in at another payer: authorization code with PKCE (RFC 6749, 7636, 9207), for whatever an /api/oidc_servers/{id} says.
import { ask, Problem } from './calls.js';

const KEPT = 'sign-in';  // in sessionStorage, from the way there to the way back
const here = () => location.origin + location.pathname;
const bare = (issuer) => issuer.replace(/\/$/, '');
const base64url = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
const random = () => base64url(crypto.getRandomValues(new Uint8Array(32)));

// Where people sign in and where codes are redeemed: the discovery document's word, which has to be the definition's issuer's.
async function discover(server) {
    const url = server.authWellKnown || `${server.fhirEndpoint}/.well-known/smart-configuration`;
    const answer = await ask(url, { headers: { Accept: 'application/json' } });
    const found = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Problem(`${server.name} does not say where its members sign in (${answer.status}).`);
    if (found.issuer && bare(found.issuer) !== bare(server.issuer)) throw new Problem(`${server.name} names an issuer that is not its own.`);
    return { authorize: found.authorization_endpoint, token: server.tokenEndpoint || found.token_endpoint, tellsIssuer: found.authorization_response_iss_parameter_supported };
}

// https, or a machine of one's own: never a script.
function leadTo(endpoint, name) {
    const url = URL.canParse(endpoint ?? '') ? new URL(endpoint) : {};
    if (url.protocol === 'https:' || (url.protocol === 'http:' && ['127.0.0.1', 'localhost'].includes(url.hostname))) return url;
    throw new Problem(`${name} does not say where its members sign in.`);
}

// Leaves this page for the payer's. restart: the job that is to go on with new tokens.
export async function beginSignIn(server, restart) {
    if (!server.responseType.split(' ').includes('code')) throw new Problem(`${server.name} gives no authorization codes, which this portal needs.`);
    const url = leadTo((await discover(server)).authorize, server.name);
    const kept = { pid: server.pid, restart, state: random(), verifier: random(), key: random() };
    const challenge = base64url(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(kept.verifier)));
    const wanted = {
        response_type: 'code', client_id: server.clientId, redirect_uri: here(), scope: server.scopes, state: kept.state,
        code_challenge: challenge, code_challenge_method: 'S256', aud: server.fhirEndpoint,
        // OpenID Connect wants the member asked whenever offline_access is.
        ...(server.scopes.split(' ').includes('offline_access') && { prompt: 'consent' }),
    };
    for (const [name, value] of Object.entries(wanted)) url.searchParams.set(name, value);
    sessionStorage.setItem(KEPT, JSON.stringify(kept));
    location.assign(url);
}

// What the way back brought: { pid, restart, key, error } or { …, code, iss, verifier }; null where nobody comes back. It is out of the URL and of
// sessionStorage before anything else happens, so that neither the history nor a reload has it.
export function comingBack() {
    const params = new URLSearchParams(location.search);
    const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? 'null');
    if (!params.has('state')) return null;
    history.replaceState(null, '', here());
    sessionStorage.removeItem(KEPT);
    if (!kept || params.get('state') !== kept.state) throw new Problem('This answer belongs to no sign-in that began here. Please begin again.');
    return { ...kept, code: params.get('code'), iss: params.get('iss'), error: params.get('error') };
}

// customTokenParams: name=value goes into the token request; a bare name is the answer's member that names the patient.
function customParams(text) {
    const words = text.split(/[\s,]+/).filter(Boolean);
    return {
        extra: words.filter((word) => word.includes('=')).map((word) => [word.slice(0, word.indexOf('=')), word.slice(word.indexOf('=') + 1)]),
        names: [...words.filter((word) => !word.includes('=')), 'patient'],
    };
}

// The code becomes tokens: sourcePayer of an order. They are handed on at once and kept nowhere.
export async function redeem(server, back) {
    const found = await discover(server);
    if (back.iss ? bare(back.iss) !== bare(server.issuer) : found.tellsIssuer) throw new Problem('Someone other than that payer answered. Please begin again.');
    if (back.error === 'access_denied') throw new Problem(`You did not allow ${server.name} to give us your record, so nothing was fetched.`, { code: 'denied' });
    if (back.error || !back.code) throw new Problem(`${server.name} did not let you in (${back.error ?? 'no code'}).`);
    const { extra, names } = customParams(server.customTokenParams);
    const form = new URLSearchParams([['grant_type', 'authorization_code'], ['code', back.code], ['redirect_uri', here()], ['client_id', server.clientId],
        ['code_verifier', back.verifier], ...extra]);
    const answer = await ask(leadTo(found.token, server.name).href, { method: 'POST', body: form, headers: { Accept: 'application/json' } });
    const tokens = await answer.json().catch(() => ({}));
    if (!answer.ok || !tokens.access_token) throw new Problem(`${server.name} gave no token (${tokens.error ?? answer.status}). Please sign in again.`);
    const patientId = names.map((name) => tokens[name]).find((value) => typeof value === 'string');
    return { oidcToken: tokens.access_token, oidcRefreshToken: tokens.refresh_token, patientId };
}
