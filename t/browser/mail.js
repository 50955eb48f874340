// SPDX-License-Identifier: Apache-2.0
// The console's mail: lists by state, why a mail has not gone, what keeps all of it back, and sending one again.
import { flow } from './lib/flow.js';
import { press } from './lib/keys.js';

const rows = (page) => page.locator('table.list tbody tr');
const cells = (page, about) => rows(page).filter({ hasText: `Task/${about}:` }).locator('td').allInnerTexts();
const tab = (page, name) => page.getByRole('list', { name: 'State' }).getByRole('link', { name });

flow(async ({ test, settings, ask }) => {
  settings.origins = [settings.off];
  const open = async (t, hash, options = {}) => {
    const page = await t.open(`${settings.url}console/${hash}`, { user: settings.user, ...options });
    await page.locator('main h1').waitFor();
    return page;
  };

  await test('what became of each mail', async (t) => {
    const page = await open(t, '#/mail');
    await rows(page).first().waitFor();
    t.is(await rows(page).count(), 4, 'all of them');
    t.like((await cells(page, 'task-1')).join('|'), /queued.*News of a request.*smtp:.*does not take the mail now\. Tried again in/s, 'one that waits, and for what');
    t.like((await cells(page, 'task-2')).join('|'), /sent.*member-2@example\.org/s, 'one that went, and where to');
    t.like((await cells(page, 'task-3')).join('|'), /undeliverable.*does not take mail for <b>this<\/b> recipient/s, 'one that was given up, and why');
    t.like((await cells(page, 'task-4')).join('|'), /refused.*5 mails went to this address/s, 'one that a rule of ours keeps back');
    t.is(await page.getByRole('list', { name: 'State' }).getByRole('link').allInnerTexts(), ['all', 'queued 1', 'sent 1', 'undeliverable 1', 'refused 1'], 'how many there are');
    await t.axe(page);
    await t.shot(page, 'console-mail');
    await press(page, tab(page, /undeliverable/));
    t.ok(await t.until(async () => await rows(page).count() === 1), 'of one state alone');
    t.is([new URL(page.url()).hash, await tab(page, /undeliverable/).getAttribute('aria-current')], ['#/mail?state=undeliverable', 'true'], 'which the address and the choice tell');
    t.ok(await tab(page, /undeliverable/).evaluate((node) => node === document.activeElement), 'the choice keeps the focus');
  });

  await test('on a small screen', async (t) => {
    const page = await open(t, '#/mail', { width: 360, height: 740, colorScheme: 'dark' });
    await rows(page).first().waitFor();
    await t.fits(page);
    await t.axe(page);
  });

  await test('one that was given up is sent again', async (t) => {
    const page = await open(t, '#/mail?state=undeliverable');
    await page.getByRole('link', { name: 'News of a request' }).click();
    await page.getByRole('heading', { name: 'News of a request', level: 1 }).waitFor();
    t.like(await page.locator('main').innerText(), /What to do: Tell the member in another way/, 'what to do is said');
    await t.axe(page);
    const again = page.getByRole('button', { name: 'Send it again' });
    const dialog = page.getByRole('dialog', { name: 'Send this mail again?' });
    await press(page, again);
    await dialog.getByRole('button', { name: 'Cancel' }).click();
    t.is(await ask('state', 'task-3'), 'undeliverable', 'not without being asked twice');
    await press(page, again);
    await t.axe(page);
    await dialog.getByRole('button', { name: 'Send it again' }).click();
    await page.locator('#said').getByText('It is queued, and goes now.').waitFor();
    await again.waitFor({ state: 'hidden' });
    t.is(await ask('state', 'task-3'), 'queued', 'it is queued');
    t.like(await page.locator('dl.facts').innerText(), /State\s+queued/, 'and shown so');
    await page.getByRole('link', { name: 'Audit', exact: true }).click();
    await page.getByRole('link', { name: /^mail [0-9]+$/ }).click();
    await page.getByRole('heading', { name: 'News of a request', level: 1 }).waitFor();
    t.like(new URL(page.url()).hash, /^#\/mail\/[0-9]+$/, 'the audit leads to it');
  });

  await test('one that cannot be sent again', async (t) => {
    t.expect(/Failed to load resource.*409/);
    const page = await open(t, '#/mail?state=refused');
    await page.getByRole('link', { name: 'News of a request' }).click();
    const again = page.getByRole('button', { name: 'Send it again' });
    await again.waitFor();
    await ask('erase');
    await again.click();
    await page.getByRole('dialog').getByRole('button', { name: 'Send it again' }).click();
    await page.locator('#said').getByText('What this mail was made of has been erased; it cannot be sent again.').waitFor();
    t.is(await ask('state', 'task-4'), 'refused', 'it stays what it was');
  });

  await test('one that is not there', async (t) => {
    t.expect(/Failed to load resource.*404/);
    const page = await open(t, '#/mail/12345');
    await page.getByText('There is no mail 12345, or it has been removed since').waitFor();
    t.is(await page.locator('main h1').innerText(), 'Not there', 'says so');
  });

  await test('what keeps all mail back', async (t) => {
    const page = await open(t, '#/mail');
    await rows(page).first().waitFor();
    await ask('hold');
    await page.getByText('No mail is sent for now.').waitFor();
    t.like(await page.locator('main .banner').innerText(), /did not let us sign in\..*mail-sign-in.*Since .*tried again in .*mail test/s, 'says why, since when and until when');
    await t.axe(page);
  });

  await test('without a mail server', async (t) => {
    const page = await t.open(`${settings.off}console/#/mail`, { user: settings.user });
    await page.getByText('Mail is off: P2PMailServer is not set.').waitFor();
    t.is(await rows(page).count(), 0, 'there is none');
    await t.axe(page);
  });
});
