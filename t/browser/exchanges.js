// SPDX-License-Identifier: Apache-2.0
// The console's exchanges: the list, one of them while it runs, waits, is stopped, fails and is begun again.
import { flow } from './lib/flow.js';
import { press, setHidden } from './lib/keys.js';

const rows = (page) => page.locator('table.list tbody tr');
const main = (page) => page.locator('main');
const state = (page, words) => page.locator('.head .badge', { hasText: new RegExp(`^${words}$`) });
const svg = (page) => page.locator('svg.flow');
const retrieved = async (page) => Number((await page.locator('.account > div').first().locator('strong').innerText()).replace(/,/g, ''));

// From the nth page behind the first on the source wants to be asked again in a second, until it gets other rules.
const untilTold = (nth) => ({ do: 'status', match: 'GET _getpages=', status: 429, retryAfter: 1, nth, count: 0 });

async function opened(t, settings, hash, options = {}) {
  return t.open(`${settings.url}console/${hash}`, { user: settings.user, ...options });
}

async function nothing(t, settings) {
  const page = await opened(t, settings, '#/exchanges', { width: 360, height: 740, colorScheme: 'dark' });
  await page.getByText('No exchange yet.').waitFor();
  await page.getByRole('link', { name: 'payer that is defined here' }).waitFor();
  await t.axe(page);
  await t.fits(page);
  await page.goto(`${settings.url}console/#/exchanges/77777`);
  await page.getByText('There is no exchange 77777.').waitFor();
  t.expect(/404/);
}

// From the list to the picture, while it runs.
async function runs(t, settings, ask) {
  await ask('faults', { slow: [untilTold(3)] });
  const page = await opened(t, settings, '#/exchanges');
  await page.getByText('No exchange yet.').waitFor();
  const id = await ask('order', 'slow');
  const link = page.getByRole('link', { name: `Exchange ${id}` });
  await link.waitFor();
  await page.locator('tr.started').waitFor();
  t.like(await rows(page).first().innerText(), /running.*slow.*admin/s, 'the list shows it as it comes, by payer and client');
  await link.focus();
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: `Exchange ${id}`, level: 1 }).waitFor();
  await state(page, 'running').waitFor();
  await svg(page).waitFor();
  t.ok(await t.until(async () => await retrieved(page) === 30), 'so much has come');
  await ask('faults', { slow: [untilTold(4)] });
  t.ok(await t.until(async () => await retrieved(page) === 60), 'numbers go on');
  t.ok(await t.until(async () => await svg(page).locator('rect').count() > 2), 'so does the picture');
  t.like(await svg(page).getAttribute('aria-label'), /^\d+ resources? retrieved and \d+ done with/, 'which is told in words');
  await t.axe(page);
  await t.shot(page, 'exchange-running');
  await page.getByText('The same as a table').click();
  t.is(await page.locator('figure tbody tr').count(), 16, '... and as a table');
  await page.setViewportSize({ width: 360, height: 740 });
  await t.fits(page);
  await ask('faults', { slow: [] });
  t.is(await ask('wait', id), 'COMPLETED', 'it comes to its end');
  await state(page, 'completed').waitFor();
  t.ok(await t.until(async () => (await page.getByRole('button', { name: 'Stop…' }).count()) === 0), 'there is nothing to stop any more');
  const numbers = (await page.locator('.account strong').allInnerTexts()).map(Number);
  t.is(numbers[0], numbers.slice(1).reduce((sum, n) => sum + n, 0), 'the account balances');
  await page.getByText('All that was retrieved was written.').waitFor();
  await page.getByRole('button', { name: 'Parts' }).click();
  t.ok(await t.until(async () => (await page.locator('.report-page .badge').allInnerTexts()).every((words) => words === 'landed')), 'all parts have landed');
  await page.getByRole('button', { name: 'Requests' }).click();
  t.like(await page.locator('.report-page').innerText(), /what was ordered.*\{id\}/s, 'its request, without the member');
  await page.setViewportSize({ width: 1280, height: 800 });
  await t.axe(page);
  t.ok(await t.until(() => t.traffic(page).some(({ path, status }) => path === `/admin/batch_jobs/${id}` && status === 304)), 'what does not change is a 304');
  return id;
}

// Why it waits, until when; stopped while it does, and begun again.
async function waits(t, settings, ask) {
  await ask('faults', { slow: [{ do: 'status', match: 'GET _getpages=', status: 429, retryAfter: 300, count: 0 }] });
  const id = await ask('order', 'slow');
  const page = await opened(t, settings, `#/exchanges/${id}`, { colorScheme: 'dark' });
  const words = page.locator('#waits');
  await words.waitFor();
  t.like(await words.innerText(), /^The source asked us to wait.*Next try in [1-5] min \d+ s\.$/s, 'why, with a countdown');
  const first = await words.locator('[role=timer]').innerText();
  t.ok(await t.until(async () => await words.locator('[role=timer]').innerText() !== first), 'which counts down');
  await t.axe(page);
  await t.shot(page, 'exchange-waits');
  const list = await opened(t, settings, '#/exchanges?status=STARTED');
  t.like(await rows(list).first().innerText(), /The source asked us to wait/, 'the list says so, too');
  await list.close();
  const stop = page.getByRole('button', { name: 'Stop…' });
  await press(page, stop);
  await page.getByRole('dialog').waitFor();
  await t.axe(page);
  await page.keyboard.press('Escape');
  t.is(await page.getByRole('dialog').count(), 0, 'nothing is stopped unasked');
  await stop.click();
  await page.getByRole('button', { name: 'Stop it' }).click();
  await state(page, 'stopped').waitFor();
  t.ok(await t.until(async () => await words.count() === 0), 'it waits no more');
  await page.getByText('All that was retrieved was written.').waitFor();
  await ask('faults', { slow: [] });
  await page.getByRole('button', { name: 'Begin again…' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Begin again' }).click();
  await page.getByText(`Exchange ${id} is begun again.`).waitFor();
  t.is(await ask('wait', id), 'COMPLETED', 'begun again, it completes');
  await state(page, 'completed').waitFor();
  t.ok(await t.until(async () => (await page.locator('dl.facts').innerText()).includes('Attempt\n2')), 'at its second attempt');
}

// What the target refused, in its own words; tokens that are given are not kept; what changed meanwhile is told.
async function refused(t, settings, ask) {
  await ask('refuse', 'Observation/alone');
  const id = await ask('order', 'plain');
  t.is(await ask('wait', id), 'FAILED', 'a resource is refused');
  const page = await opened(t, settings, `#/exchanges/${id}`);
  await state(page, 'failed').waitFor();
  await page.getByText('What to do: The report below says which and why.').waitFor();
  const report = page.locator('.report-page');
  await report.getByText(settings.words).waitFor();
  t.like(await report.innerText(), /rejected.*Observation\/alone.*The target refused this resource/s, 'the report tells which and why');
  t.is(await report.locator('b').count(), 0, 'as text');
  await t.axe(page);
  await t.shot(page, 'exchange-refused', { fullPage: true });
  await page.getByRole('button', { name: 'Begin again…' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText('With new tokens').click();
  await t.axe(page);
  await setHidden(page, true);
  t.is(await ask('restart', id), 202, 'somebody else begins it again');
  t.is(await ask('wait', id), 'FAILED', 'in vain');
  await dialog.getByLabel('Access token').fill('SECRET-typed');
  await dialog.getByRole('button', { name: 'Begin again' }).click();
  await dialog.getByText('It changed meanwhile').waitFor();
  t.is(await dialog.getByLabel('Access token').inputValue(), '', 'what was typed is not kept');
  t.expect(/412/);
  await page.keyboard.press('Escape');
  await setHidden(page, false);
  await ask('faults', { target: [] });
  t.ok(await t.until(async () => (await page.locator('dl.facts').innerText()).includes('Attempt\n2')), 'the page shows what became of it');
  await page.getByRole('button', { name: 'Begin again…' }).click();
  await dialog.getByRole('button', { name: 'Begin again' }).click();
  await page.getByText(`Exchange ${id} is begun again.`).waitFor();
  t.is(await ask('wait', id), 'COMPLETED', 'it completes when the target takes it');
  await state(page, 'completed').waitFor();
  t.ok(await t.until(async () => /All that was retrieved was written/.test(await report.innerText())), 'nothing is refused any more');
  t.unlike(await page.content(), /SECRET-typed/, 'no token is in the page');
}

async function lists(t, settings, ask) {
  await ask('add', [10001, 60, 'p2p-exchange', 'STOPPED']);
  await ask('add', [20001, 3, 'definition-test', 'COMPLETED']);
  const page = await opened(t, settings, '#/exchanges');
  await page.getByRole('link', { name: 'Exchange 10060' }).waitFor();
  t.is(await rows(page).count(), 50, 'a page of them, newest first, and no other kinds');
  await t.shot(page, 'exchanges');
  const [newer, older] = ['Newer', 'Older'].map((name) => page.getByRole('button', { name }));
  await press(page, older);
  await page.getByRole('link', { name: 'Exchange 10010' }).waitFor();
  await newer.click();
  await page.getByRole('link', { name: 'Exchange 10060' }).waitFor();
  await page.getByRole('link', { name: 'completed', exact: true }).click();
  await page.locator('tr.completed').first().waitFor();
  t.is([await page.locator('tr:not(.completed)').count() - 1, new URL(page.url()).hash], [0, '#/exchanges?status=COMPLETED'], 'those of a state, in the address');
  await page.getByLabel('Payer', { exact: true }).selectOption({ label: 'plain' });
  t.ok(await t.until(async () => await rows(page).count() === 1), 'and of a payer');
  t.like(new URL(page.url()).hash, new RegExp(`server=${settings.pid.plain}`), 'in the address, too');
  await page.getByRole('link', { name: 'failed', exact: true }).click();
  await page.getByText('This payer has none of that kind.').waitFor();
  await page.getByRole('link', { name: 'Show all exchanges' }).click();
  await page.getByRole('link', { name: 'Exchange 10060' }).waitFor();
  await page.getByLabel('Show', { exact: true }).selectOption({ label: 'Tests of payers' });
  await page.getByRole('link', { name: 'Exchange 20003' }).waitFor();
  t.is(await rows(page).count(), 3, 'other kinds by themselves');
  await page.getByRole('link', { name: 'Exchange 20003' }).click();
  await page.getByRole('heading', { name: 'Job 20003: tests of payers' }).waitFor();
  t.is(await page.getByRole('heading', { name: 'Report' }).count(), 0, 'which have no report');
  await t.axe(page);
}

// More parts than anybody could look at: they are read some pages at a time, and drawn as few.
async function thousands(t, settings) {
  const [PAGES, PARTS] = [25, 100];
  const iso = (ms) => new Date(1700000000000 + ms).toISOString();
  const job = {
    batchJobId: 7, batchStatus: 'COMPLETED', startTime: iso(0), createTime: iso(0), endTime: iso(PAGES * PARTS * 20 + 500), lastUpdated: iso(PAGES * PARTS * 20 + 500), taskId: null,
    progress: { parts: PAGES * PARTS, retrieved: PAGES * PARTS * 10, written: PAGES * PARTS * 10, duplicate: 0, skipped: 0, rejected: 0, waiting: 0, bytes: 1e9 },
    oidcServerId: settings.pid.plain, client: 'x', attempt: 1, target: 'https://t.example/fhir', kind: 'p2p-exchange', waits: null, tokenRefreshed: iso(9000), error: undefined,
  };
  const part = (n) => ({
    request: 0, part: n, url: 'https://s.example/fhir', landed: true, receivedTime: iso(n * 20), mappedTime: iso(n * 20 + 5), landedTime: iso(n * 20 + 300), retrieved: 10, written: 10,
    duplicate: 0, skipped: 0, rejected: 0, bytes: 4e5,
  });
  const answer = (route, etag, body) => (route.request().headers()['if-none-match'] === etag ? route.fulfill({ status: 304, headers: { ETag: etag } })
    : route.fulfill({ status: 200, headers: { 'Content-Type': 'application/json', ETag: etag }, body: JSON.stringify(body) }));
  const page = await t.page({ user: settings.user, width: 3840, height: 2160 });
  const seen = [];
  let goOn;
  const told = new Promise((resolve) => { goOn = resolve; });
  await page.route(/\/admin\/batch_jobs\/7$/, (route) => answer(route, '"1"', job));
  await page.route(/\/admin\/batch_jobs\/7\/report/, async (route) => {
    const at = Number(new URL(route.request().url()).searchParams.get('page') ?? 0);
    seen.push(at);
    if (at >= 10) await told;
    return answer(route, `"${at}"`, {
      batchJobId: 7, task: { id: null, fault: null }, next: at + 1 < PAGES ? `/admin/batch_jobs/7/report?page=${at + 1}` : null,
      requests: [], resources: [], parts: Array.from({ length: PARTS }, (_, i) => part(at * PARTS + i)),
    });
  });
  await page.goto(`${settings.url}console/#/exchanges/7`);
  await page.getByText('More parts are being read.').waitFor();
  t.is([...new Set(seen)].filter((at) => at < 10).length, 10, 'some at once');
  t.ok(Math.max(...seen) <= 10, 'then it is drawn');
  goOn();
  await page.getByText('each bar is 50 parts').waitFor();
  t.ok(await page.locator('svg.flow rect').count() <= 100, 'few bars');
  t.ok((await page.locator('svg.flow path.written').getAttribute('d')).length < 8000, 'short curves');
  t.is(await page.locator('svg.flow line.token').count(), 1, 'and when its token was refreshed');
  t.is([...new Set(seen)].length, PAGES, 'all of them were read');
  await page.getByRole('button', { name: 'Parts' }).click();
  t.is(await rows(page).count(), PARTS, 'a page of them as rows');
  await page.getByRole('button', { name: 'Next' }).click();
  await page.getByText('0 / 100', { exact: true }).waitFor();
  await page.getByRole('button', { name: 'Previous' }).click();
  await page.getByText('0 / 99', { exact: true }).waitFor();
  await t.fits(page);
  await t.shot(page, 'exchange-4k');
}

flow(async ({ test, settings, ask }) => {
  await test('nothing is there', (t) => nothing(t, settings));
  await test('an exchange runs', (t) => runs(t, settings, ask));
  await test('an exchange waits', (t) => waits(t, settings, ask));
  await test('a resource is refused', (t) => refused(t, settings, ask));
  await test('thousands of parts', (t) => thousands(t, settings));
  await test('lists', (t) => lists(t, settings, ask));
});
