// SPDX-License-Identifier: Apache-2.0
// Small pictures of numbers: bars and a line, coloured by classes, each said in words as well.
import { h } from './dom.js';
import { count } from './format.js';

const WIDE = 10;  // of a bar with its gap, in units of the picture
const HIGH = 100;

const sum = (values) => values.reduce((all, value) => all + value, 0);

function picture(width, label, ...children) {
    return h('svg:svg', { class: 'plot', viewBox: `0 0 ${width} ${HIGH}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': label }, children);
}

function column(series, i, label, top, format) {
    let from = HIGH;
    const parts = series.map(({ values, class: kind }) => {
        const height = values[i] ? Math.max(values[i] / top * (HIGH - 1), 1.5) : 0;
        from -= height;
        return height ? h('svg:rect', { class: kind, x: i * WIDE + 1, y: from.toFixed(2), width: WIDE - 2, height: height.toFixed(2) }) : null;
    });
    const told = series.map(({ name, values }) => `${format(values[i])} ${name}`).join(', ');
    return h('svg:g', h('svg:title', `${label}: ${told}`), h('svg:rect', { class: 'hit', x: i * WIDE, y: 0, width: WIDE, height: HIGH }), parts);
}

/**
 * Bars of several series on top of each other: a <figure>. title: what they are; labels: of each bar; series: [{ name, values, class }], class good, warn, bad or
 * accent; format: of a number. What is seen is said in the picture's name: the last bar, the highest, and all together where whole is not false.
 */
export function bars({ title, labels, series, format = count, whole = true }) {
    const totals = labels.map((_, i) => sum(series.map(({ values }) => values[i])));
    const top = Math.max(...totals, 0);
    const last = labels.length - 1;
    const said = top ? `${labels[last]}: ${format(totals[last])}. Most: ${format(top)}, ${labels[totals.indexOf(top)]}.${whole ? ` All: ${format(sum(totals))}.` : ''}` : 'Nothing.';
    const keys = series.length > 1 ? h('p', { class: 'keys small' }, series.map(({ name, class: kind }) => h('span', { class: `key ${kind}` }, name))) : null;
    return h('figure', { class: 'bars' },
        h('figcaption', h('span', title), h('span', { class: 'muted small' }, top ? `most ${format(top)}` : 'nothing yet')),
        picture(labels.length * WIDE, `${title}. ${said}`, labels.map((label, i) => column(series, i, label, top || 1, format))),
        h('p', { class: 'axis muted small', 'aria-hidden': 'true' }, h('span', labels[0]), h('span', labels[last])), keys);
}

/** A line of the last values, of which as many as points fit in; an SVG that says title and the last one. */
export function spark({ title, values, points = values.length, format = count, class: kind = 'accent' }) {
    const top = Math.max(...values, 0) || 1;
    const from = points - values.length;
    const way = values.map((value, i) => `${i ? 'L' : 'M'}${from + i} ${(HIGH - 4 - value / top * (HIGH - 8)).toFixed(1)}`).join('');
    const said = values.length ? `${title}: ${format(values.at(-1))}, at most ${format(Math.max(...values))}` : `${title}: not known yet`;
    return picture(Math.max(points - 1, 1), said, way ? h('svg:path', { class: `line ${kind}`, d: values.length > 1 ? way : `${way}h0`, 'vector-effect': 'non-scaling-stroke' }) : null);
}
