// SPDX-License-Identifier: Apache-2.0
// Watches the pages of a browser context for what no page of ours may do: errors on the console or that nobody catches, reports of the content security
// policy, requests to origins that are not ours, dialogs, and layout that shifts.

const BORNE = 0.1; // the sum of layout shifts in a window of five seconds, as the metric Cumulative Layout Shift has it

// Runs in every page before its own scripts.
function inPage() {
  const tell = (kind, detail) => window.p2pTold?.(kind, detail);
  document.addEventListener('securitypolicyviolation', (event) => {
    tell('content security policy', `${event.effectiveDirective} ${event.blockedURI} ${event.sourceFile ?? ''}:${event.lineNumber} ${event.sample}`);
  });
  // Whatever moves within two seconds of what a person did may be the answer to it; browsers say half a second, which is little on a busy machine.
  let touched = -Infinity;
  for (const kind of ['hashchange', 'pointerdown', 'pointerup', 'keydown', 'input']) {
    window.addEventListener(kind, () => { touched = performance.now(); }, { capture: true, passive: true });
  }
  const name = (node) => (node?.nodeType === 1 ? node.cloneNode(false).outerHTML.slice(0, 120) : String(node?.nodeName));
  try {
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) {
        if (!entry.hadRecentInput && entry.startTime - touched > 2000) tell('shift', { value: entry.value, at: entry.startTime, nodes: entry.sources.map((source) => name(source.node)) });
      }
    }).observe({ type: 'layout-shift', buffered: true });
  } catch { /* not a document that is laid out */ }
}

// The largest sum of shifts in a session window: gaps under a second, five seconds at most.
export function largestWindow(shifts) {
  let largest = { value: 0, nodes: [] };
  let current;
  for (const { value, at, nodes } of shifts) {
    if (!current || at - current.last > 1000 || at - current.first > 5000 || at < current.last) current = { first: at, value: 0, nodes: [] };
    current.value += value;
    current.last = at;
    current.nodes.push(...nodes);
    if (current.value > largest.value) largest = { value: current.value, nodes: [...current.nodes] };
  }
  return largest;
}

export class Watch {
  constructor({ origins, shift = BORNE }) {
    Object.assign(this, { origins: new Set(origins), borne: shift, seen: [], traffic: [], shifts: new Map() });
  }

  async over(context) {
    await context.exposeBinding('p2pTold', ({ page, frame }, kind, detail) => {
      if (kind !== 'shift') this.seen.push(`${kind}: ${detail} (at ${frame.url()})`);
      else if (frame === page.mainFrame()) this.shifts.set(page, [...this.shifts.get(page) ?? [], detail]);
    });
    await context.addInitScript(inPage);
    context.on('console', (message) => {
      if (['error', 'warning', 'assert'].includes(message.type())) {
        this.seen.push(`console ${message.type()}: ${message.text()} (${message.location().url}:${message.location().lineNumber})`);
      }
    });
    context.on('weberror', (error) => this.seen.push(`nobody caught: ${error.error()?.stack ?? error.error()}`));
    context.on('dialog', (dialog) => {
      this.seen.push(`dialog: ${dialog.type()} ${dialog.message()}`);
      dialog.dismiss().catch(() => {});
    });
    context.on('request', (request) => this.requested(request));
  }

  requested(request) {
    const url = new URL(request.url());
    if (['data:', 'blob:', 'about:'].includes(url.protocol)) return;
    if (!this.origins.has(url.origin)) this.seen.push(`request to another origin: ${request.method()} ${request.url()}`);
    const entry = { method: request.method(), path: url.pathname + url.search, origin: url.origin, status: null, type: request.resourceType() };
    this.traffic.push(entry);
    request.response().then((response) => { entry.status = response?.status() ?? 'failed'; }, () => { entry.status = 'failed'; });
  }

  // What the pages have to say until now arrives before this returns.
  async settle(context) {
    for (const page of context.pages()) {
      await page.evaluate(() => new Promise((resolve) => { setTimeout(resolve, 0); })).catch(() => {});
    }
  }

  faults() {
    const moved = [...this.shifts.values()].map(largestWindow).filter(({ value }) => value > this.borne)
      .map(({ value, nodes }) => `layout shift of ${value.toFixed(3)}: ${[...new Set(nodes)].slice(0, 5).join(' ')}`);
    return [...this.seen, ...moved];
  }
}
