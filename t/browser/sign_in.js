// SPDX-License-Identifier: Apache-2.0
// Signing in at the console with a real OpenID provider: by code and PKCE, what is refused, what is kept (nothing), and what happens when a token ends.
import { flow } from './lib/flow.js';

const heading = (page, name) => page.getByRole('heading', { name, level: 1 });

async function atProvider(page, name = 'anna') {
  await page.getByRole('button', { name: /^Sign in at / }).click();
  await page.waitForURL(/\/interaction\//);
  const box = page.getByLabel('Name');
  if (await box.count()) {
    await box.fill(name);
    await page.getByRole('button', { name: 'Sign in' }).click();
  }
}

async function allow(page) {
  await page.getByRole('button', { name: 'Allow' }).click();
}

async function signIn(page) {
  await atProvider(page);
  await allow(page);
}

// Wherever a browser keeps things, and what a page of the console can be asked.
async function kept(page, url) {
  const inPage = await page.evaluate(async () => ({
    local: { ...localStorage }, session: { ...sessionStorage }, cookie: document.cookie, databases: (await indexedDB.databases()).length, name: window.name,
    state: history.state, address: location.href, referrer: document.referrer, performance: performance.getEntriesByType('navigation').length,
  }));
  const cookies = (await page.context().cookies(url)).map((cookie) => cookie.name);
  return { ...inPage, cookies: cookies.filter((name) => !/^_(?:session|interaction|resume)/.test(name)) };
}

flow(async ({ test, settings, ask }) => {
  const origins = [settings.provider];
  const console_ = `${settings.url}console/`;
  const open = (t, hash = '#/audit', more = {}) => t.open(console_ + hash, { origins, ...more });
  const refused = async (t, page, words) => {
    await page.locator('.banner.bad').waitFor();
    t.like(await page.locator('.banner.bad').innerText(), words, 'the person is told');
    t.ok(await page.getByRole('button', { name: /^Sign in at / }).isVisible(), 'and may sign in again');
    t.is((await ask('events')).granted, [], 'no token was given');
    t.unlike(page.url(), /code=|state=|error=/, 'and the address is clean');
    t.is(await page.evaluate(() => [localStorage.length, sessionStorage.length]), [0, 0], 'nothing is kept');
  };

  await test('by code and PKCE', async (t) => {
    const page = await open(t);
    await heading(page, 'Sign in').waitFor();
    t.is(t.traffic(page).filter(({ path }) => /\/(?:admin|api)\//.test(path)), [], 'before that the API is not asked');
    await t.axe(page, 'the page to sign in at');
    await t.shot(page, 'sign-in-1440');
    await atProvider(page);
    const query = new URLSearchParams(t.traffic(page).find(({ path }) => path.startsWith('/auth?')).path.split('?')[1]);
    t.is([query.get('response_type'), query.get('code_challenge_method'), query.get('client_id'), query.get('redirect_uri')], ['code', 'S256', 'pages', console_], 'what the provider is asked');
    t.is([query.get('state').length, query.get('code_challenge').length], [43, 43], '... with 256 bits of state, and a challenge');
    await allow(page);
    await heading(page, 'Audit').waitFor();
    t.is(new URL(page.url()).hash, '#/audit', 'one is where one wanted to go');
    t.ok(await t.until(() => t.traffic(page).some(({ path, status }) => path.startsWith('/admin/audit') && status === 200)), 'and the API answers');
    t.is((await ask('events')).granted, ['authorization_code'], 'by the code');
    const after = await kept(page, settings.url);
    t.is([after.local, after.session, after.cookie, after.databases, after.name, after.cookies], [{}, {}, '', 0, '', []], 'nothing is kept anywhere');
    t.is(after.address, `${console_}#/audit`, 'nor in the address');
    t.unlike(JSON.stringify(after.state), /code|token/, 'nor in the state of the history');
    const used = t.traffic(page).filter(({ path, origin }) => origin === new URL(settings.url).origin && /code=/.test(path) === false && /access_token|Bearer/.test(path));
    t.is(used, [], 'no address has a token');
    const history = await page.evaluate(() => window.navigation.entries().map((entry) => entry.url));
    t.is(history.filter((url) => /[?&](?:code|state)=/.test(url)), [], 'nor has the history');
  });

  await test('the name of another issuer', async (t) => {
    await ask('answer', { iss: 'https://evil.example' });
    const page = await open(t);
    await signIn(page);
    await ask('answer', {});
    await refused(t, page, /another provider/);
  });

  await test('no name, though the provider says that there is one', async (t) => {
    await ask('answer', { iss: null });
    const page = await open(t);
    await signIn(page);
    await ask('answer', {});
    await refused(t, page, /another provider/);
  });

  await test('another state', async (t) => {
    await ask('answer', { state: 'x'.repeat(43) });
    const page = await open(t);
    await signIn(page);
    await ask('answer', {});
    await refused(t, page, /not begun in this window/);
  });

  await test('an answer that nobody asked for', async (t) => {
    const page = await t.open(`${console_}?code=stolen&state=made-up#/audit`, { origins });
    await refused(t, page, /not begun in this window/);
  });

  await test('denied at the provider', async (t) => {
    const page = await open(t);
    await atProvider(page);
    await page.getByRole('button', { name: 'Cancel' }).click();
    await refused(t, page, /did not let you in/);
    await ask('events');
    await signIn(page);
    await heading(page, 'Audit').waitFor();
    t.is((await ask('events')).granted, ['authorization_code'], 'the next time it works');
  });

  await test('a token that ends', async (t) => {
    t.expect(/status of 401/);
    const page = await open(t, '#/payers');
    await signIn(page);
    await heading(page, 'Payers').waitFor();
    await ask('events');
    // As if time had passed: what the API says to a token that has ended, and what the console knows of when it got its own.
    const left = () => t.traffic(page).filter(({ path }) => path.startsWith('/auth?')).length > 1;
    await page.route(/\/admin\//, (route) => (left() ? route.continue() : route.fulfill({ status: 401, headers: { 'WWW-Authenticate': 'Bearer error="invalid_token"' }, body: '' })));
    await page.evaluate(() => { const now = Date.now(); Date.now = () => now + 3_600_000; });
    await page.evaluate(() => { location.hash = '#/audit'; });
    t.ok(await t.until(left), 'the console goes to the provider');
    const consent = page.getByRole('button', { name: 'Allow' });
    await t.until(async () => /console\//.test(page.url()) || await consent.count() > 0);
    if (await consent.count()) await consent.click();
    await heading(page, 'Audit').waitFor();
    t.is(new URL(page.url()).hash, '#/audit', 'one signs in again, and is back');
    t.is((await ask('events')).granted, ['authorization_code'], 'with a new token');
  });

  await test('signing out', async (t) => {
    const page = await open(t);
    await signIn(page);
    await heading(page, 'Audit').waitFor();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await heading(page, 'Sign in').waitFor();
    const before = t.traffic(page).length;
    await page.waitForTimeout(2500);
    t.is(t.traffic(page).slice(before), [], 'nothing is asked for any more');
    await ask('events');
  });
});
