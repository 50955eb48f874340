// SPDX-License-Identifier: Apache-2.0
// The console's overview: what needs a person, what happens now, what was done; as the API tells it, and as a test has it told.
import { flow } from './lib/flow.js';

const HOUR = 3600000;
const OVERVIEW = /\/admin\/overview$/;

const sums = (more = {}) => ({ completed: 0, failed: 0, stopped: 0, resources: 0, bytes: 0, errors: 0, ...more });

// An overview as the API tells it, at a time of ours.
function told(more = {}, last = {}) {
  const now = Math.floor(Date.now() / HOUR) * HOUR;
  const hours = Array.from({ length: 48 }, (_, i) => ({ hour: new Date(now - (47 - i) * HOUR).toISOString(), ...sums({ completed: i % 7, failed: i % 3, resources: i * 400, bytes: i * 50000 }) }));
  Object.assign(hours[47], last);
  return {
    time: new Date().toISOString(), hours,
    peers: [{ peer: 'target', pid: null, name: null, ...sums({ errors: 14 }) }, { peer: 'oidc_server/1', pid: 1, name: 'Payer A', ...sums({ completed: 212, resources: 88213, bytes: 121904411, errors: 3 }) },
      { peer: 'oidc_server/9', pid: null, name: null, ...sums({ completed: 1 }) }],
    queue: { waiting: 1000, more: true, running: 16, resting: 2, oldest: new Date(Date.now() - HOUR).toISOString() },
    runners: [{ host: 'p2p-1', slots: 2, since: new Date(now).toISOString() }, { host: 'p2p-2', slots: 1, since: new Date(now).toISOString() }],
    attention: [], ...more,
  };
}

const one = (kind, object, sentence) => ({ kind, object, sentence, time: new Date().toISOString() });

// The nth request is answered with what answers(n) tells; where that is what it was, with a 304.
async function answering(page, answers) {
  let n = 0;
  await page.route(OVERVIEW, async (route) => {
    const body = JSON.stringify(answers(++n));
    const etag = `"${body.length}-${n}"`;
    await route.fulfill({ status: 200, headers: { 'Content-Type': 'application/json', ETag: etag }, body });
  });
}

flow(async ({ test, settings, ask }) => {
  const opened = async (t, answers, options = {}) => {
    const page = await t.page({ user: settings.user, ...options });
    if (answers) await answering(page, answers);
    await page.goto(`${settings.url}console/`);
    await page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor();
    return page;
  };
  const needs = (page) => page.getByRole('region', { name: 'What needs a person' });

  await test('before the first exchange, and after it', async (t) => {
    const page = await opened(t);
    t.like(await needs(page).innerText(), /No runner is alive.*error log/, 'what stops everything is said first');
    t.like(await page.locator('main').innerText(), /Nothing was exchanged in the last day/, 'that there is nothing yet');
    await t.axe(page);
    await ask('fail');
    const link = needs(page).getByRole('link', { name: 'Open exchange 17' });
    await link.waitFor();
    t.like(await needs(page).innerText(), /Exchange 17 with B<img src=x onerror=alert\(1\)> has failed: The target refused <b>it<\/b>\./, 'an exchange that failed needs a person, in words that stay words');
    t.ok(await page.getByRole('img', { name: /^Exchanges per hour\. .*: 13\. Most: 13/ }).isVisible(), 'the picture says what it shows');
    t.is(await page.getByRole('row', { name: /^B<img/ }).getByRole('cell').allInnerTexts(), ['B<img src=x onerror=alert(1)>', '12', '1', '0', '4,000', '5.0 MB', '3'], 'by payer');
    t.like(await page.getByRole('row', { name: /The target server/ }).innerText(), /2$/, 'and the target');
    await t.axe(page);
    await link.click();
    t.ok(await t.until(() => new URL(page.url()).hash === '#/exchanges/17'), 'the way there');
  });

  await test('all that may need a person, and the ways to it', async (t) => {
    const attention = [one('mail-hold', null, 'No mail goes out for now.'), one('issuer', null, 'What an issuer publishes cannot be had.'), one('mail-undeliverable', 'mail/7', 'A mail could not be delivered.'),
      one('definition-test', 'oidc_server/1', 'The last test did not go well.'), ...[5, 4, 3, 2, 1].map((id) => one('exchange-failed', `batch_job/${id}`, `Exchange ${id} has failed.`)),
      one('something-new', 'thing/1', 'What this console does not know yet.')];
    const page = await opened(t, () => told({ attention }), { width: 1600, height: 1200 });
    t.is(await needs(page).getByRole('listitem').count(), attention.length, 'each is a line');
    t.is(await needs(page).getByRole('link').evaluateAll((links) => links.map((link) => link.getAttribute('href'))),
      ['#/mail', '#/mail/7', '#/payers/1', ...[5, 4, 3, 2, 1].map((id) => `#/exchanges/${id}`), '#/exchanges?status=FAILED'], 'with ways to those that have a place');
    const facts = (name) => page.locator('section.card', { has: page.getByRole('heading', { name }) }).innerText();
    t.like(await facts('Queue'), /more than 1,000[^]*1 h ago[^]*16[^]*2/, 'the queue');
    t.like(await facts('Runners'), /p2p-1\s+2, began[^]*p2p-2\s+1, began/, 'runners, by host');
    t.is(await page.getByRole('img').evaluateAll((pictures) => pictures.filter((picture) => !picture.getAttribute('aria-label')).length), 0, 'each picture has a name');
    await page.getByText('The hours in numbers').click();
    t.is(await page.getByRole('table', { name: 'What was exchanged, by hour' }).getByRole('row').count(), 49, 'all hours as numbers');
    await t.axe(page);
    await t.shot(page, 'console-overview', { fullPage: true });
  });

  await test('at work: rates, and the focus stays', async (t) => {
    const page = await opened(t, (n) => told({ attention: [one('exchange-failed', 'batch_job/5', `Exchange 5 has failed, told ${n} times.`)] }, sums({ resources: 100000 + n * 5000, bytes: n * 1000000 })));
    const link = needs(page).getByRole('link');
    await link.focus();
    t.ok(await t.until(async () => /told [3-9] times/.test(await needs(page).innerText())), 'it is kept up to date');
    t.is(await page.evaluate(() => document.activeElement.getAttribute('href')), '#/exchanges/5', 'what had the focus has it');
    const card = page.locator('section.card', { has: page.getByRole('heading', { name: 'Now' }) });
    t.ok(await t.until(async () => /Resources per second\s+[1-9][\d,]*\s[^]*Bytes per second\s+[\d.]+ kB/.test(await card.innerText())), 'resources and bytes per second');
    t.like(await card.getByRole('img').first().getAttribute('aria-label'), /^resources per second, the last two minutes: [\d,]+, at most/, 'their line says so');
  });

  await test('nothing to do', async (t) => {
    const page = await opened(t, () => told({ queue: { waiting: 0, more: false, running: 0, resting: 0, oldest: null } }));
    t.like(await needs(page).innerText(), /Nothing needs you/, 'nothing needs a person');
    await t.axe(page);
  });

  for (const [width, colorScheme] of [[360, 'dark'], [3840, 'light']]) {
    await test(`${width} wide, ${colorScheme}`, async (t) => {
      const page = await opened(t, () => told({ attention: [one('exchange-failed', 'batch_job/5', `Exchange 5 has failed: ${'x'.repeat(80)}.`)] }), { width, height: 800, colorScheme });
      await t.fits(page);
      await t.axe(page);
      await t.shot(page, `console-overview-${width}`, { fullPage: true });
    });
  }
});
