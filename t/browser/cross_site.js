// SPDX-License-Identifier: Apache-2.0
// A page of another site, in a browser that sends the password by itself, tries whatever such a page can: nothing changes, nothing is read, nothing is framed.
import http from 'node:http';
import { flow } from './lib/flow.js';

// A site of its own: localhost is another one than 127.0.0.1.
function site() {
  const server = http.createServer((request, response) => {
    response.writeHead(200, { 'Content-Type': 'text/html' }).end('<!DOCTYPE html><html lang="en"><title>Another site</title><link rel="icon" href="data:,"><body></body></html>');
  });
  return new Promise((resolve) => { server.listen(0, '127.0.0.1', () => resolve(`http://localhost:${server.address().port}/`)); });
}

// What a page can send without leave of the server, and with a preflight.
async function attack(page, { url, targets }) {
  return page.evaluate(async ([base, list]) => {
    const outcome = {};
    const body = JSON.stringify({ name: 'Evil', issuer: 'https://evil.example', clientId: 'c', fhirEndpoint: 'https://evil.example/fhir', responseType: 'code' });
    for (const [method, path] of list) {
      for (const mode of ['no-cors', 'cors']) {
        for (const type of ['text/plain', 'application/json']) {
          if (mode === 'no-cors' && !['GET', 'POST'].includes(method)) continue;
          const options = { method, mode, credentials: 'include', headers: { 'Content-Type': type }, body: method === 'GET' ? undefined : body };
          try {
            const answer = await fetch(base + path, options);
            outcome[`${method} ${path} ${mode} ${type}`] = answer.type === 'opaque' ? 'opaque' : `read: ${answer.status}`;
          } catch {
            outcome[`${method} ${path} ${mode} ${type}`] = 'refused';
          }
        }
      }
    }
    await new Promise((resolve) => {
      const image = new Image();
      image.onload = image.onerror = resolve;
      image.src = `${base}admin/oidc_servers`;
    });
    return outcome;
  }, [url, targets]);
}

// A form is sent into a frame of the page, as a real one would be.
async function sendForms(page, { url, targets }) {
  for (const [, path] of targets.filter(([method]) => method === 'POST')) {
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data']) {
      await page.evaluate(([action, enctype]) => new Promise((resolve) => {
        const frame = document.createElement('iframe');
        frame.name = `f${Math.random()}`;
        const form = document.createElement('form');
        Object.assign(form, { method: 'post', action, enctype, target: frame.name });
        const field = document.createElement('input');
        field.name = '{"name":"Evil","issuer":"https://evil.example","clientId":"c","responseType":"code","fhirEndpoint":"https://evil.example/fhir","x":"';
        field.value = '"}';
        form.append(field);
        document.body.append(frame, form);
        frame.addEventListener('load', resolve);
        form.submit();
        setTimeout(resolve, 3000);
      }), [url + path, type]);
    }
  }
}

flow(async ({ test, settings, ask }) => {
  const elsewhere = await site();
  const open = async (t) => {
    t.expect(/./);  // a browser tells of each thing that it does not let such a page do
    // The browser sends the password with whatever goes to us, by itself: what Chromium would not do from here, others did.
    const secret = Buffer.from(`${settings.user.username}:${settings.user.password}`).toString('base64');
    return t.open(elsewhere, { origins: [settings.url], extraHTTPHeaders: { Authorization: `Basic ${secret}` } });
  };

  await test('fetches and images change nothing and read nothing', async (t) => {
    const page = await open(t);
    const before = await ask('state');
    t.ok(before.length > 500, 'the state of the installation');
    const outcome = await attack(page, settings);
    t.is(Object.entries(outcome).filter(([, what]) => /^read/.test(what)), [], 'no answer is read');
    t.ok(Object.keys(outcome).length > 10, 'much was tried');
    t.is(await ask('state'), before, 'and nothing is another');
  });

  await test('even where a browser does not ask before it sends', async (t) => {
    const page = await open(t);
    const before = await ask('state');
    await page.route((url) => url.origin === new URL(settings.url).origin, (route) => route.continue());  // the driver answers preflights then, with leave for all
    const outcome = await attack(page, settings);
    t.is(Object.entries(outcome).filter(([, what]) => /^read/.test(what)), [], 'no answer is read');
    const sent = new Set(t.traffic(page).filter(({ origin, method }) => origin !== new URL(elsewhere).origin && method !== 'GET').map(({ method }) => method));
    t.is([...sent].filter((method) => method !== 'OPTIONS').sort(), ['DELETE', 'PATCH', 'POST', 'PUT'], 'every method goes out');
    t.is(await ask('state'), before, 'and nothing is another');
  });

  await test('forms change nothing', async (t) => {
    const page = await open(t);
    const before = await ask('state');
    await sendForms(page, settings);
    const posts = t.traffic(page).filter(({ method }) => method === 'POST');
    t.ok(posts.length >= 3, 'they were sent');
    t.is([...new Set(posts.map(({ status }) => status))], [403], 'the password went along, or it were a 401, and they are refused');
    t.is(await ask('state'), before, 'and nothing is another');
  });

  await test('the same from our own page is no fault', async (t) => {
    const page = await t.open(`${settings.url}console/#/audit`, { user: settings.user });
    const before = await ask('state');
    const status = await page.evaluate(async (to) => (await fetch(to, { method: 'POST', headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ name: 'Mine', issuer: 'https://mine.example', clientId: 'c', fhirEndpoint: 'https://mine.example/fhir', responseType: 'code' }) })).status, `${settings.url}admin/oidc_servers`);
    t.is(status, 201, 'a definition is made');
    t.ok(await ask('state') !== before, '... which the state tells');
  });

  await test('no page of ours is framed', async (t) => {
    const page = await open(t);
    for (const path of ['', 'console/', 'openapi.json', 'swagger/oauth2-redirect.html', 'admin/oidc_servers']) {
      await page.evaluate((src) => new Promise((resolve) => {
        const frame = document.createElement('iframe');
        frame.addEventListener('load', resolve);
        frame.src = src;
        document.body.append(frame);
        setTimeout(resolve, 5000);
      }), settings.url + path);
      const inside = await page.frames().at(-1).evaluate(() => `${location.href} ${document.body?.innerText}`);
      t.like(inside, /^chrome-error:/, `not /${path}`);
    }
    const { watch } = t.watches[0];
    t.ok(watch.faults().some((fault) => /frame-ancestors/.test(fault)), 'by the policy');
  });

  await test('whoever opens our pages does not hold their window', async (t) => {
    const page = await open(t);
    for (const path of ['', 'console/']) {
      const opened = page.context().waitForEvent('page');
      await page.evaluate((to) => { window.held = window.open(to); }, settings.url + path);
      const popup = await opened;
      await popup.waitForLoadState('load');
      t.is(await popup.evaluate(() => window.opener), null, `/${path} has no opener`);
      t.ok(await t.until(() => page.evaluate(() => window.held.closed)), '... and to it the window is gone');
      await popup.close();
    }
  });
});
