// SPDX-License-Identifier: Apache-2.0
// Pages with one fault each, which the watch has to see; nothing here is a page of ours.
import http from 'node:http';
import { flow } from './lib/flow.js';
import { press, stops, tabTo } from './lib/keys.js';
import { largestWindow } from './lib/watch.js';

const GOOD = '<main><h1>Good</h1><p><a href="#there">A link</a> <button type="button" id="b">A button</button></p></main>';
const MOVES = '<div id="top"></div><main><h1>Moves</h1><p style="height:400px">text</p></main>'
  + '<script>setTimeout(() => { document.getElementById("top").style.height = "300px"; }, 300)</script>';
const FAULTS = [
  ['an error on the console', '<script>console.error("oh")</script>', /^console error: oh/],
  ['an exception', '<script>null.x()</script>', /^nobody caught: TypeError/],
  ['a rejection', '<script>Promise.reject(new Error("refused"))</script>', /^nobody caught: Error: refused/],
  ['a dialog', '<script>alert(1)</script>', /^dialog: alert 1/],
  ['a report of the policy', '<script>1</script>', /^content security policy: script-src/, "default-src 'none'; style-src 'unsafe-inline'"],
  ['another origin', '<img alt="" src="http://127.0.0.2:9/x.png">', /^request to another origin: GET http:\/\/127\.0\.0\.2:9\/x\.png/],
  ['what is not there', '<img alt="" src="/nothing">', /^console error: Failed to load resource.*404/],
  ['layout that shifts', MOVES, /^layout shift of 0\.[2-9]/],
];
const AXE = [
  ['no name', '<main><h1>x</h1><button type="button"></button></main>', /^button-name/],
  ['no contrast', '<main><h1>x</h1><p style="color:#aaa;background:#fff">pale</p></main>', /^color-contrast/],
];

function serve() {
  const page = (body) => `<!DOCTYPE html><html lang="en"><head><title>x</title></head><body>${body}</body></html>`;
  const bodies = [...FAULTS.map(([, body, , policy]) => [body, policy]), ...AXE.map(([, body]) => [body]), [GOOD]];
  const server = http.createServer((request, response) => {
    const [body, policy] = bodies[Number(request.url.slice(1))] ?? [];
    if (body === undefined) {
      response.writeHead(request.url === '/favicon.ico' ? 204 : 404).end();
      return;
    }
    response.writeHead(200, { 'Content-Type': 'text/html', ...(policy ? { 'Content-Security-Policy': policy } : {}) }).end(page(body));
  });
  return new Promise((resolve) => { server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${server.address().port}`)); });
}

flow(async ({ test, settings, ask }) => {
  const url = await serve();
  settings.url = url;
  for (const [i, [name, , pattern]] of FAULTS.entries()) {
    await test(`the watch sees ${name}`, async (t) => {
      const page = await t.open(`${url}/${i}`);
      const { watch } = t.watches[0];
      t.ok(await t.until(() => watch.faults().some((fault) => pattern.test(fault))), 'it tells', watch.faults().join('\n') || 'nothing');
      t.is(t.traffic(page)[0], { method: 'GET', path: `/${i}`, origin: url, status: 200, type: 'document' }, 'what was asked for');
      t.expect(/./);
    });
  }
  for (const [i, [name, , pattern]] of AXE.entries()) {
    await test(`axe-core sees ${name}`, async (t) => {
      const page = await t.open(`${url}/${FAULTS.length + i}`);
      const { accessibilityFaults } = await import('./lib/axe.js');
      t.like((await accessibilityFaults(page)).join('\n'), pattern, 'it tells');
    });
  }
  await test('a good page', async (t) => {
    const page = await t.open(`${url}/${FAULTS.length + AXE.length}`, { width: 360, colorScheme: 'dark' });
    t.is((await stops(page)).map((stop) => [stop.tag, stop.name, stop.seen]), [['a', 'A link', true], ['button', 'A button', true]], 'where Tab leads');
    await tabTo(page, page.locator('#b'));
    await press(page, page.getByRole('link'));
    t.like(page.url(), /#there$/, 'by the keyboard');
    await t.fits(page);
    await t.axe(page);
    t.is(await ask('sum', [2, 3, 'ä']), { sum: 5, text: 'ä' }, 'what the other side answers');
    t.like(await ask('dies').catch((error) => error.message), /^dies: not today/, 'and what it cannot');
  });
  await test('windows of shifts', async (t) => {
    const sum = (...shifts) => Number(largestWindow(shifts.map(([at, value]) => ({ at, value, nodes: [] }))).value.toFixed(3));
    t.is(sum(), 0, 'none');
    t.is(sum([0, 0.05], [900, 0.05], [3000, 0.07]), 0.1, 'apart by a second');
    t.is(sum([0, 0.1], [900, 0.1], [1800, 0.1], [2700, 0.1], [3600, 0.1], [4500, 0.1], [5400, 0.1]), 0.6, 'five seconds at most');
  });
});
