// SPDX-License-Identifier: Apache-2.0
// One exchange as a picture: resources retrieved, mapped and written over time, each part (or so many together) as a bar below, and the same as a table.
import { h, replace } from '../dom.js';
import { count, span } from '../format.js';
import { plainTable } from '../table.js';

const HEIGHT = 220;       // of the curves, in pixels
const LANES = 150;        // of all bars together
const LEFT = 48;
const RIGHT = 12;
const TOP = 10;
const AXIS = 26;
const POINTS = 240;       // of a curve
const BARS = 50;
const ROWS = 16;          // of the table
const SECONDS = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 604800, 2592000];
const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, ...SECONDS.map((seconds) => seconds * 1000)];  // of the axis, in milliseconds

const CURVES = [['retrieved', 'retrieved'], ['mapped', 'mapped'], ['written', 'done with: written, duplicate, skipped or rejected']];

/** A part of the report, reduced to what is drawn: times in milliseconds, 0 where they have not come. */
export function reduced(part) {
    const at = (iso) => (iso ? Date.parse(iso) : 0);
    return { received: at(part.receivedTime), mapped: at(part.mappedTime), landed: part.landed ? at(part.landedTime) : 0, retrieved: part.retrieved };
}

// Running sums over time. What came before begin counts from the beginning: an earlier attempt's.
function sums(parts, member, begin) {
    let sum = 0;
    return parts.filter((part) => part[member] && part.retrieved).sort((a, b) => a[member] - b[member])
        .map((part) => { sum += part.retrieved; return [Math.max(part[member], begin), sum]; });
}

// At most so many points of a curve that only rises: the last one of each stretch.
function thinned(points, begin, end, most) {
    const kept = [];
    const width = Math.max(1, (end - begin) / most);
    for (const point of points) {
        const slot = Math.floor((point[0] - begin) / width);
        if (kept.length && kept.at(-1).slot === slot) kept.pop();
        kept.push({ slot, point });
    }
    return kept.map(({ point }) => point);
}

function rising(points) {
    let most = 0;
    return points.sort((a, b) => a[0] - b[0]).map(([time, n]) => { most = Math.max(most, n); return [time, most]; });
}

// The curves of a job: { begin, end, most, retrieved, mapped, written: [[time, resources]] }, or null where nothing has come. samples: [time, retrieved, done with], as seen.
function curvesOf(job, parts, samples) {
    const first = Math.min(...parts.map((part) => part.received || Infinity), ...samples.map(([time]) => time));
    if (!Number.isFinite(first)) return null;
    const begin = job.startTime ? Date.parse(job.startTime) : first;
    const now = Date.parse(job.endTime ?? job.lastUpdated);
    const all = { retrieved: sums(parts, 'received', begin), mapped: sums(parts, 'mapped', begin), written: sums(parts, 'landed', begin) };
    const end = Math.max(begin + 10, now, ...Object.values(all).flatMap((points) => (points.length ? [points.at(-1)[0]] : [])));
    const { retrieved, waiting } = job.progress;
    const ends = { retrieved, mapped: Math.max(all.mapped.at(-1)?.[1] ?? 0, retrieved - waiting), written: retrieved - waiting };
    ['retrieved', 'written'].forEach((name, i) => { all[name] = rising([...all[name], ...samples.map((sample) => [Math.max(sample[0], begin), sample[i + 1]])]); });
    for (const [name] of CURVES) all[name] = rising([...thinned(all[name], begin, end, POINTS), [end, ends[name]]]);
    return { begin, end, most: Math.max(1, ...CURVES.map(([name]) => all[name].at(-1)[1])), ...all };
}

// ---- Drawing ----

const places = (n) => Math.round(n * 10) / 10;

function stepped(points, x, y) {
    let path = `M${places(x(points.begin))} ${places(y(0))}`;
    for (const [time, n] of points.list) path += `H${places(x(time))}V${places(y(n))}`;
    return path;
}

function ticks(curves, x, width) {
    const lasts = curves.end - curves.begin;
    const step = STEPS.find((one) => lasts / one <= Math.max(2, width / 90)) ?? lasts;
    const marks = [];
    for (let at = 0; at <= lasts; at += step) {
        const left = places(x(curves.begin + at));
        marks.push(h('svg:line', { x1: left, x2: left, y1: TOP, y2: HEIGHT }), h('svg:text', { x: left, y: HEIGHT + 16, 'text-anchor': at ? 'middle' : 'start' }, at ? span(at) : '0 s'));
    }
    return marks;
}

function levels(most, y, width) {
    const step = [1, 2, 5].flatMap((n) => [...Array(13).keys()].map((zeros) => n * 10 ** zeros)).sort((a, b) => a - b).find((one) => most / one <= 4) ?? most;
    const marks = [];
    for (let n = step; n <= most; n += step)
        marks.push(h('svg:line', { x1: LEFT, x2: width - RIGHT, y1: places(y(n)), y2: places(y(n)) }), h('svg:text', { x: LEFT - 6, y: places(y(n)) + 4, 'text-anchor': 'end' }, n >= 10000 ? `${count(n / 1000)}k` : count(n)));
    return marks;
}

// Bars: each part, or so many in a row together, from its first receipt to its last landing; 0 where that has not come.
function lanesOf(parts, most = BARS) {
    const drawn = parts.filter((part) => part.received);
    const each = Math.max(1, Math.ceil(drawn.length / most));
    const lanes = [];
    for (let i = 0; i < drawn.length; i += each) {
        const some = drawn.slice(i, i + each);
        const last = (member) => (some.some((part) => !part[member]) ? 0 : Math.max(...some.map((part) => part[member])));
        lanes.push({ received: Math.min(...some.map((part) => part.received)), mapped: last('mapped'), landed: last('landed') });
    }
    return { each, lanes };
}

function bar(lane, i, size, curves, x) {
    const top = places(HEIGHT + AXIS + i * size);
    const at = (time, otherwise) => x(Math.min(curves.end, Math.max(curves.begin, time || otherwise)));
    const [from, mid, to] = [at(lane.received), at(lane.mapped, curves.end), at(lane.landed, curves.end)];
    const block = (begin, end, name) => (end > begin ? h('svg:rect', { x: places(begin), y: top, width: places(Math.max(1.5, end - begin)), height: places(Math.max(1, size - 1)), class: name }) : null);
    return [block(from, lane.mapped ? mid : to, 'mapped'), lane.mapped ? block(mid, Math.max(mid + 1.5, to), lane.landed ? 'written' : 'open') : null];
}

function bars(parts, curves, x) {
    const { each, lanes } = lanesOf(parts);
    const size = Math.min(14, LANES / Math.max(1, lanes.length));
    return { each, nodes: lanes.flatMap((lane, i) => bar(lane, i, size, curves, x)) };
}

function words(job, curves, parts) {
    const { progress } = job;
    return `${count(progress.retrieved)} resources retrieved and ${count(progress.retrieved - progress.waiting)} done with (written, duplicate, skipped or rejected), in ${count(parts.length)} parts and ${span(curves.end - curves.begin)}.`;
}

function draw(place, job, parts, curves) {
    const width = Math.max(260, Math.round(place.clientWidth || 800));
    const x = (time) => LEFT + ((time - curves.begin) / (curves.end - curves.begin)) * (width - LEFT - RIGHT);
    const y = (n) => HEIGHT - (n / curves.most) * (HEIGHT - TOP);
    const below = bars(parts, curves, x);
    const token = job.tokenRefreshed ? Date.parse(job.tokenRefreshed) : 0;
    const line = (name) => h('svg:path', { class: `curve ${name}`, d: stepped({ begin: curves.begin, list: curves[name] }, x, y) });
    replace(place, h('svg:svg', { class: 'plot flow', viewBox: `0 0 ${width} ${HEIGHT + AXIS + LANES}`, role: 'img', 'aria-label': words(job, curves, parts) },
        levels(curves.most, y, width), ticks(curves, x, width), CURVES.map(([name]) => line(name)),
        token > curves.begin && token <= curves.end ? [h('svg:line', { class: 'token', x1: places(x(token)), x2: places(x(token)), y1: TOP, y2: HEIGHT })] : null, below.nodes));
    return below.each;
}

function table(curves) {
    const at = (points, time) => points.findLast((point) => point[0] <= time)?.[1] ?? 0;
    const times = Array.from({ length: ROWS }, (_, i) => curves.begin + ((curves.end - curves.begin) * (i + 1)) / ROWS);
    const number = (title, name) => ({ title, class: 'number', cell: (time) => count(at(curves[name], time)) });
    return plainTable({ caption: 'Resources over time', rows: times, columns: [{ title: 'After', cell: (time) => span(time - curves.begin) },
        number('Retrieved', 'retrieved'), number('Mapped', 'mapped'), number('Done with', 'written')] });
}

/** The picture: { element, show(job, parts, more) }. parts: reduced(); more: there are parts that are not among them yet. */
export function picture(signal) {
    const place = h('div', { class: 'flow-place' });
    const note = h('p', { class: 'small muted flow-note' });
    const asTable = h('div');
    const details = h('details', { ontoggle: () => last && details.open && replace(asTable, table(last.curves)) }, h('summary', 'The same as a table'), asTable);
    const legend = h('ul', { class: 'legend' }, CURVES.map(([name, label]) => h('li', { class: name }, label)), h('li', { class: 'token', hidden: true }, 'token refreshed'));
    const samples = [];
    let last = null;
    const again = () => {
        if (!last) return;
        const each = draw(place, last.job, last.parts, last.curves);
        replace(note, `Below the curves: ${each > 1 ? `each bar is ${count(each)} parts` : 'each bar is a part'} (a page, or a single resource), from when it was received over when it was mapped to when it landed.`,
            last.more ? ` ${last.more}` : null);
        legend.lastChild.hidden = !last.job.tokenRefreshed;
        if (details.open) replace(asTable, table(last.curves));
    };
    const watch = new ResizeObserver(again);
    watch.observe(place);
    signal.addEventListener('abort', () => watch.disconnect());
    return {
        element: h('figure', { class: 'flow-figure' }, legend, place, h('figcaption', note, details)),
        sample(job) {
            const { retrieved, waiting } = job.progress;
            if (job.batchStatus !== 'STARTED' || (samples.at(-1)?.[1] === retrieved && samples.at(-1)[2] === retrieved - waiting)) return;
            samples.push([Date.parse(job.lastUpdated), retrieved, retrieved - waiting]);
            if (samples.length > 2 * POINTS) samples.splice(0, samples.length, ...samples.filter((_, i) => i % 2));
        },
        forget() { samples.length = 0; },
        show(job, parts, more) {
            const curves = curvesOf(job, parts, samples);
            last = curves ? { job, parts, curves, more } : null;
            if (curves) again();
            else replace(place, h('p', { class: 'muted' }, job.endTime ? 'Nothing was retrieved.' : 'Nothing has come yet. What is retrieved is drawn here as it comes.'));
        },
    };
}
