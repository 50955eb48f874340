// SPDX-License-Identifier: Apache-2.0
// The console's core: addresses, titles and focus, what is kept live, trouble with the API, pages of a list, forms that were edited.
import { flow } from './lib/flow.js';
import { press, setHidden } from './lib/keys.js';

const AUDIT = /\/admin\/audit(\?|$)/;
const heading = (page) => page.locator('main h1');
const focused = (page) => page.evaluate(() => document.activeElement.localName + (document.activeElement.id ? `#${document.activeElement.id}` : ''));
const banner = (page) => page.locator('#trouble');
const rows = (page) => page.locator('table.list tbody tr');

const problem = (status, code, detail, headers = {}) => ({
  status, headers: { 'Content-Type': 'application/problem+json', ...headers }, body: JSON.stringify({ type: 'about:blank', status, code, detail }),
});

const entry = (id, more = {}) => ({
  id, time: '2026-11-22T09:31:54.024Z', client: 'alice', role: 'administrator', address: '192.0.2.7', action: 'change', object: 'oidc_server/1', status: 200, code: null, ...more,
});

// The audit as this test has it: answers(n) is what the nth request for it gets.
async function answering(page, answers) {
  const seen = [];
  await page.route(AUDIT, async (route) => {
    seen.push(route.request());
    await route.fulfill(await answers(seen.length, route.request()));
  });
  return seen;
}

const list = (entries, etag = '"1"') => ({ status: 200, headers: { 'Content-Type': 'application/json', ETag: etag }, body: JSON.stringify({ entries, next: null }) });

async function opened(t, settings, hash, prepare = async () => undefined) {
  const page = await t.page({ user: settings.user });
  const more = await prepare(page);
  await page.goto(`${settings.url}console/${hash}`);
  await heading(page).waitFor();
  return [page, more];
}

async function addresses(t, settings, url) {
  const page = await t.open(`${url}console/#/audit`, { user: settings.user });
  await rows(page).first().waitFor();
  t.is(await focused(page), 'body', 'the first page takes no focus');
  t.is(await page.title(), 'Audit · P2P exchange', 'a title');
  const mail = page.getByRole('link', { name: 'Mail', exact: true });
  await press(page, mail);
  await page.getByRole('heading', { name: 'Mail', level: 1 }).waitFor();
  t.is([await focused(page), await page.title(), await mail.getAttribute('aria-current')], ['h1', 'Mail · P2P exchange', 'page'], 'the next one has the focus on its heading');
  t.is(await page.locator('#parts [aria-current]').count(), 1, 'one part is the current one');
  await page.goBack();
  await page.getByRole('heading', { name: 'Audit', level: 1 }).waitFor();
  t.like(page.url(), /#\/audit$/, 'back');
  await page.evaluate(() => { location.hash = '#/nothing/of/this'; });
  await page.getByText('The console has no such page.').waitFor();
  t.is([await heading(page).innerText(), await page.locator('#parts [aria-current]').count()], ['Not there', 0], 'an address that means nothing');
  await page.getByRole('link', { name: 'Go to the overview' }).click();
  await page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor();
  await page.locator('#skip').focus();
  await page.keyboard.press('Enter');
  t.is([await focused(page), new URL(page.url()).hash], ['h1', '#/'], 'the way past the navigation leaves the address as it is');
}

// A view whose module comes late is shown like any other.
async function late(t, settings) {
  const page = await t.open(`${settings.url}console/#/audit`, { user: settings.user });
  await rows(page).first().waitFor();
  let release;
  await page.route(/views\/mail\.js/, async (route) => { await new Promise((resolve) => { release = resolve; }); await route.continue(); });
  await page.getByRole('link', { name: 'Mail', exact: true }).click();
  t.ok(await t.until(async () => release && await page.locator('main h1').count() === 0), 'the view before goes after some time');
  release();
  await page.getByRole('heading', { name: 'Mail', level: 1 }).waitFor();
  t.ok(await t.until(async () => await focused(page) === 'h1'), 'the focus is on its heading when it is there');
  t.is(await page.title(), 'Mail · P2P exchange', 'and its title');
}

async function pages(t, settings, url) {
  const page = await t.open(`${url}console/#/audit`, { user: settings.user });
  await rows(page).first().waitFor();
  t.is(await rows(page).count(), 100, 'a page of rows');
  const [newer, older] = ['Newer', 'Older'].map((name) => page.getByRole('button', { name }));
  t.is([await newer.isDisabled(), await older.isDisabled()], [true, false], 'the first page has none before it');
  await older.click();
  t.ok(await t.until(async () => await rows(page).count() === 20), 'the rest is on the next');
  t.is([await newer.isDisabled(), await older.isDisabled()], [false, true], 'which is the last');
  t.ok(t.traffic(page).filter(({ path }) => AUDIT.test(path)).every(({ path }) => path.startsWith(new URL(url).pathname)), 'links are followed below the path');
  await newer.click();
  t.ok(await t.until(async () => await rows(page).count() === 100), 'and back');
}

flow(async ({ test, settings }) => {
  for (const [name, url] of [['at the root', settings.url], ['below a path', settings.below]]) {
    settings.origins = [settings.below];
    await test(`addresses, ${name}`, (t) => addresses(t, settings, url));
    await test(`pages of a list, ${name}`, (t) => pages(t, settings, url));
  }

  await test('a view that comes late', (t) => late(t, settings));

  await test('what is shown is asked about again, with its ETag', async (t) => {
    const [page] = await opened(t, settings, '#/audit', (p) => p.clock.install());
    const asked = () => t.traffic(page).filter(({ path, status }) => AUDIT.test(path) && status !== null);
    await rows(page).first().waitFor();
    await t.until(() => asked().length >= 1);
    const before = asked().length;
    await page.clock.runFor(2100);
    t.ok(await t.until(() => asked().length > before), 'it is asked again');
    t.is([...new Set(asked().slice(before).map(({ status }) => status))], [304], 'and has not changed');
    await setHidden(page, true);
    await t.until(() => asked().length === t.traffic(page).filter(({ path }) => AUDIT.test(path)).length);
    const hidden = asked().length;
    await page.clock.runFor(60000);
    t.is(t.traffic(page).filter(({ path }) => AUDIT.test(path)).length, hidden, 'not while nobody looks');
    await setHidden(page, false);
    t.ok(await t.until(() => asked().length > hidden), 'and at once when somebody does');
    await page.getByRole('link', { name: 'Mail', exact: true }).click();
    await page.getByRole('heading', { name: 'Mail', level: 1 }).waitFor();
    await t.until(() => asked().length === t.traffic(page).filter(({ path }) => AUDIT.test(path)).length);
    const left = asked().length;
    await page.clock.runFor(10000);
    t.is(t.traffic(page).filter(({ path }) => AUDIT.test(path)).length, left, 'nor when the view is left');
  });

  await test('one question at a time', async (t) => {
    let release;
    const [page, seen] = await opened(t, settings, '#/audit', async (p) => {
      await p.clock.install();
      return answering(p, async (n) => {
        if (n === 2) await new Promise((resolve) => { release = resolve; });
        return list([entry(1)]);
      });
    });
    await rows(page).first().waitFor();
    await page.clock.runFor(2100);
    t.ok(await t.until(() => seen.length === 2), 'the second is under way');
    await page.clock.runFor(20000);
    t.is(seen.length, 2, 'and no other with it');
    release();
    t.ok(await t.until(async () => { await page.clock.runFor(2100); return seen.length > 2; }), 'it goes on after its answer');
  });

  await test('only what changed is drawn anew', async (t) => {
    const [page] = await opened(t, settings, '#/audit', async (p) => {
      await p.clock.install();
      return answering(p, async (n) => (n === 1 ? list([entry(2), entry(1)]) : list([entry(3), entry(2), entry(1, { status: 409, code: 'job-ended' })], '"2"')));
    });
    await rows(page).first().waitFor();
    await page.evaluate(() => { for (const row of document.querySelectorAll('table.list tbody tr')) row.old = true; });
    await rows(page).nth(1).getByRole('link', { name: 'payer 1' }).focus();
    await page.clock.runFor(2100);
    t.ok(await t.until(async () => await rows(page).count() === 3), 'a new row came');
    t.is(await page.evaluate(() => [...document.querySelectorAll('table.list tbody tr')].map((row) => Boolean(row.old))), [false, true, false], 'what did not change stayed');
    t.is(await page.evaluate(() => document.activeElement.textContent), 'payer 1', 'the focus stays where it was');
    t.is(await page.evaluate(() => document.activeElement.closest('tr').rowIndex), 3, 'in its row');
  });

  await test('trouble is told, and over by itself', async (t) => {
    t.expect(/Failed to load resource/);
    let broken = false;
    const [page, seen] = await opened(t, settings, '#/audit', async (p) => {
      await p.clock.install();
      return answering(p, async () => (broken ? problem(503, 'database-away', 'The database does not answer.', { 'Retry-After': '400' }) : list([entry(1)])));
    });
    await rows(page).first().waitFor();
    t.is(await banner(page).innerText(), '', 'nothing is said');
    broken = true;
    await page.clock.runFor(2100);
    await banner(page).getByText('The database does not answer.').waitFor();
    t.is(await rows(page).count(), 1, 'what was there stays');
    t.is(await banner(page).getAttribute('role'), 'status', 'it is told to screen readers');
    const before = seen.length;
    await page.clock.runFor(300000);
    t.is(seen.length, before, 'Retry-After is kept to');
    await page.clock.runFor(200000);
    t.ok(await t.until(() => seen.length === before + 1), 'then it is asked again');
    broken = false;
    await banner(page).getByRole('button', { name: 'Try now' }).click();
    t.ok(await t.until(async () => await banner(page).innerText() === ''), 'when somebody asks for it at once');
  });

  await test('no answer at all', async (t) => {
    t.expect(/Failed to load resource/);
    const [page] = await opened(t, settings, '#/audit', (p) => p.clock.install());
    await rows(page).first().waitFor();
    await page.route(AUDIT, (route) => route.abort('connectionrefused'));
    await page.clock.runFor(2100);
    await banner(page).getByText('The API does not answer.').waitFor();
    await t.axe(page);
    await page.unroute(AUDIT);
    await page.evaluate(() => window.dispatchEvent(new Event('online')));
    t.ok(await t.until(async () => await banner(page).innerText() === ''), 'it is asked again as soon as the computer is online');
  });

  await test('a problem instead of a view', async (t) => {
    t.expect(/Failed to load resource/);
    let open = false;
    const [page] = await opened(t, settings, '#/audit', (p) => answering(p, async () => (open ? list([entry(1)]) : problem(403, 'forbidden', 'These credentials do not open this.'))));
    const alert = page.getByRole('alert');
    t.like(await alert.innerText(), /These credentials do not open this\.\s+forbidden/, 'in words, with its code');
    await t.axe(page);
    open = true;
    await alert.getByRole('button', { name: 'Try again' }).click();
    await rows(page).first().waitFor();
    t.is(await alert.count(), 0, 'and over when it is');
  });

  await test('where people sign in becomes known late', async (t) => {
    t.expect(/Failed to load resource/);
    let signIn = null;
    const provider = { issuer: 'https://login.example', clientId: 'c', scopes: 'openid', authorizationEndpoint: 'https://login.example/a', tokenEndpoint: 'https://login.example/t' };
    const [page] = await opened(t, settings, '#/audit', async (p) => {
      await p.route(/sign-in\.json$/, (route) => route.fulfill({ contentType: 'application/json', body: JSON.stringify({ signIn }) }));
      return answering(p, async () => problem(401, 'unauthorized', 'This needs authentication: send valid credentials.'));
    });
    await page.getByRole('alert').getByText('This needs authentication').waitFor();
    signIn = provider;
    await page.getByRole('button', { name: 'Try again' }).click();
    await page.getByRole('button', { name: 'Sign in at login.example' }).waitFor();
    t.is(await page.getByRole('alert').count(), 0, 'whoever waits for it can sign in, without loading the page again');
  });

  await test('an answer to a sign-in that was begun at another provider', async (t) => {
    let redeemed = 0;
    const page = await t.page({ user: settings.user, origins: ['https://login.example'] });
    const provider = { issuer: 'https://login.example', clientId: 'c', scopes: 'openid', authorizationEndpoint: 'https://login.example/a', tokenEndpoint: 'https://login.example/t' };
    await page.route(/sign-in\.json$/, (route) => route.fulfill({ contentType: 'application/json', body: JSON.stringify({ signIn: provider }) }));
    await page.route('https://login.example/**', async (route) => { redeemed += 1; await route.abort(); });
    await page.goto(`${settings.url}console/#/audit`);
    await page.getByRole('button', { name: 'Sign in at login.example' }).waitFor();
    await page.evaluate(() => sessionStorage.setItem('p2p-sign-in', JSON.stringify({ issuer: 'https://former.example', state: 's', verifier: 'v', nonce: null, hash: '' })));
    await page.goto(`${settings.url}console/?state=s&code=secret-code`);
    await page.getByRole('alert').getByText('another provider').waitFor();
    t.is(redeemed, 0, 'its code goes to nobody');
    t.unlike(page.url(), /code/, 'and is not in the address');
  });

  await test('what was typed is not lost without being asked', async (t) => {
    const [page] = await opened(t, settings, '#/audit');
    await page.evaluate(() => {
      const form = document.createElement('form');
      form.className = 'fields';
      form.append(Object.assign(document.createElement('input'), { id: 'typed', ariaLabel: 'typed' }));
      document.querySelector('main .view').append(form);
    });
    await page.locator('#typed').fill('much');
    await page.getByRole('link', { name: 'Mail', exact: true }).click();
    const dialog = page.getByRole('dialog', { name: 'Leave without saving?' });
    await dialog.waitFor();
    t.is(await page.evaluate(() => document.activeElement.textContent), 'Cancel', 'what changes nothing has the focus');
    await t.axe(page);
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
    t.is([await page.locator('#typed').inputValue(), new URL(page.url()).hash], ['much', '#/audit'], 'one can stay');
    await page.getByRole('link', { name: 'Mail', exact: true }).click();
    await dialog.getByRole('button', { name: 'Leave' }).click();
    await page.getByRole('heading', { name: 'Mail', level: 1 }).waitFor();
    t.like(page.url(), /#\/mail$/, 'or leave');
  });
});
