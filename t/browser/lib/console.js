// SPDX-License-Identifier: Apache-2.0
// The console's views for flows: where they are, going there, and waiting until they are shown.

// The views of an installation: ids as P2P::Scene tells them; none where nothing has happened there.
export function viewsOf(ids) {
  const lists = { overview: '#/', payers: '#/payers', 'payer-new': '#/payers/new', exchanges: '#/exchanges', mail: '#/mail', audit: '#/audit' };
  if (!ids) return lists;
  return {
    ...lists,
    payer: `#/payers/${ids.definition}`,
    'exchange-completed': `#/exchanges/${ids.completed}`,
    'exchange-failed': `#/exchanges/${ids.failed}`,
    'exchange-rejected': `#/exchanges/${ids.rejected}`,
    'exchange-waiting': `#/exchanges/${ids.waiting}`,
    'exchange-stopped': `#/exchanges/${ids.stopped}`,
    'mail-undeliverable': `#/mail/${ids.mail}`,
  };
}

// Nothing that was asked for is still to come.
async function quiet(t, page) {
  const waits = () => t.traffic(page).filter((request) => request.status === null);
  if (!await t.until(() => waits().length === 0)) throw new Error(`no answer yet: ${waits().map((request) => request.path).join(' ')}`);
  await page.evaluate(() => new Promise((resolve) => { requestAnimationFrame(() => requestAnimationFrame(resolve)); }));
}

async function shown(t, page) {
  await page.locator('main h1').first().waitFor();
  await quiet(t, page);
}

export async function openConsole(t, settings, hash = '#/', options = {}) {
  const page = await t.open(`${settings.url}console/${hash}`, { user: settings.user, ...options });
  await shown(t, page);
  return page;
}

// Goes to a view as a click on a link does. The one that was shown stays until the new one is there.
export async function visit(t, page, hash) {
  if (await page.evaluate((to) => location.hash === to, hash)) return shown(t, page);
  await page.evaluate((to) => {
    document.querySelector('main > .view')?.setAttribute('data-before', '');
    location.hash = to;
  }, hash);
  await page.locator('main > .view:not([data-before]) h1').first().waitFor();
  return shown(t, page);
}
