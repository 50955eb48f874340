// SPDX-License-Identifier: Apache-2.0
// What the list of exchanges and the page of one say in the same way: payers, kinds, what is waited for, how long it takes.
import { call } from '../api.js';
import { h } from '../dom.js';
import { span } from '../format.js';

/** The kinds of jobs, in words. */
export const KINDS = {
    'p2p-exchange': 'Exchanges', 'definition-test': 'Tests of payers', 'jwks-refresh': 'Key sets', subscription: 'Subscription', 'task-look': 'Tasks read',
    mail: 'Mail sent',
};

// ---- Payers ----

const payers = new Map();  // pid: { name, archived }, or a promise of that
let list = null;

/** The first page of payers: { servers, more }; their names are known from then on. */
export async function firstPayers(signal) {
    if (list) return list;
    const { body } = await call('GET', '/admin/oidc_servers?archived=true', { signal });
    for (const server of body.servers) payers.set(server.pid, server);
    list = { servers: body.servers, more: body.next !== null };
    setTimeout(() => { list = null; }, 60000);
    return list;
}

/** Payers with these words in their names, a page at most. */
export async function findPayers(words, signal) {
    const { body } = await call('GET', `/admin/oidc_servers?archived=true&name=${encodeURIComponent(words)}`, { signal });
    for (const server of body.servers) payers.set(server.pid, server);
    return body.servers;
}

/** A payer by its number, as far as it can be had. */
export async function payerOf(pid) {
    if (!payers.has(pid)) payers.set(pid, call('GET', `/admin/oidc_servers/${pid}`).then((answer) => answer.body, () => ({ pid, name: `Payer ${pid}` })));
    return payers.get(pid);
}

/** A link to a payer, with its name as soon as that is known. */
export function payerLink(pid) {
    if (!pid) return h('span', { class: 'muted' }, 'none');
    const known = payers.get(pid);
    const link = h('a', { href: `#/payers/${pid}` }, known?.name ?? `Payer ${pid}`);
    if (!known?.name) payerOf(pid).then((payer) => { link.textContent = payer.name; });
    return link;
}

// ---- Time that goes on ----

function running(node) {
    const from = Date.parse(node.dataset.since);
    return span(Math.max(0, Math.floor((Date.now() - from) / 1000) * 1000));
}

function left(node) {
    const away = Math.ceil((Date.parse(node.dataset.until) - Date.now()) / 1000);
    return away > 0 ? `Next try in ${away < 60 ? `${away} s` : span(away * 1000)}.` : 'Tried again any moment.';
}

/** How long a job took, or has taken until now; since it was begun, not while it was queued. */
export function duration(job) {
    if (!job.startTime) return h('span', { class: 'muted none' }, '–');
    if (job.endTime) return span(Date.parse(job.endTime) - Date.parse(job.startTime));
    const node = h('span', { 'data-since': job.startTime });
    node.textContent = running(node);
    return node;
}

/** Keeps what duration and waitWords show right, each second, until signal aborts. */
export function keepTime(signal) {
    const timer = setInterval(() => {
        if (document.hidden) return;
        for (const [what, words] of [['since', running], ['until', left]]) {
            for (const node of document.querySelectorAll(`span[data-${what}]`)) {
                const text = words(node);
                if (node.textContent !== text) node.textContent = text;
            }
        }
    }, 1000);
    signal.addEventListener('abort', () => clearInterval(timer));
}

/** What a job waits for, in words, with a countdown in place of the moment. */
export function waitWords(waits) {
    const sentence = waits.until ? waits.sentence.replace(`: the next try is at ${waits.until}`, '') : waits.sentence;
    if (!waits.until) return sentence;
    const node = h('span', { 'data-until': waits.until, role: 'timer' });
    node.textContent = left(node);
    return [`${sentence} `, node];
}
