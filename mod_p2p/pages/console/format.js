// SPDX-License-Identifier: Apache-2.0
// How times, spans, numbers and states are shown: the same everywhere.
import { h } from './dom.js';

const two = (n) => String(n).padStart(2, '0');
const NUMBER = new Intl.NumberFormat('en');
const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** A moment of the API (ISO 8601, UTC) as a <time> of this place, to the second, with UTC as its title; a dash where there is none. */
export function time(iso) {
    return iso ? stamp(iso, clock(new Date(iso))) : dash();
}

/** The same, as how long ago it was (or how soon it will be); the text is kept right while it is shown. */
export function ago(iso) {
    if (!iso) return dash();
    const node = stamp(iso, relative(iso));
    node.dataset.ago = '';
    return node;
}

/** What stands where there is nothing to show. */
export function dash() {
    return h('span', { class: 'muted none' }, '–');
}

function clock(date) {
    const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
    return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

function stamp(iso, text) {
    return h('time', { datetime: iso, title: `${clock(new Date(iso))} here, ${iso.slice(0, 19).replace('T', ' ')} UTC` }, text);
}

function relative(iso) {
    const away = Date.now() - Date.parse(iso);
    if (away > -1000 && away < 10000) return 'now';
    if (away >= 10000 && away < 60000) return `${Math.floor(away / 10000)}0 s ago`;
    return away > 0 ? `${rough(away)} ago` : `in ${rough(-away)}`;
}

function rough(ms) {
    const s = ms / 1000;
    if (s < 60) return `${Math.floor(s)} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min`;
    if (s < 172800) return `${Math.floor(s / 3600)} h`;
    return `${Math.floor(s / 86400)} days`;
}

/** How long something took, in milliseconds: 87 ms, 4.2 s, 3 min 5 s, 2 h 10 min, 3 days 4 h. */
export function span(ms) {
    if (ms === null || ms === undefined || Number.isNaN(ms)) return '–';
    if (ms < 1000) return `${Math.round(ms)} ms`;
    if (ms < 10000) return `${(ms / 1000).toFixed(1)} s`;
    const s = Math.round(ms / 1000);
    if (s < 60) return `${s} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
    if (s < 172800) return `${Math.floor(s / 3600)} h ${Math.floor(s / 60) % 60} min`;
    return `${Math.floor(s / 86400)} days ${Math.floor(s / 3600) % 24} h`;
}

/** A number with its thousands parted. */
export function count(n) {
    return n === null || n === undefined ? '–' : NUMBER.format(n);
}

/** Bytes, in powers of 1000: 63.1 kB. */
export function bytes(n) {
    if (n === null || n === undefined) return '–';
    let unit = 0;
    let left = n;
    while (left >= 999.5 && unit < UNITS.length - 1) {
        left /= 1000;
        unit += 1;
    }
    return `${unit && left < 99.95 ? left.toFixed(1) : NUMBER.format(Math.round(left))} ${UNITS[unit]}`;
}

const STATES = {
    STARTING: ['queued', ''], STARTED: ['running', 'live'], STOPPING: ['stopping', 'warn'], STOPPED: ['stopped', 'warn'],
    COMPLETED: ['completed', 'good'], FAILED: ['failed', 'bad'], ABANDONED: ['abandoned', 'warn'], UNKNOWN: ['unknown', 'warn'],
};

/** A few words in a coloured frame; kind is good, warn, bad, live or nothing. The words say it all: colour only helps. */
export function badge(words, kind = '') {
    return h('span', { class: `badge ${kind}`.trim() }, words);
}

/** The badge of a batchStatus, in plain words. */
export function jobStatus(status) {
    const [words, kind] = STATES[status] ?? [String(status), ''];
    return badge(words, kind);
}

/** The word that jobStatus shows. */
export function jobWord(status) {
    return STATES[status]?.[0] ?? String(status);
}

setInterval(() => {
    if (document.hidden) return;
    for (const node of document.querySelectorAll('time[data-ago]')) {
        const text = relative(node.dateTime);
        if (node.textContent !== text) node.textContent = text;
    }
}, 1000);
