// SPDX-License-Identifier: Apache-2.0
// Mail: the outbox by state, why nothing is sent where that is so, one mail, and sending it again.
import { call } from '../api.js';
import { h, replace } from '../dom.js';
import { ago, badge, count, dash, jobWord, time } from '../format.js';
import { live } from '../live.js';
import { act, ask, say } from '../notice.js';
import { pagedTable } from '../table.js';

export const title = 'Mail';

const STATES = { queued: ['queued', 'live'], sent: ['sent', 'good'], undeliverable: ['undeliverable', 'bad'], refused: ['refused', 'warn'] };
const TEMPLATES = {
    'add-payer-administrator': 'Request for a payer', 'add-payer-member': 'Request received',
    'add-payer-status-member': 'News of a request', 'exchange-completed-member': 'Exchange completed',
    'exchange-failed-member': 'Exchange failed', 'exchange-failed-administrator': 'Exchange failed',
};

// What an administrator can do where the fault does not say it; docs/operations.md, "Mail", has more.
const HINTS = {
    'mail-template': 'Mend the file; it is tried again each minute.',
    'key-missing': 'Put the key back; it is tried again each hour.',
    'mail-later': 'It is tried again by itself.',
    'mail-recipient': 'Tell the member in another way, or correct the address at the target and send it again.',
    'bad-address': 'Correct the address in the Task or Patient at the target, then send it again.',
    'no-address': 'Send it again when the member’s Patient has an e-mail address in use.',
    'too-many': 'See what is behind so many mails, then send it again.',
};

const templateWords = (mail) => TEMPLATES[mail.template] ?? mail.template;

function stateBadge(state) {
    const [words, kind] = STATES[state] ?? [state, ''];
    return badge(words, kind);
}

function recipient(mail) {
    return [mail.address ?? h('span', { class: 'muted' }, mail.endTime ? 'no address' : 'looked up when it goes'), h('span', { class: 'muted small' }, ` ${mail.role}`)];
}

function subject(mail) {
    if (mail.batchJobId) return [h('a', { href: `#/exchanges/${mail.batchJobId}` }, `exchange ${mail.batchJobId}`), `: ${jobWord(mail.status)}`];
    return [h('span', { class: 'mono' }, mail.subject), `: ${mail.status}`];
}

function holdBanner(hold) {
    return h('div', { class: 'banner warn' },
        h('p', h('strong', 'No mail is sent for now. '), hold.sentence, ' ', h('code', { class: 'muted' }, hold.code)),
        h('p', { class: 'small' }, 'Since ', time(hold.since), hold.until ? [', tried again ', ago(hold.until)] : null, '. “p2p-runner mail test ADDRESS” tries it at once.'));
}

function stateOf(body) {
    if (!body.on) return h('div', { class: 'banner warn' }, h('p', 'Mail is off: P2PMailServer is not set. What is to be mailed is not even noted.'));
    return body.hold ? holdBanner(body.hold) : null;
}

function tabs(chosen, counts) {
    const tab = (state, words, n) => h('li', h('a', { id: `state-${state || 'all'}`, href: state ? `#/mail?state=${state}` : '#/mail', 'aria-current': chosen === state ? 'true' : null },
        words, n === undefined ? null : ` ${count(n)}${n >= 1000 ? '+' : ''}`));
    return [tab('', 'all'), Object.entries(STATES).map(([state, [words]]) => tab(state, words, counts?.[state]))];
}

const COLUMNS = [
    { title: 'Noted', cell: (mail) => ago(mail.createTime) },
    { title: 'State', cell: (mail) => stateBadge(mail.state) },
    { title: 'Mail', cell: (mail) => h('a', { href: `#/mail/${mail.id}` }, templateWords(mail)) },
    { title: 'To', cell: recipient },
    { title: 'About', cell: subject },
    { title: 'Why it has not gone', cell: (mail) => (mail.fault ? [mail.fault, mail.due && mail.attempts ? [' Tried again ', ago(mail.due), '.'] : null] : dash()) },
];

const EMPTY = {
    '': 'No mail yet. Members are told here what becomes of their requests and exchanges, and administrators what needs them.',
    queued: 'Nothing waits to be sent.', sent: 'Nothing has been sent.', undeliverable: 'Nothing is undeliverable.', refused: 'Nothing was refused.',
};

function list(main, { query, signal }) {
    const chosen = Object.hasOwn(STATES, query.state ?? '') ? query.state : '';
    const above = h('div');
    const filter = h('ul', { class: 'tabs', 'aria-label': 'State' }, tabs(chosen));
    const onBody = (body) => {
        const focused = filter.contains(document.activeElement) ? document.activeElement.id : null;
        replace(above, stateOf(body));
        replace(filter, tabs(chosen, body.counts));
        if (focused) document.getElementById(focused)?.focus();
    };
    const table = pagedTable({
        path: chosen ? `/admin/mail?state=${chosen}` : '/admin/mail', rows: (body) => body.mails, columns: COLUMNS, caption: 'mails', empty: EMPTY[chosen], signal, onBody,
    });
    replace(main, h('h1', title), above, filter, table);
}

function resendQuestion(mail) {
    if (mail.state === 'sent') return 'It has been sent already: whoever has it gets it a second time (mailboxes that know its Message-ID show it once).';
    return mail.code === 'too-many' ? 'It goes at once, however many went to this address today.' : 'It is queued again and goes as soon as the mail server takes it.';
}

function facts(mail) {
    const fact = (name, value) => [h('dt', name), h('dd', value)];
    return h('dl', { class: 'facts' },
        fact('State', stateBadge(mail.state)), fact('To', recipient(mail)), fact('About', subject(mail)), fact('Text', [mail.template, h('span', { class: 'muted' }, ' in P2PMailTemplates')]),
        fact('Noted', time(mail.createTime)), fact('Attempts', count(mail.attempts)),
        mail.due ? fact('Goes, or is tried again', [time(mail.due), ' (', ago(mail.due), ')']) : null,
        mail.endTime ? fact(mail.state === 'sent' ? 'Sent' : 'Given up', time(mail.endTime)) : null);
}

function why(mail) {
    if (!mail.fault) return null;
    return h('div', { class: 'card' }, h('h2', 'Why it has not gone'), h('p', mail.fault, ' ', h('code', { class: 'muted' }, mail.code)),
        HINTS[mail.code] ? h('p', h('strong', 'What to do: '), HINTS[mail.code]) : null,
        mail.detail ? [h('h3', 'The mail server’s own words'), h('pre', mail.detail)] : null);
}

function one(main, { id, signal }) {
    const heading = h('h1', `Mail ${id}`);
    const page = h('div', { class: 'grid' });
    const again = h('button', { type: 'button', class: 'primary', hidden: true }, 'Send it again');
    let mail = null;
    const follow = live(`/admin/mail/${id}`, signal, (body) => {
        mail = body;
        again.hidden = mail.state === 'queued';
        heading.textContent = templateWords(mail);
        replace(page, h('div', { class: 'card' }, facts(mail)), why(mail));
    }, { onProblem: (problem) => { if (problem.status === 404) gone(main, id); return problem.status === 404; } });
    again.addEventListener('click', async () => {
        if (!await ask({ title: 'Send this mail again?', text: resendQuestion(mail), action: 'Send it again' })) return;
        await act(again, async () => {
            await call('POST', `/admin/mail/${id}/resend`);
            say('It is queued, and goes now.');
        });
        follow.again();
        if (again.hidden) heading.focus();
    });
    replace(main, h('p', { class: 'small' }, h('a', { href: '#/mail' }, 'Mail')), h('div', { class: 'head' }, heading, h('div', again)), page);
}

function gone(main, id) {
    replace(main, h('h1', 'Not there'), h('div', { class: 'empty' }, h('p', `There is no mail ${id}, or it has been removed since (P2PKeepJobs).`), h('p', h('a', { href: '#/mail' }, 'All mail'))));
}

export default async function show(main, context) {
    if (context.id) one(main, context);
    else list(main, context);
}
