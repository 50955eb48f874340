// SPDX-License-Identifier: Apache-2.0
// Every view of the console, with data and without: accessibility, widths, both colour schemes, the keyboard, what is asked for, and pictures.
import { flow } from './lib/flow.js';
import { openConsole, viewsOf, visit } from './lib/console.js';
import { press, setHidden, stops } from './lib/keys.js';

const WIDTHS = [[360, 740], [768, 1024], [1440, 900], [3840, 2160]];
const api = (t, page) => t.traffic(page).filter((request) => /\/(?:admin|api)\//.test(request.path));

// Looks of a view: which of the widths axe-core reads too, by colour scheme.
async function looks(t, settings, views, colorScheme, prefix) {
  const page = await openConsole(t, settings, '#/', { colorScheme, width: WIDTHS[2][0], height: WIDTHS[2][1] });
  const read = colorScheme === 'dark' ? [360] : [1440];
  for (const [name, hash] of Object.entries(views)) {
    await visit(t, page, hash);
    for (const [width, height] of colorScheme === 'light' ? WIDTHS : WIDTHS.slice(0, 1)) {
      await page.setViewportSize({ width, height });
      await t.fits(page, `${name}: nothing is wider than ${width}`);
      if (read.includes(width)) await t.axe(page, `${name}: axe-core finds nothing at ${width}, ${colorScheme}`);
      if (width === 360 || width === 1440) await t.shot(page, `${prefix}${name}-${width}${colorScheme === 'dark' ? '-dark' : ''}`);
    }
    await page.setViewportSize({ width: WIDTHS[2][0], height: WIDTHS[2][1] });
  }
}

// What can be used and is seen: { tag, name } of each, radio buttons of one group as one.
function usable(page) {
  return page.evaluate(() => {
    const groups = new Set();
    const found = [...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex="0"]')].filter((node) => {
      if (node.disabled || node.tabIndex < 0 || !node.checkVisibility({ visibilityProperty: true }) || node.closest('[inert]')) return false;
      if (node.type !== 'radio') return true;
      const first = !groups.has(node.name);
      groups.add(node.name);
      return first;
    });
    return found.length;
  });
}

async function keyboard(t, settings, views) {
  const page = await openConsole(t, settings);
  for (const [name, hash] of Object.entries(views)) {
    await visit(t, page, hash);
    t.is(await page.evaluate(() => [document.querySelectorAll('h1').length, document.activeElement.localName]), [1, name === 'overview' ? 'body' : 'h1'],
      `${name}: one heading, which has the focus`);
    const found = await stops(page);
    t.is(found.filter((stop) => !stop.seen), [], `${name}: one sees where one is`);
    t.is(found.length, await usable(page), `${name}: Tab leads to everything`);
    t.is(found[0]?.name, 'Skip to the content', `${name}: first past the navigation`);
  }
}

async function polling(t, settings, hash, name) {
  const page = await openConsole(t, settings, hash);
  const first = api(t, page);
  t.is(first.filter(({ status }) => status !== 200), [], `${name}: what it asks for is there`);
  const before = api(t, page).length;
  const unchanged = () => api(t, page).slice(before).filter(({ status }) => status === 304);
  t.ok(await t.until(() => unchanged().length >= 2), `${name}: asked again, it is answered with 304`, JSON.stringify(api(t, page)));
  // A mail that is tried again, another hour: there may be news.
  const others = api(t, page).slice(before).filter(({ status }) => ![304, 200, null].includes(status));
  t.is(others, [], `${name}: and else with what is new`);
  await setHidden(page, true);
  await t.until(() => api(t, page).every(({ status }) => status !== null));
  const then = api(t, page).length;
  await page.waitForTimeout(4500);
  t.is(api(t, page).length, then, `${name}: while it is hidden it asks for nothing`);
  await setHidden(page, false);
  t.ok(await t.until(() => api(t, page).length > then, 20), `${name}: it goes on when it is seen again`);
}

flow(async ({ test, settings, diag }) => {
  const views = viewsOf(settings.ids);
  await test('the first view is there soon', async (t) => {
    const page = await openConsole(t, settings);
    const paint = await page.evaluate(() => performance.getEntriesByType('paint').map(({ name, startTime }) => `${name} ${Math.round(startTime)} ms`).join(', '));
    diag(paint);
    t.like(paint, /first-contentful-paint/, 'something is painted');
    t.is(await page.evaluate(() => [localStorage.length, sessionStorage.length, document.cookie]), [0, 0, ''], 'nothing is kept');
  });
  await test('looks, light', (t) => looks(t, settings, views, 'light', ''));
  await test('looks, dark', (t) => looks(t, settings, views, 'dark', ''));
  await test('by the keyboard', (t) => keyboard(t, settings, views));
  await test('a page of rows, and the next', async (t) => {
    const page = await openConsole(t, settings, '#/audit');
    const rows = () => page.locator('main tbody tr').count();
    t.is(await rows(), 100, 'as many as a page has');
    t.is(api(t, page).filter(({ path }) => path.includes('page=')), [], 'and no more is asked for');
    await page.locator('main tbody tr').last().getByRole('link').first().focus();
    await press(page, page.getByRole('button', { name: 'Older' }));
    t.ok(await t.until(() => api(t, page).some(({ path, status }) => path.includes('page=') && status === 200)), 'the next page');
    await t.until(async () => !await page.getByRole('button', { name: 'Newer' }).isDisabled());
    t.is(await rows(), 100, '... takes its place');
    await page.locator('main tbody tr').last().getByRole('link').first().focus();
    await press(page, page.getByRole('button', { name: 'Newer' }));
    t.ok(await t.until(() => page.getByRole('button', { name: 'Newer' }).isDisabled()), 'and back');
  });
  await test('kept up to date', async (t) => {
    const live = { overview: '#/', exchanges: '#/exchanges', exchange: views['exchange-waiting'], mail: '#/mail' };
    await Promise.all(Object.entries(live).map(([name, hash]) => polling(t, settings, hash, name)));
  });
  settings.url = settings.empty;
  const empty = viewsOf(null);
  await test('where nothing has happened, light', (t) => looks(t, settings, empty, 'light', 'empty-'));
  await test('where nothing has happened, dark', (t) => looks(t, settings, empty, 'dark', 'empty-'));
  await test('where nothing has happened, it is said what to do', async (t) => {
    const page = await openConsole(t, settings, '#/payers');
    for (const name of ['payers', 'exchanges', 'mail', 'audit']) {
      await visit(t, page, empty[name]);
      t.like(await page.locator('main .empty').first().innerText().catch(() => ''), /\w+ \w+ \w+/, `${name}: in words`);
      t.is(await page.locator('main tbody tr').count(), 0, `${name}: and nothing else`);
    }
  });
});
