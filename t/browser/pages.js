// SPDX-License-Identifier: Apache-2.0
// The API page: the whole document, nothing from elsewhere, nothing from the query, nothing kept; trying operations out with a password, a token and a sign-in.
import { flow } from './lib/flow.js';

const operation = (page, id) => page.locator(`.opblock[id$="-${id}"]`);

async function loaded(page) {
  await page.locator('.opblock').first().waitFor();
}

// What a browser keeps of a page.
async function kept(page) {
  const inPage = await page.evaluate(async () => ({
    local: Object.keys(localStorage), session: Object.keys(sessionStorage), cookie: document.cookie, databases: (await indexedDB.databases()).length,
  }));
  return { ...inPage, cookies: (await page.context().cookies()).filter((cookie) => !/^_(?:session|interaction)/.test(cookie.name)).length };
}
const NOTHING = { local: [], session: [], cookie: '', databases: 0, cookies: 0 };

async function authorize(page, scheme, fill) {
  await page.getByRole('button', { name: 'Authorize', exact: true }).first().click();
  const dialog = page.locator('.modal-ux');
  const part = dialog.locator('.auth-container').filter({ hasText: scheme }).first();
  await fill(part, page);
  return dialog;
}

async function tryOut(page, id) {
  const block = operation(page, id);
  await block.locator('.opblock-summary-control').click();
  await block.getByRole('button', { name: 'Try it out' }).click();
  await block.getByRole('button', { name: 'Execute' }).click();
  const answer = block.locator('.live-responses-table .response').first();
  await answer.waitFor();
  return { status: (await answer.locator('.response-col_status').innerText()).trim().split(/\s/)[0], body: await answer.locator('.response-col_description').innerText() };
}

async function reads(t, settings, url, name) {
  const page = await t.open(url);
  await loaded(page);
  const shown = await page.evaluate(() => [...document.querySelectorAll('.opblock')].map((node) => [node.querySelector('.opblock-summary-method').textContent,
    node.querySelector('.opblock-summary-path').dataset.path].join(' ')).sort());
  t.is(shown, settings.operations, `${name}: every operation is there`);
  const origins = [...new Set(t.traffic(page).map((request) => request.origin))];
  t.is(origins, [new URL(url).origin], `${name}: and nothing is from elsewhere`);
  t.is(t.traffic(page).filter((request) => request.status !== 200 && request.status !== 304), [], `${name}: all that is asked for is there`);
  return page;
}

flow(async ({ test, settings, ask }) => {
  for (const [name, url] of Object.entries(settings.places)) {
    await test(`the API page, ${name}`, async (t) => {
      const page = await reads(t, settings, url, name);
      t.is(await kept(page), NOTHING, 'nothing is kept');
      const link = page.getByRole('link', { name: 'Console', exact: true });
      t.is(await link.evaluate((node) => node.href), `${url}console/`, 'it leads to the console');
      const wanted = await page.request.get(`${url}console/`);
      t.is(wanted.status(), 200, 'which is there');
    });
  }

  await test('no configuration comes from the query', async (t) => {
    const page = await t.open(`${settings.url}?url=${settings.elsewhere}/evil.json&configUrl=${settings.elsewhere}/evil.yaml&persistAuthorization=true&validatorUrl=${settings.elsewhere}`);
    await loaded(page);
    t.is(await page.evaluate(() => document.querySelectorAll('.opblock').length), settings.operations.length, 'it shows this API');
    t.unlike(await page.locator('body').innerText(), /evil/, 'and nothing of another');
  });

  await test('with a password', async (t) => {
    const page = await t.open(settings.url, { shift: Infinity }); // Swagger UI moves what is below an answer, whenever that comes
    await loaded(page);
    const dialog = await authorize(page, 'basic', async (part) => {
      await part.getByLabel(/username/i).fill('portal');
      await part.getByLabel(/password/i).fill(settings.password);
      await part.getByRole('button', { name: /apply|authorize/i }).click();
    });
    await dialog.locator('.close-modal').click();
    const { status, body } = await tryOut(page, 'listServers');
    t.is(status, '200', 'the list of payers');
    t.like(body, /Payer A/, '... with their names');
    t.is(await kept(page), NOTHING, 'nothing is kept');
    await page.reload();
    await loaded(page);
    t.is(await page.locator('.authorization__btn.locked').count(), 0, 'after a reload nobody is signed in');
  });

  await test("with the password that the browser has asked for", async (t) => {
    const page = await t.open(settings.url, { shift: Infinity, user: { username: 'portal', password: settings.password } });
    await loaded(page);
    t.is((await tryOut(page, 'listServers')).status, '200', 'the list of payers');
  });

  if (!settings.bearer) return;
  const { url, token } = settings.bearer;

  await test('with a bearer token', async (t) => {
    const page = await t.open(url, { shift: Infinity });
    await loaded(page);
    const dialog = await authorize(page, 'bearer', async (part) => {
      await part.getByLabel(/value/i).or(part.locator('input')).first().fill(token);
      await part.getByRole('button', { name: /apply|authorize/i }).click();
    });
    await dialog.locator('.close-modal').click();
    const { status, body } = await tryOut(page, 'listServers');
    t.is(status, '200', 'the list of payers');
    t.like(body, /Payer A/, '... with their names');
    t.is(await kept(page), NOTHING, 'nothing is kept');
  });

  await test('signing in: authorization code with PKCE', async (t) => {
    const page = await t.open(url, { origins: [settings.bearer.provider], shift: Infinity });
    await loaded(page);
    const opened = page.context().waitForEvent('page');
    const dialog = await authorize(page, 'authorizationCode', async (part) => {
      const boxes = part.getByRole('checkbox');
      for (let i = 0; i < await boxes.count(); i += 1) await boxes.nth(i).check({ force: true });
      await part.getByRole('button', { name: /apply|authorize/i }).click();
    });
    const popup = await opened;
    await popup.waitForURL(/\/interaction\//);
    const asked = t.traffic(page).find((request) => request.path.startsWith('/auth?'));
    const query = new URLSearchParams(asked.path.split('?')[1]);
    t.is([query.get('response_type'), query.get('code_challenge_method'), query.get('client_id')], ['code', 'S256', 'pages'], 'what the provider is asked');
    t.is(query.get('redirect_uri'), `${url}swagger/oauth2-redirect.html`, '... and where to come back to');
    await popup.getByLabel('Name').fill('anna');
    await popup.getByRole('button', { name: 'Sign in' }).click();
    const closed = popup.waitForEvent('close');
    await popup.getByRole('button', { name: 'Allow' }).click();
    await closed;
    await dialog.locator('button', { hasText: 'Logout' }).first().waitFor();
    await dialog.locator('.close-modal').click();
    const { status, body } = await tryOut(page, 'listServers');
    t.is(status, '200', 'the list of payers');
    t.like(body, /Payer A/, '... with their names');
    t.is((await ask('events')).granted, ['authorization_code'], 'by the code');
    t.is(await kept(page), NOTHING, 'nothing is kept');
    t.unlike(page.url(), /code|token|state/, 'nor is it in the address');
  });
});
