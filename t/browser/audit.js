// SPDX-License-Identifier: Apache-2.0
// The console's audit: its entries, filters in the address, the way to what an entry is about.
import { flow } from './lib/flow.js';

const rows = (page) => page.locator('table.list tbody tr');
const texts = async (page) => (await rows(page).allInnerTexts()).map((text) => text.replace(/\s+/g, ' '));

flow(async ({ test, settings }) => {
  const open = async (t, hash, options = {}) => {
    const page = await t.open(`${settings.url}console/${hash}`, { user: settings.user, ...options });
    await page.locator('main h1').waitFor();
    return page;
  };

  await test('who did what', async (t) => {
    const page = await open(t, '#/audit');
    await rows(page).first().waitFor();
    const [refused, changed] = await texts(page);
    t.like(refused, /portal portal 127\.0\.0\.1 change payer 2 refused 403 forbidden/, 'what was refused, and why');
    t.like(changed, /admin administrator 127\.0\.0\.1 change payer 2 done 200/, 'what was done');
    t.is(await rows(page).count(), 5, 'all of it');
    await t.axe(page);
    await t.shot(page, 'console-audit');
    await rows(page).first().getByRole('link', { name: 'payer 2' }).click();
    t.ok(await t.until(() => new URL(page.url()).hash === '#/payers/2'), 'an entry leads to what it is about');
  });

  await test('filters', async (t) => {
    const page = await open(t, '#/audit');
    await page.getByLabel('Done to').fill('Payer 2');
    await page.getByRole('button', { name: 'Filter' }).focus();
    await page.keyboard.press('Enter');
    t.ok(await t.until(async () => await rows(page).count() === 3), 'by what it was done to');
    t.is(new URL(page.url()).hash, '#/audit?object=oidc_server%2F2', 'the address has it');
    t.is([await page.getByLabel('Done to').inputValue(), await page.evaluate(() => document.activeElement.textContent)], ['payer 2', 'Filter'], 'it stays, and so does the focus');
    await rows(page).first().getByRole('link', { name: 'portal' }).click();
    t.ok(await t.until(async () => await rows(page).count() === 1), 'and by who did it');
    await page.reload();
    t.ok(await t.until(async () => await rows(page).count() === 1), 'as the address tells');
    t.is(await page.getByLabel('Done by').inputValue(), 'portal', 'in the fields, too');
    await page.getByRole('link', { name: 'Show all' }).click();
    t.ok(await t.until(async () => await rows(page).count() === 5), 'all again');
  });

  await test('nothing of that', async (t) => {
    const page = await open(t, '#/audit?client=nobody', { width: 360, height: 740, colorScheme: 'dark' });
    await page.getByText('Nothing is noted of that.').waitFor();
    t.is(await rows(page).count(), 0, 'no row');
    await t.fits(page);
    await t.axe(page);
  });
});
