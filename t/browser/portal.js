// SPDX-License-Identifier: Apache-2.0
// The member portal: from choosing a payer to the record that arrived, saying no, signing in again where the payer wants it, a payer that is not listed.
import { flow } from './lib/flow.js';

const PAYER = /^Former Payer/;
// Until it is told otherwise the payer asks to be asked later.
const AWAY = [{ match: 'GET $everything', do: 'status', status: 503, retryAfter: 1, count: 0 }];

// What this browser keeps of the portal.
const kept = (page) => page.evaluate(() => [...Object.keys(sessionStorage), ...Object.keys(localStorage), document.cookie].filter(Boolean));
const heading = (page, name) => page.getByRole('heading', { level: 1, name });

// The payer's own pages: who, and what about it.
async function atThePayer(t, page, { answer = 'Allow', look = false, source } = {}) {
  await heading(page, 'Sign in at payer source').waitFor();
  if (look) {
    t.is(new URL(page.url()).origin, source, 'the payer\'s own page');
    await t.axe(page, 'axe-core finds nothing at the sign-in page');
    t.is(await page.getByLabel('Member').inputValue(), 'evelyn', 'the member is chosen');
    await t.shot(page, 'portal-sign-in');
  }
  await page.getByRole('button', { name: 'Sign in' }).click();
  await heading(page, 'May it have your record?').waitFor();
  if (look) {
    t.like(await page.locator('main').innerText(), /offline_access to go on while you are away/, 'what it asks for');
    await t.axe(page, 'axe-core finds nothing at the consent page');
    await t.fits(page);
    await t.shot(page, 'portal-consent');
  }
  await page.getByRole('button', { name: answer }).click();
}

// When the portal is there again, its URL and storage have nothing of the sign-in.
async function isClean(t, page, url) {
  await page.waitForURL(url);
  t.is(page.url(), url, 'the code is out of the URL');
  t.is((await kept(page)).filter((name) => name !== 'exchange'), [], 'and nothing of it is kept');
}

flow(async ({ test, settings, ask }) => {
  const { url, hostile } = settings;

  await test('from choosing a payer to the record that arrived', async (t) => {
    const page = await t.open(url, { width: 360, height: 740 });
    await heading(page, 'Where were you insured before?').waitFor();
    t.is(await page.locator('#greeting').innerText(), 'Hello Evelyn', 'it greets the member');
    t.is(await page.getByRole('button', { name: PAYER }).innerText(), `Former Payer ${hostile}`, 'a hostile name is text');
    await t.axe(page);
    await t.fits(page);
    await t.shot(page, 'portal-payers');
    await page.getByRole('button', { name: PAYER }).click();
    await atThePayer(t, page, { look: true, source: settings.origins[0] });
    await isClean(t, page, url);
    await heading(page, /has arrived$/).waitFor();
    t.is(await kept(page), [], 'afterwards nothing at all');
    const text = await page.locator('main').innerText();
    t.like(text, /34 entries came, 34 of them are in your record here\./, 'how many');
    t.is(await page.locator('summary').allInnerTexts(), ['Conditions (1)', 'Medications (1)', 'Tests and measurements (30)', 'Everything else (1)'], 'what arrived, by kind');
    await page.getByText('Conditions (1)').click();
    t.is(await page.locator('details[open] li').innerText(), `1994-11-25 Hypertension ${hostile}`, 'one of them, as text');
    await page.getByText('Tests and measurements').click();
    t.like(await page.locator('main').innerText(), /2020-01-30 Reading 30[^]*and 10 more/, 'the newest first');
    t.like(await page.locator('main').innerText(), /Former Payer .*: 3[34] entries, received /, 'and who sent it');
    await t.axe(page);
    await t.fits(page);
    await t.shot(page, 'portal-record');
    t.is(await ask('written', 'Observation'), 30, 'it is at the target');
    const orders = t.traffic(page).filter((request) => request.method === 'POST' && /batch_job$/.test(request.path));
    t.is(orders.map((request) => request.status), [202], 'one order');
    await page.getByRole('button', { name: 'Back to the payers' }).click();
    await page.getByRole('button', { name: 'Show my record' }).click();
    await heading(page, 'Your record').waitFor();
  });

  await test('in the dark, by the keyboard, watched and reloaded', async (t) => {
    await ask('faults', AWAY);
    const page = await t.open(url, { colorScheme: 'dark' });
    await heading(page, 'Where were you insured before?').waitFor();
    await t.axe(page);
    await page.keyboard.press('Tab');
    t.like(await page.evaluate(() => document.activeElement.textContent), PAYER, 'the first stop is the first payer');
    await page.keyboard.press('Enter');
    await heading(page, 'Sign in at payer source').waitFor();
    let lost = 0;
    await page.route(/\/batch_job$/, async (route) => {
      if (route.request().method() !== 'POST' || lost > 0) return route.continue();
      lost += 1;
      await route.fetch();
      return route.abort();
    });
    t.expect(/net::ERR_FAILED/);
    await t.axe(page);
    await atThePayer(t, page);
    await heading(page, /on its way/).waitFor();
    t.is(await page.evaluate(() => document.activeElement.tagName), 'H1', 'the focus is at the new view');
    await t.axe(page);
    await t.until(async () => (await page.getByRole('status').innerText()) === 'We are fetching your record.');
    t.is(await kept(page), ['exchange'], 'which exchange is watched, and nothing else');
    await page.reload();
    await heading(page, /on its way/).waitFor();
    await ask('faults', []);
    await heading(page, /has arrived$/).waitFor();
    t.is(await page.getByRole('status').innerText(), 'Your record has arrived.', 'and is told');
    const orders = t.traffic(page).filter((request) => request.method === 'POST' && /batch_job$/.test(request.path));
    t.is(orders.map((request) => request.status), ['failed', 202], 'an order whose answer was lost is sent again, and is one');
  });

  await test('stopped', async (t) => {
    await ask('faults', AWAY);
    const page = await t.open(url);
    await page.getByRole('button', { name: PAYER }).click();
    await atThePayer(t, page);
    await page.getByRole('button', { name: 'Stop' }).click();
    await heading(page, 'The exchange was stopped').waitFor();
    await ask('faults', []);
    await page.getByRole('button', { name: 'Try again' }).click();
    await heading(page, /has arrived$/).waitFor();
  });

  await test('denied', async (t) => {
    const page = await t.open(url);
    await page.getByRole('button', { name: PAYER }).click();
    await atThePayer(t, page, { answer: 'Deny' });
    await isClean(t, page, url);
    await heading(page, 'That did not work').waitFor();
    t.like(await page.getByRole('alert').innerText(), /You did not allow .* so nothing was fetched/, 'in words');
    await t.axe(page);
    await page.getByRole('button', { name: 'Back to the payers' }).click();
    await page.getByRole('button', { name: PAYER }).click();
    await page.getByRole('button', { name: 'Cancel' }).click();
    await heading(page, 'That did not work').waitFor();
  });

  await test('the payer refuses the token, and the member signs in again', async (t) => {
    await ask('faults', [{ match: 'GET $everything', do: 'expired-token' }, { match: 'POST /token', nth: 2, do: 'status', status: 400, body: '{"error":"invalid_grant"}' }]);
    const page = await t.open(url);
    await page.getByRole('button', { name: PAYER }).click();
    await atThePayer(t, page);
    await heading(page, 'Your record did not come through').waitFor();
    t.like(await page.getByRole('alert').innerText(), /has to authorise the exchange again/, 'why');
    t.like(await page.locator('main').innerText(), /does not take your sign-in any longer\. Sign in there again, and we go on where it ended/, 'what to do');
    await t.axe(page);
    await t.shot(page, 'portal-again');
    await page.getByRole('button', { name: /^Sign in at/ }).click();
    await atThePayer(t, page);
    await heading(page, /has arrived$/).waitFor();
    const ordered = t.traffic(page).filter((request) => request.method === 'POST' && /batch_job/.test(request.path));
    t.is(ordered.map((request) => request.path.replace(/\d+/g, 'N')), ['/api/oidc_servers/N/batch_job', '/api/oidc_servers/N/batch_job/N/restart'], 'the same job went on');
  });

  await test('a payer that is not listed', async (t) => {
    const page = await t.open(url, { width: 360 });
    await page.getByRole('button', { name: 'Ask for another health plan' }).click();
    await t.axe(page);
    await t.fits(page);
    t.is(await page.getByLabel('Your email address').inputValue(), 'evelyn@member.example', 'the address is known');
    await page.getByLabel('Name of the health plan').fill(`Payer of Long Ago ${hostile}`);
    await page.getByLabel(/phone/).fill('555-0100');
    await page.getByRole('button', { name: 'Send' }).click();
    await heading(page, 'We have your request').waitFor();
    t.like(await page.locator('main').innerText(), /We look for “Payer of Long Ago <img.* and write to evelyn@member\.example\./, 'in words');
    const tasks = await ask('tasks');
    t.is(tasks.length, 1, 'a Task at the target');
    const { id, ...task } = tasks[0];
    t.is(task, await ask('sample', { time: task.authoredOn, patient: 'member-1', organization: 'target-payer', first: 'Evelyn', last: `O'Neil ${hostile}`,
      payer: `Payer of Long Ago ${hostile}`, email: 'evelyn@member.example', phone: '555-0100' }), 'which is the guide\'s sample');
  });

  await test('what cannot be', async (t) => {
    const page = await t.open(url, { origins: ['http://127.0.0.1:9'] });
    const wellKnown = (document) => ({ json: document, headers: { 'Access-Control-Allow-Origin': '*' } });
    await page.route(/127\.0\.0\.1:9\/.*openid-configuration$/, (route) => route.fulfill(wellKnown({ issuer: 'http://127.0.0.1:9/hostile', authorization_endpoint: 'javascript:alert(1)' })));
    await page.route(/127\.0\.0\.1:9\/.*smart-configuration$/, (route) => route.fulfill(wellKnown({ issuer: 'http://127.0.0.1:9/else', authorization_endpoint: `${url}evil` })));
    for (const [name, words] of [['Hostile Payer', 'does not say where its members sign in'], ['Confused Payer', 'names an issuer that is not its own']]) {
      await page.getByRole('button', { name }).click();
      await page.getByText(words).waitFor();
      t.is(page.url(), url, `${name}: nobody is led anywhere`);
      await page.getByRole('button', { name: 'Back to the payers' }).click();
    }
    await page.getByRole('button', { name: 'Payer without sign-in' }).click();
    await page.getByText('gives no authorization codes').waitFor();
    await page.goto(`${url}?code=stolen&state=guessed`);
    await page.getByText('belongs to no sign-in that began here').waitFor();
    t.is(page.url(), url, 'the code is out of the URL');
    await page.getByRole('button', { name: 'Back to the payers' }).click();
    await page.getByRole('button', { name: PAYER }).click();
    await heading(page, 'Sign in at payer source').waitFor();
    const state = new URL(page.url()).searchParams.get('state');
    await page.goto(`${url}?code=mixed-up&state=${state}&iss=${encodeURIComponent('http://127.0.0.1:9/else')}`);
    await page.getByText('Someone other than that payer answered').waitFor();
    t.is(t.traffic(page).filter((request) => /\/token/.test(request.path)), [], 'and no code was used');
  });
});
