// SPDX-License-Identifier: Apache-2.0
// The fields of a definition in the guide's words, with their rules, and what of them an edit changes.
import { h } from '../dom.js';
import { field, keyFault, secret, words } from '../form.js';

const code = (text) => h('code', text);
const WORDS = [['code', 'authorization code: the usual one'], ['token', 'access token'], ['id_token', 'ID token'], ['none', 'nothing; stands alone']];

// Each of them: { name (of the API), label (of the guide), part, kind (makes the field), more (that it is made with) }.
const FIELDS = [
    { name: 'name', label: 'Server Name', part: 'The payer', kind: field, more: {
        required: true, hint: 'What members are shown to choose from. Up to 200 bytes.' } },
    { name: 'organizationId', label: 'Organization ID', part: 'The payer', kind: field, more: {
        hint: 'The payer’s own identifier, for example its five-digit industry payer ID. Up to 200 bytes.' } },
    { name: 'fhirEndpoint', label: 'FHIR Endpoint URL', part: 'The payer', kind: field, more: {
        required: true, mono: true, placeholder: 'https://fhir.payer.example/r4',
        hint: 'Where the record is retrieved: FHIR R4, in JSON. https, without user name, query and fragment.' } },
    { name: 'issuer', label: 'Issuer', part: 'Its authorization server', kind: field, more: {
        required: true, mono: true, placeholder: 'https://auth.payer.example',
        hint: () => [code('iss'), ' of its tokens. It identifies the definition: no two have the same. https, without query and fragment; a slash at its end does not count.'] } },
    { name: 'authWellKnown', label: 'Auth Well-Known Configuration URL', part: 'Its authorization server', kind: field, more: {
        mono: true, placeholder: 'https://auth.payer.example/.well-known/openid-configuration',
        hint: () => ['Its OpenID discovery document. Blank: ', code('/.well-known/smart-configuration'), ' below the FHIR endpoint.'] } },
    { name: 'tokenEndpoint', label: 'Token URL', part: 'Its authorization server', kind: field, more: {
        mono: true, hint: 'Where codes become tokens, and tokens are refreshed. Blank: what the well-known document names.' } },
    { name: 'clientId', label: 'Client ID', part: 'Our client there', kind: field, more: {
        mono: true, hint: 'As the payer registered us.' } },
    { name: 'clientSecret', label: 'Client Secret', part: 'Our client there', kind: secret, more: {
        hint: 'It is stored sealed and never shown again. Blank: we are a public client.' } },
    { name: 'scopes', label: 'Request Scopes', part: 'Our client there', kind: field, more: {
        mono: true, placeholder: 'openid offline_access launch/patient patient/*.read',
        hint: () => ['What the portal asks for, parted by spaces. ', code('offline_access'), ' lets exchanges go on when an access token has ended.'] } },
    { name: 'responseType', label: 'Response Type', part: 'Our client there', kind: words, more: {
        choices: WORDS, alone: 'none', hint: () => ['What the portal asks for when it sends the member there; several together make one, such as ', code('code id_token'), '. None chosen: ', code('code'), '.'] } },
    { name: 'customTokenParams', label: 'Custom Token Parameters', part: 'Our client there', kind: field, more: {
        mono: true, placeholder: 'audience=https://fhir.payer.example/r4, memberId',
        hint: () => ['Parted by commas or spaces. ', code('name=value'), ' is added to each token request. One bare name says which member of the token answer holds the member’s id at the payer; ',
            code('patient'), ' is looked at where there is none.'] } },
    { name: 'keyText', label: 'Key (Text)', part: 'Its public keys', kind: secret, more: {
        type: 'area', file: 'Take it from a file…',
        hint: 'A JWK or a JWK set that the payer signs with: public keys alone, RSA of 2048 to 4096 bits, or EC on P-256, P-384 or P-521. Blank: its published keys are used.' } },
    { name: 'keyFile', label: 'Key (File)', part: 'Its public keys', kind: field, more: {
        mono: true, placeholder: 'payer-a.jwks',
        hint: () => ['Or the name of a file with such keys in ', code('P2PKeyDir'), ' on the server: letters, digits, dots, hyphens and underscores, no path.'] } },
    { name: 'notes', label: 'Notes', part: 'Notes', kind: field, more: {
        type: 'area', hint: 'For administrators alone: where we are registered, whom to ask.' } },
];

const WRITE_ONLY = { clientSecret: 'clientSecretSet', keyText: 'keyTextSet' };

// The label of a member.
const labelOf = (name) => FIELDS.find((one) => one.name === name)?.label ?? name;

/** All fields, in sections with headings; each is filled with what definition has. */
export function makeFields(definition) {
    const parts = [...new Set(FIELDS.map((one) => one.part))];
    return parts.map((part) => h('section', { class: 'part' }, h('h2', part), FIELDS.filter((one) => one.part === part).map(({ name, label, kind, more }) => {
        const one = kind({ name, label, ...more });
        one.write(name in WRITE_ONLY ? Boolean(definition[WRITE_ONLY[name]]) : definition[name] ?? '');
        return one;
    })));
}

/** Fills the fields anew. */
export function fill(fields, definition) {
    for (const one of fields) one.write(one.dataset.field in WRITE_ONLY ? Boolean(definition[WRITE_ONLY[one.dataset.field]]) : definition[one.dataset.field] ?? '');
}

const lines = (text) => text.replace(/\r\n?/g, '\n');  // as a form has them

/** What the person has changed since definition was read, as a merge patch: members that are removed are null. */
export function changesOf(fields, definition) {
    const patch = {};
    for (const one of fields) {
        const name = one.dataset.field;
        const value = one.read();
        if (name in WRITE_ONLY) {
            if (value !== undefined && (value !== '' || definition[WRITE_ONLY[name]])) patch[name] = value === '' ? null : value;
        } else if (value !== lines(definition[name] ?? '') && !(name === 'responseType' && value === '' && definition.responseType === 'code')) {
            patch[name] = value === '' ? null : value;
        }
    }
    return patch;
}

/** A new definition's members: those that are not blank. */
export function valuesOf(fields) {
    return Object.fromEntries(fields.map((one) => [one.dataset.field, one.read()]).filter(([, value]) => value));
}

/** A fault that is seen without asking the API, at its field; true where there is one. What is no public key does not leave the browser. */
export function refuse(fields) {
    const keys = fields.find((one) => one.dataset.field === 'keyText');
    const text = keys.read();
    const fault = text ? keyFault(text) : null;
    if (fault) {
        keys.fail(fault);
        keys.focusField();
    }
    return fault !== null;
}

const shown = (name, definition) => (name in WRITE_ONLY ? (definition[WRITE_ONLY[name]] ? 'set' : 'not set') : String(definition[name] ?? '') || 'blank');

/**
 * What two people made of a definition: base (what both read), theirs (what is stored now) and patch (mine): [{ label, base, theirs, mine }] as texts, of each member
 * that either changed; secrets are told as set or changed.
 */
export function differences(base, theirs, patch) {
    const names = [...FIELDS.map((one) => one.name), 'archived'];
    return names.flatMap((name) => {
        const [before, now] = [shown(name, base), shown(name, theirs)];
        const mine = !(name in patch) ? null : name in WRITE_ONLY ? (patch[name] === null ? 'removed' : 'a new one') : patch[name] ?? 'blank';
        if (before === now && mine === null) return [];
        return [{ label: labelOf(name), base: before, theirs: before === now ? null : now, mine }];
    });
}
