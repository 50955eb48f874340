// SPDX-License-Identifier: Apache-2.0
// Texts that others supply, each with markup in it, in every view that shows them: they are text, and nothing of them runs or is loaded.
import { flow } from './lib/flow.js';
import { openConsole, viewsOf, visit } from './lib/console.js';

const MARK = /p2p-mark-([a-z-]+)-/g;

// Runs before the page's own scripts: whatever a planted text would do, it would call this.
function hook() {
  window.p2pRan = (where) => window.p2pTold('planted script', where);
}

// The marks that a person sees, and elements that came of a planted text.
function look(page) {
  return page.evaluate(() => ({
    text: [...document.querySelectorAll('input, textarea')].map((node) => node.value).join(' ') + document.body.innerText,
    made: [...document.querySelectorAll('[onerror], [onload], [data-planted], script:not([src$=".js"]), iframe, object, embed, base, main img, a[href^="javascript:" i]')]
      .map((node) => node.outerHTML.slice(0, 200)),
  }));
}

// Opens what can be opened: details, and tabs of the view.
async function unfold(page) {
  await page.evaluate(() => { for (const node of document.querySelectorAll('details')) node.open = true; });
}

flow(async ({ test, settings }) => {
  const seen = new Map();
  const views = viewsOf(settings.ids);
  await test('planted texts are text', async (t) => {
    const page = await openConsole(t, settings, '#/');
    await page.addInitScript(hook);
    await page.reload();
    for (const [name, hash] of Object.entries(views)) {
      await visit(t, page, hash);
      await unfold(page);
      // What a view adds after its first answer comes soon; every mark that it is to show is waited for.
      const wanted = settings.wanted[name] ?? [];
      let found;
      await t.until(async () => {
        found = await look(page);
        return wanted.every((where) => found.text.includes(`p2p-mark-${where}-`));
      }, 10);
      for (const [, where] of found.text.matchAll(MARK)) seen.set(where, [...seen.get(where) ?? [], name]);
      t.is(wanted.filter((where) => !found.text.includes(`p2p-mark-${where}-`)), [], `${name}: it shows the texts that it has to show`);
      t.is(found.made, [], `${name}: and nothing came of them`);
      if (wanted.length) t.ok(found.text.includes('<img src=x onerror='), `${name}: markup is seen as markup`);
    }
    t.diag([...seen].map(([where, places]) => `${where}: ${[...new Set(places)].join(' ')}`).join('\n'));
  });
  await test('the hook works', async (t) => {
    const page = await openConsole(t, settings, '#/');
    await page.evaluate(hook);
    await page.evaluate(() => window.p2pRan('shown'));
    t.ok(await t.until(() => t.watches[0].watch.faults().some((fault) => /planted script: shown/.test(fault))), 'a script that ran would be seen');
    await page.evaluate(() => { document.querySelector('main').insertAdjacentHTML('beforeend', '<img alt="" src="x" onerror="p2pRan(1)">'); });
    t.ok(await t.until(() => t.watches[0].watch.faults().some((fault) => /content security policy: script-src/.test(fault))), 'and markup that got in would be stopped by the policy');
    t.is((await look(page)).made.length, 1, '... and be seen');
    t.expect(/./);
  });
});
