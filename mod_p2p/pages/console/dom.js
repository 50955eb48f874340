// SPDX-License-Identifier: Apache-2.0
// Elements are made here, and text only ever becomes text: no markup is parsed anywhere in the console.

const SVG = 'http://www.w3.org/2000/svg';

/** What replaces all of parent's children: nodes, strings and numbers; arrays are flattened, null and booleans left out. */
export function replace(parent, ...children) {
    parent.replaceChildren(...nodesOf(children));
    return parent;
}

function nodesOf(children) {
    return children.flat(Infinity).filter((child) => child !== null && child !== undefined && typeof child !== 'boolean')
        .map((child) => (child instanceof Node ? child : document.createTextNode(String(child))));
}

function isAttributes(thing) {
    return thing !== null && typeof thing === 'object' && !Array.isArray(thing) && !(thing instanceof Node);
}

/**
 * An element: h('a', { href, class: 'muted', onclick: () => … }, 'text', node, [more]). A tag 'svg:rect' is of SVG. An attribute that is a function becomes
 * a listener, one that is true stands without a value, and one that is null, undefined or false is left out.
 */
export function h(tag, ...rest) {
    const node = tag.startsWith('svg:') ? document.createElementNS(SVG, tag.slice(4)) : document.createElement(tag);
    if (isAttributes(rest[0])) {
        for (const [name, value] of Object.entries(rest.shift())) set(node, name, value);
    }
    node.append(...nodesOf(rest));
    return node;
}

function set(node, name, value) {
    if (value === null || value === undefined || value === false) return;
    if (typeof value === 'function') node.addEventListener(name.replace(/^on/, ''), value);
    else if (name === 'value') node.value = value;
    else node.setAttribute(name, value === true ? '' : String(value));
}

/**
 * A place that is drawn again where its data has changed, and only then: part(element, draw) gives show(...data). What had the focus has it again, by its id or
 * href; where it has gone, the view's heading.
 */
export function part(element, draw) {
    let drawn = null;
    return (...data) => {
        const json = JSON.stringify(data);
        if (json === drawn) return;
        drawn = json;
        const { id, href } = element.contains(document.activeElement) ? document.activeElement : {};
        replace(element, draw(...data));
        if (id === undefined) return;
        const again = [...element.querySelectorAll('a, button, [id]')].find((node) => (id ? node.id === id : href && node.href === href));
        (again ?? document.querySelector('main h1'))?.focus({ preventScroll: true });
    };
}
