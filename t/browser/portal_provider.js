// SPDX-License-Identifier: Apache-2.0
// The member portal with a real OpenID provider: an exchange, and what must not become one.
import { flow } from './lib/flow.js';

const heading = (page, name) => page.getByRole('heading', { level: 1, name });

async function atTheProvider(page, { deny } = {}) {
  await page.getByRole('button', { name: 'Real Provider' }).click();
  await heading(page, 'Sign in').waitFor();
  await page.getByLabel('Name').fill('evelyn');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await heading(page, 'Consent').waitFor();
  await page.getByRole('button', { name: deny ? 'Cancel' : 'Allow' }).click();
}

flow(async ({ test, settings, ask }) => {
  const { url } = settings;

  await test('an exchange', async (t) => {
    const page = await t.open(url);
    await atTheProvider(page);
    await heading(page, 'Your record from Real Provider has arrived').waitFor();
    t.is(await page.locator('summary').allInnerTexts(), ['Immunizations (1)'], 'what arrived');
    t.is((await ask('events')).granted, ['authorization_code'], 'the code was redeemed once');
    t.is([page.url(), await page.evaluate(() => Object.keys(sessionStorage))], [url, []], 'and nothing is left of it');
  });

  await test('denied', async (t) => {
    const page = await t.open(url);
    await atTheProvider(page, { deny: true });
    await page.getByText('You did not allow Real Provider').waitFor();
    t.is(page.url(), url, 'the error is out of the URL');
  });

  await test('not to be reached, perhaps for its certificate', async (t) => {
    t.expect(/net::ERR_FAILED/);
    const page = await t.open(url);
    await page.route(/openid-configuration$/, (route) => route.abort());
    await page.getByRole('button', { name: 'Real Provider' }).click();
    t.like(await page.getByRole('alert').innerText(), /^https:.* does not answer\.$/, 'in words');
    t.is(await page.getByRole('link', { name: /^Open https:.* once$/ }).getAttribute('href'), `${settings.origins[0]}/`, 'and how to go on');
    await t.axe(page);
  });

  for (const [name, change] of [['another iss', { iss: 'https://127.0.0.1:9' }], ['no iss', { iss: null }], ['another state', { state: 'x' }]]) {
    await test(`an answer with ${name}`, async (t) => {
      const page = await t.open(url);
      await ask('answer', change);
      await atTheProvider(page);
      await page.getByText('Please begin again.').waitFor();
      await ask('answer', {});
      t.is((await ask('events')).granted, [], 'no code was used');
    });
  }
});
