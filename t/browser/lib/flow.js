// SPDX-License-Identifier: Apache-2.0
// Runs a flow: one Chromium, tests with a browser context of their own each, TAP on standard output; P2P::Browser starts it and hands it its settings.
//
//   import { flow } from './lib/flow.js';
//   flow(async ({ test, settings, ask, diag }) => {
//     await test('the list of payers', async (t) => {
//       const page = await t.open(settings.url + '/console/#/payers', { width: 360, height: 740, colorScheme: 'dark' });
//       await page.getByRole('link', { name: 'Payer A' }).click();
//       t.is(await page.title(), 'Payer A', 'its title');
//       await t.axe(page);
//       await ask('stopHttpd');                                        // the Perl side's answers => { stopHttpd => sub { … } }
//     });
//   });
//
// Whatever a page does that no page of ours may do fails its test (watch.js); t.expect(/…/) names what a test provokes.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { isDeepStrictEqual } from 'node:util';
import { chromium } from 'playwright-core';
import { accessibilityFaults } from './axe.js';
import { Watch } from './watch.js';

const PATIENCE = process.env.P2P_SANITIZED ? 60000 : 30000; // ms, of each step
const PROGRAMS = [process.env.P2P_CHROMIUM, '/usr/bin/chromium'];
const SWITCHES = [
  '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
];

const write = (line) => fs.writeSync(1, `${line}\n`);
const comment = (indent, text) => String(text).split('\n').forEach((line) => write(`${indent}# ${line}`));
const named = (name) => String(name).replace(/[\r\n]+/g, ' ').replace(/#/g, '\\#');
const shown = (value) => (typeof value === 'string' ? value : JSON.stringify(value) ?? String(value));

// Lines of standard input, one at a time: the settings, then the answers to what was asked.
function inputLines() {
  const iterator = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  return async () => {
    const { value, done } = await iterator.next();
    if (done) throw new Error('the test that started this flow is gone');
    return JSON.parse(value);
  };
}

async function launch(home) {
  const executablePath = PROGRAMS.find((file) => file && fs.existsSync(file));
  if (!executablePath) throw new Error('there is no Chromium: install the Debian package chromium, or name the program in P2P_CHROMIUM');
  return chromium.launch({
    executablePath,
    args: process.getuid() === 0 ? [...SWITCHES, '--no-sandbox'] : SWITCHES,
    timeout: 120000,
    env: { ...process.env, HOME: home, XDG_CONFIG_HOME: home, XDG_CACHE_HOME: home, http_proxy: '', https_proxy: '', all_proxy: '' },
  });
}

// What a test has: results, pages, and the rules that every page keeps to.
class Test {
  constructor(browser, settings) {
    Object.assign(this, { browser, settings, count: 0, failed: 0, expected: [], watches: [] });
  }

  ok(good, name, detail) {
    this.count += 1;
    if (!good) this.failed += 1;
    write(`    ${good ? 'ok' : 'not ok'} ${this.count} - ${named(name)}`);
    if (!good && detail !== undefined) comment('    ', detail);
    return Boolean(good);
  }

  is(got, wanted, name) {
    return this.ok(isDeepStrictEqual(got, wanted), name, `     got: ${shown(got)}\nexpected: ${shown(wanted)}`);
  }

  like(got, pattern, name) { return this.ok(pattern.test(got), name, `     got: ${shown(got)}\nexpected to match ${pattern}`); }

  unlike(got, pattern, name) { return this.ok(!pattern.test(got), name, `     got: ${shown(got)}\nexpected not to match ${pattern}`); }

  diag(text) { comment('    ', text); }

  // Faults that match are of the test's own making.
  expect(...patterns) { this.expected.push(...patterns); }

  // A context of its own. settings: those of Playwright's newContext, and width, height; origins: further ones that may be asked;
  // user: { username, password } of Basic authentication; shift: the sum of layout shifts that is borne (0.1).
  async context({ width = 1280, height = 800, origins = [], user, shift, ...more } = {}) {
    const context = await this.browser.newContext({
      ignoreHTTPSErrors: true, viewport: { width, height }, reducedMotion: 'reduce', httpCredentials: user, ...more,
    });
    context.setDefaultTimeout(PATIENCE);
    const ours = [this.settings.url, ...(this.settings.origins ?? []), ...origins].filter(Boolean).map((url) => new URL(url).origin);
    const watch = new Watch({ origins: ours, shift });
    await watch.over(context);
    this.watches.push({ context, watch });
    return context;
  }

  async page(options) { return (await this.context(options)).newPage(); }

  async open(url, options) {
    const page = await this.page({ ...options, origins: [url, ...(options?.origins ?? [])] });
    await page.goto(url);
    return page;
  }

  // What the pages of a context have asked for: [{ method, path, status, type }], oldest first.
  traffic(page) { return this.watches.find(({ context }) => context === page.context()).watch.traffic; }

  async axe(page, name = 'axe-core finds nothing', options = {}) {
    const faults = await accessibilityFaults(page, options);
    return this.ok(faults.length === 0, name, faults.join('\n'));
  }

  // Nothing is wider than the window.
  async fits(page, name) {
    const wide = await page.evaluate(() => {
      const room = document.documentElement.clientWidth;
      if (document.documentElement.scrollWidth <= room) return [];
      return [...document.querySelectorAll('*')].filter((node) => node.getBoundingClientRect().right > room + 0.5)
        .map((node) => node.cloneNode(false).outerHTML.slice(0, 160)).slice(0, 5).concat(`${document.documentElement.scrollWidth} > ${room}`);
    });
    return this.ok(wide.length === 0, name ?? `nothing is wider than ${page.viewportSize().width}`, wide.join('\n'));
  }

  // True as soon as the question is answered so; false after a time.
  async until(question, seconds = PATIENCE / 1000) {
    const end = Date.now() + seconds * 1000;
    for (;;) {
      const answer = await question();
      if (answer || Date.now() > end) return answer;
      await new Promise((resolve) => { setTimeout(resolve, 50); });
    }
  }

  // P2P_SCREENSHOTS=DIR keeps a picture of what is seen.
  async shot(page, name, options = {}) {
    if (!process.env.P2P_SCREENSHOTS) return;
    fs.mkdirSync(process.env.P2P_SCREENSHOTS, { recursive: true });
    await page.screenshot({ path: path.join(process.env.P2P_SCREENSHOTS, `${name}.png`), animations: 'disabled', caret: 'hide', ...options });
  }

  async end() {
    const faults = [];
    for (const { context, watch } of this.watches) {
      await watch.settle(context);
      faults.push(...watch.faults());
      await context.close();
    }
    const left = faults.filter((fault) => !this.expected.some((pattern) => pattern.test(fault)));
    if (this.watches.length > 0) this.ok(left.length === 0, 'no page did what none may do', [...new Set(left)].slice(0, 20).join('\n'));
  }
}

async function runTest(test, code) {
  try {
    await code(test);
  } catch (error) {
    test.ok(false, 'it ran to its end', error.stack ?? error);
    for (const { context } of test.watches) {
      for (const page of context.pages()) {
        const text = await page.locator('body').innerText({ timeout: 1000 }).catch(() => '');
        test.diag(`at ${page.url()}\n${text.slice(0, 2000)}`);
      }
    }
  }
  try {
    await test.end();
  } catch (error) {
    test.ok(false, 'it could be ended', error.stack ?? error);
  }
}

export async function flow(body) {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'p2p-chromium-'));
  const next = inputLines();
  let browser;
  let tests = 0;
  let code = 0;
  // ask('name', argument): what the Perl side's function of that name returns.
  const ask = async (name, argument = null) => {
    write(`ASK ${JSON.stringify({ name, argument })}`);
    const { answer, problem } = await next();
    if (problem) throw new Error(`${name}: ${problem}`);
    return answer;
  };
  const test = async (name, run) => {
    tests += 1;
    write(`# Subtest: ${named(name)}`);
    const one = new Test(browser, settings);
    const begun = Date.now();
    await runTest(one, run);
    if (process.env.P2P_VERBOSE) comment('    ', `${((Date.now() - begun) / 1000).toFixed(1)} s`);
    write(`    1..${one.count}`);
    write(`${one.failed === 0 && one.count > 0 ? 'ok' : 'not ok'} ${tests} - ${named(name)}`);
  };
  let settings;
  try {
    settings = await next();
    browser = await launch(home);
    await body({ test, settings, ask, diag: (text) => comment('', text), browser });
    write(`1..${tests}`);
  } catch (error) {
    write(`Bail out!  ${named(error.stack ?? error)}`);
    code = 1;
  }
  await browser?.close().catch(() => {});
  fs.rmSync(home, { recursive: true, force: true, maxRetries: 5 });
  process.exit(code);
}
