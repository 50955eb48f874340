// SPDX-License-Identifier: Apache-2.0
// A page used by the keyboard alone: where Tab leads, and whether one can see where one is.

// What has the focus: { tag, name, seen, again }, or null where nothing has. seen: an outline or shadow tells that it has; again: it was asked about before.
export async function focused(page) {
  return page.evaluate(() => {
    const node = document.activeElement;
    if (!node || node === document.body || node === document.documentElement) return null;
    const style = getComputedStyle(node);
    const box = node.getBoundingClientRect();
    const outlined = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0;
    const labels = [...node.labels ?? []].map((label) => label.textContent);
    const name = node.getAttribute('aria-label') ?? (labels.join(' ') || node.textContent || node.value || node.title || '');
    window.p2pBeen ??= new WeakSet();
    const again = window.p2pBeen.has(node);
    window.p2pBeen.add(node);
    return {
      tag: node.localName,
      name: name.trim().replace(/\s+/g, ' ').slice(0, 80),
      seen: node.matches(':focus-visible') && (outlined || style.boxShadow !== 'none') && box.width > 0 && box.height > 0
        && box.bottom > 0 && box.top < window.innerHeight,
      again,
    };
  });
}

// Every stop of Tab from the top of the page to its end, at most so many: { tag, name, seen } of each.
export async function stops(page, most = 500) {
  await page.evaluate(() => {
    const top = document.createElement('span');
    top.tabIndex = -1;
    top.id = 'p2p-top';
    document.body.prepend(top);
    top.focus();
    window.p2pBeen = new WeakSet();
  });
  const found = [];
  while (found.length < most) {
    await page.keyboard.press('Tab');
    const stop = await focused(page);
    if (!stop || stop.again) break;
    found.push({ tag: stop.tag, name: stop.name, seen: stop.seen });
  }
  await page.evaluate(() => document.getElementById('p2p-top').remove());
  return found;
}

// Presses Tab until the locator's element has the focus.
export async function tabTo(page, locator, most = 500) {
  for (let i = 0; i < most; i += 1) {
    if (await locator.evaluate((node) => node === document.activeElement)) return;
    await page.keyboard.press('Tab');
  }
  throw new Error(`Tab does not lead to ${locator}`);
}

// To there by Tab, then Enter (or another key).
export async function press(page, locator, key = 'Enter') {
  await tabTo(page, locator);
  await page.keyboard.press(key);
}

// The page as if another tab were in front of it, and back.
export async function setHidden(page, hidden) {
  await page.evaluate((value) => {
    Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => (value ? 'hidden' : 'visible') });
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => value });
    document.dispatchEvent(new Event('visibilitychange'));
  }, hidden);
}
