// SPDX-License-Identifier: Apache-2.0
// Overview: what needs a person first, then what happens now, and what was done by hour and by payer.
import { h, part, replace } from '../dom.js';
import { ago, badge, bytes, count, dash } from '../format.js';
import { live } from '../live.js';
import { bars, spark } from '../plot.js';
import { plainTable } from '../table.js';

export const title = 'Overview';

const LOOK = 2000;    // milliseconds between points of the lines,
const POINTS = 60;    // so many of them,
const WINDOW = 20000; // each of what came in so many milliseconds

const HOUR = new Intl.DateTimeFormat('en', { weekday: 'short', hour: '2-digit', minute: '2-digit', hour12: false });
const perSecond = (n) => (n >= 9.95 || n === 0 ? count(Math.round(n)) : n.toFixed(1));

// Where an object of the API is shown, and what the link says.
const PLACES = {
    batch_job: (id) => [`#/exchanges/${id}`, `Open exchange ${id}`],
    mail: (id) => [`#/mail/${id}`, 'Open the mail'],
    oidc_server: (id) => [`#/payers/${id}`, 'Open the payer'],
};
const KINDS = { 'mail-hold': ['#/mail', 'See the mail'] };
const GRAVE = ['no-runner', 'jobs-unserved', 'mail-hold'];

function linkOf({ kind, object }) {
    const [what, id] = (object ?? '').split('/');
    const [href, words] = PLACES[what]?.(id) ?? KINDS[kind] ?? [];
    return href ? h('a', { href }, words) : null;
}

function attention(list) {
    if (!list.length) return h('p', { class: 'good' }, badge('All well', 'good'), ' Nothing needs you.');
    const failed = list.filter(({ kind }) => kind === 'exchange-failed').length;
    return [
        h('ul', { class: 'plain needs' }, list.map((one) => h('li', { class: `banner ${GRAVE.includes(one.kind) ? 'bad' : 'warn'}` },
            h('p', one.sentence, one.time ? [' ', h('span', { class: 'muted' }, ago(one.time))] : null), linkOf(one)))),
        failed >= 5 ? h('p', h('a', { href: '#/exchanges?status=FAILED' }, 'All exchanges that failed')) : null,
    ];
}

function fact(words, value) {
    return [h('dt', words), h('dd', value)];
}

function queue({ waiting, more, running, resting, oldest }) {
    return h('dl', { class: 'facts' },
        fact('Waiting', waiting ? h('a', { href: '#/exchanges?status=STARTING' }, more ? `more than ${count(waiting)}` : count(waiting)) : '0'),
        fact('The oldest came', ago(oldest)),
        fact('Running', running ? h('a', { href: '#/exchanges?status=STARTED' }, count(running)) : '0'),
        fact('Waiting for a peer', count(resting)));
}

function runners(list) {
    if (!list.length) return h('p', { class: 'bad' }, 'None is alive.');
    return h('dl', { class: 'facts' }, list.map(({ host, slots, since }) => fact(host, [`${count(slots)}, began `, ago(since)])));
}

function hours(list) {
    const labels = list.map(({ hour }) => HOUR.format(new Date(hour)));
    const of = (name, by = 1) => list.map((one) => one[name] / by);
    return [
        bars({ title: 'Exchanges per hour', labels, series: ['completed', 'failed', 'stopped'].map((name, i) => ({ name, values: of(name), class: ['good', 'bad', 'warn'][i] })) }),
        bars({ title: 'Resources per second', labels, format: perSecond, whole: false, series: [{ name: 'resources', values: of('resources', 3600), class: 'accent' }] }),
        bars({ title: 'Bytes per second', labels, format: bytes, whole: false, series: [{ name: 'per second', values: of('bytes', 3600), class: 'accent' }] }),
        bars({ title: 'Errors of peers per hour', labels, series: [{ name: 'errors', values: of('errors'), class: 'bad' }] }),
    ];
}

const COLUMNS = [['Completed', 'completed'], ['Failed', 'failed'], ['Stopped', 'stopped'], ['Resources', 'resources'], ['Bytes', 'bytes', bytes], ['Errors', 'errors']];

function table(caption, first, rows) {
    const number = ([words, member, format = count]) => ({
        title: words, class: 'number', cell: ([, sums]) => (member === 'errors' && sums.errors ? h('span', { class: 'bad' }, format(sums.errors)) : format(sums[member])),
    });
    return plainTable({ caption, rows, columns: [{ title: first, cell: ([name]) => name }, ...COLUMNS.map(number)] });
}

function nameOf({ peer, pid, name }) {
    if (peer === 'target') return 'The target server';
    return pid ? h('a', { href: `#/payers/${pid}` }, name || peer) : [name || peer, h('span', { class: 'muted' }, ' (removed)')];
}

function peers(list) {
    if (list.length) return table('What was exchanged in the last day, by payer', 'Payer', list.map((one) => [nameOf(one), one]));
    return h('div', { class: 'empty' }, h('p', 'Nothing was exchanged in the last day.'),
        h('p', h('a', { href: '#/payers' }, 'See the payers'), ': each can be tested, and portals order exchanges with them.'));
}

// ---- What happens now: from one answer to the next ----

// What landed since the answer before: hour by hour, since the oldest one goes when a new one begins.
function landed(before, after, member) {
    const known = new Map(before.map((one) => [one.hour, one[member]]));
    return after.reduce((all, one) => all + Math.max(one[member] - (known.get(one.hour) ?? 0), 0), 0);
}

function rates(place, signal) {
    let last = null;
    let came = [];  // { at, resources, bytes } of the last WINDOW
    const begun = performance.now();
    const lines = { resources: [], bytes: [] };
    const drawn = { resources: h('div'), bytes: h('div') };
    const told = { resources: h('dd', dash()), bytes: h('dd', dash()) };
    const formats = { resources: perSecond, bytes };
    replace(place, h('dl', { class: 'facts' }, h('dt', 'Resources per second'), told.resources, h('dt', 'Bytes per second'), told.bytes),
        h('div', { class: 'sparks' }, drawn.resources, drawn.bytes));

    function draw(member) {
        const now = performance.now();
        came = came.filter(({ at }) => at > now - WINDOW);
        const rate = came.reduce((all, one) => all + one[member], 0) / Math.max(Math.min(now - begun, WINDOW), LOOK) * 1000;
        lines[member] = [...lines[member], rate].slice(-POINTS);
        replace(told[member], formats[member](rate));
        replace(drawn[member], spark({ title: `${member} per second, the last two minutes`, values: lines[member], points: POINTS, format: formats[member] }));
    }

    const timer = setInterval(() => { if (!document.hidden && last) Object.keys(lines).forEach(draw); }, LOOK);
    signal.addEventListener('abort', () => clearInterval(timer));
    Object.keys(lines).forEach((member) => replace(drawn[member], spark({ title: `${member} per second`, values: [], points: POINTS })));
    return (list) => {
        if (last) came.push({ at: performance.now(), resources: landed(last, list, 'resources'), bytes: landed(last, list, 'bytes') });
        last = list;
    };
}

export default async function show(main, { signal }) {
    const card = (words) => {
        const place = h('div');
        return [h('section', { class: 'card' }, h('h2', words), place), place];
    };
    const places = { attention: h('div'), hours: h('div', { class: 'grid hours' }), numbers: h('div'), peers: h('div') };
    const [queueCard, queuePlace] = card('Queue');
    const [rateCard, ratePlace] = card('Now');
    const [runnerCard, runnerPlace] = card('Runners');
    const draw = {
        attention: part(places.attention, attention), queue: part(queuePlace, queue), runners: part(runnerPlace, runners), peers: part(places.peers, peers),
    };
    const drawHours = part(places.hours, hours);
    const drawNumbers = part(places.numbers, (list) => table('What was exchanged, by hour', 'Hour', list.toReversed().map((one) => [HOUR.format(new Date(one.hour)), one])));
    const rate = rates(ratePlace, signal);
    let latest = [];
    const numbers = h('details', { ontoggle: () => numbers.open && drawNumbers(latest) }, h('summary', 'The hours in numbers'), places.numbers);
    const all = [h('section', { 'aria-label': 'What needs a person' }, places.attention), h('div', { class: 'grid' }, queueCard, rateCard, runnerCard),
        h('h2', 'The last two days'), places.hours, numbers, h('h2', 'Payers and the target, the last day'), places.peers];
    replace(main, h('h1', title));
    live('/admin/overview', signal, (body) => {
        latest = body.hours;
        rate(latest);
        drawHours(latest);
        if (numbers.open) drawNumbers(latest);
        for (const [member, show] of Object.entries(draw)) show(body[member]);
        if (!all[0].isConnected) main.append(...all);  // not before: nothing moves when the answer is late
    });
}
