// SPDX-License-Identifier: Apache-2.0
// The console's payers, as an administrator uses them: with mistakes, with somebody else at the same time, and by the keyboard alone.
import { flow } from './lib/flow.js';
import { focused, press, tabTo } from './lib/keys.js';

const REFUSED = /console error: Failed to load resource: the server responded with a status of (404|409|412|422)/;
const MARKUP = '<img src=x onerror=alert(1)> & "Payer"';

const part = (page, name) => page.locator(`[data-field=${name}]`);
const input = (page, name) => part(page, name).locator('input:not([type=file]):not([type=radio]), textarea');
const error = (page, name) => part(page, name).locator('.error');
const heading = (page, name) => page.getByRole('heading', { level: 1, name, exact: true });
const save = (page) => page.locator('#save').click();
const said = (page, words) => page.locator('#said').getByText(words).waitFor();
const choose = (page, name, way) => part(page, name).getByRole('radio', { name: way }).check();
const answer = (page, name) => page.getByRole('dialog').getByRole('button', { name, exact: true }).click();

flow(async ({ test, settings, ask }) => {
  const at = (view) => `${settings.url}/console/#/${view}`;
  const open = (t, view, more = {}) => t.open(at(view), { user: settings.user, ...more });
  const step = (page, name) => page.locator(`[data-step=${name}] .badge`);
  const verdict = (page) => page.locator('#verdict');
  let first;

  await test('the empty list says what to do', async (t) => {
    const page = await open(t, 'payers', { width: 360, height: 740 });
    await page.getByText('No source payer is defined yet.').waitFor();
    await t.axe(page);
    await t.fits(page);
    await page.getByRole('link', { name: 'Add the first payer' }).click();
    await heading(page, 'A new payer').waitFor();
    await t.axe(page);
    await t.fits(page);
  });

  await test('a new one, with mistakes', async (t) => {
    t.expect(REFUSED);
    const page = await open(t, 'payers/new');
    const answers = [];
    page.on('response', async (response) => { if (response.url().includes('/admin/')) answers.push(await response.text().catch(() => '')); });
    await save(page);
    await page.getByText('3 fields need a change').waitFor();
    for (const name of ['name', 'issuer', 'fhirEndpoint']) t.is(await error(page, name).textContent(), 'It is required.', `${name} has its error`);
    t.is(await input(page, 'name').evaluate((node) => [node === document.activeElement, node.getAttribute('aria-invalid')]), [true, 'true'], 'the first one has the focus');
    t.like(await input(page, 'issuer').evaluate((node) => node.getAttribute('aria-describedby').split(' ').map((id) => document.getElementById(id).textContent).join('|')),
      /identifies the definition.*\|It is required\.$/, 'hint and error are tied to the field');
    await t.axe(page, 'axe-core finds nothing among errors');
    await page.getByLabel('Server Name').fill(MARKUP);
    await page.getByLabel('Issuer').fill('http://payer.example?x=1');
    await page.getByLabel('FHIR Endpoint URL').fill('payer.example');
    await page.getByLabel('Token URL').fill('https://u:p@payer.example/token');
    await page.getByLabel('Custom Token Parameters').fill('memberId, other');
    await page.getByLabel('Client Secret').fill(settings.secret);
    await page.getByLabel('Key (File)').fill('missing.jwks');
    await save(page);
    await error(page, 'customTokenParams').getByText('more than one name').waitFor();
    t.like(await error(page, 'issuer').textContent(), /^It must be an https URL/, 'the issuer');
    t.like(await error(page, 'fhirEndpoint').textContent(), /begins with https/, 'the FHIR endpoint');
    t.like(await error(page, 'tokenEndpoint').textContent(), /without user name/, 'the token URL');
    t.like(await error(page, 'keyFile').textContent(), /not in P2PKeyDir/, 'the key file');
    t.is(await error(page, 'name').textContent(), '', 'what was mended has none');
    t.is(await input(page, 'fhirEndpoint').evaluate((node) => node === document.activeElement), true, 'the first at fault has the focus');
    const before = t.traffic(page).length;
    await page.getByLabel('Key (Text)').fill(settings.privateKey);
    await save(page);
    t.like(await error(page, 'keyText').textContent(), /private/, 'a private key is refused');
    t.is(t.traffic(page).length, before, '... before it is sent');
    await page.getByLabel('Key (Text)').fill('');
    await page.getByLabel('Issuer').fill(`${settings.issuer}/`);
    await page.getByLabel('FHIR Endpoint URL').fill(settings.fhir);
    await page.getByLabel('Token URL').fill('');
    await page.getByLabel('Custom Token Parameters').fill('memberId');
    await page.getByLabel('Key (File)').fill('');
    await page.getByLabel('Client ID').fill('portal');
    await page.getByLabel('code', { exact: false }).first().check();
    await page.getByLabel('Auth Well-Known Configuration URL').fill(`${settings.issuer}/.well-known/openid-configuration`);
    await save(page);
    await heading(page, MARKUP).waitFor();
    first = Number(/payers\/(\d+)$/.exec(page.url())[1]);
    const stored = await ask('stored', first);
    t.is([stored.name, stored.issuer, stored.clientId, stored.responseType, stored.clientSecretSet], [MARKUP, settings.issuer, 'portal', 'code', true], 'it is stored');
    t.is(await part(page, 'clientSecret').locator('.badge').textContent(), 'set', 'the secret is set');
    const seen = await page.evaluate(() => document.documentElement.outerHTML + [...document.querySelectorAll('input,textarea')].map((node) => node.value).join('\n'));
    t.is([seen, ...answers].some((text) => text.includes(settings.secret)), false, '... and nowhere to be seen');
    await t.axe(page);
  });

  await test('a test that fails, and one that does not', async (t) => {
    await ask('change', { pid: first, clientSecret: 'wrong' });
    const page = await open(t, `payers/${first}`);
    await page.getByRole('button', { name: 'Test it' }).click();
    await page.locator('#verdict.bad').waitFor();
    t.is(await verdict(page).textContent(), '1 of 4 steps failed.', 'the verdict');
    t.is(await step(page, 'tokenEndpoint').textContent(), 'failed', 'the token endpoint');
    t.like(await page.locator('[data-step=tokenEndpoint]').textContent(), /\d (ms|s).*invalid_client/, '... its time, and why');
    t.is(await step(page, 'capabilityStatement').textContent(), 'good', 'the FHIR endpoint');
    await t.axe(page);
    await page.getByRole('button', { name: 'Go to the field' }).click();
    t.is((await focused(page)).name, 'Client ID', 'the way to the field');
    await choose(page, 'clientSecret', 'Replace it');
    await page.getByLabel('Client Secret').fill(settings.secret);
    await page.getByRole('button', { name: 'Test it' }).click();
    await page.locator('#verdict.good').waitFor();
    t.is(await verdict(page).textContent(), 'All steps are good: exchanges can begin.', 'mended; what was changed is saved first');
    t.is([await page.getByLabel('Client Secret').inputValue(), await page.getByLabel('Client Secret').isVisible()], ['', false], '... and the field is empty');
    t.is(await page.locator('.step .badge.good').count(), 4, 'each step is good');
    await t.shot(page, 'payer');
    await page.reload();
    await heading(page, MARKUP).waitFor();
  });

  await test('what nobody touched stays as it is stored', async (t) => {
    const pid = await ask('made', { notes: 'one\r\ntwo', responseType: 'id_token code' });
    const page = await open(t, `payers/${pid}`);
    const before = await ask('stored', pid);
    await page.getByLabel('Client ID').fill('portal');
    await save(page);
    await said(page, 'It is saved.');
    const after = await ask('stored', pid);
    t.is([after.clientId, after.notes, after.responseType], ['portal', before.notes, before.responseType], 'lines and words among it');
  });

  await test('nothing is typed while it is being stored', async (t) => {
    const page = await open(t, `payers/${first}`);
    let release = null;
    await page.route(/oidc_servers/, async (route) => {
      if (route.request().method() === 'PATCH') await new Promise((resolve) => { release = resolve; });
      await route.continue();
    });
    await input(page, 'notes').fill('renewed in March');
    await save(page);
    await t.until(() => release);
    t.is(await page.locator('#definition').evaluate((form) => form.inert), true, 'the form waits');
    release();
    await said(page, 'It is saved.');
    t.is(await page.locator('#definition').evaluate((form) => [form.inert, document.activeElement.id]), [false, 'save'], 'and is there again, with the focus where it was');
  });

  await test('secrets and keys', async (t) => {
    t.expect(REFUSED);
    const pid = await ask('made', { clientSecret: 'SECRET-of-old' });
    const page = await open(t, `payers/${pid}`);
    await page.getByLabel('Notes').fill('a note');
    await save(page);
    await said(page, 'It is saved.');
    t.is([(await ask('stored', pid)).clientSecretSet, (await ask('stored', pid)).notes], [true, 'a note'], 'a secret is kept');
    await choose(page, 'clientSecret', 'Remove it');
    await save(page);
    await part(page, 'clientSecret').getByText('not set').waitFor();
    t.is(await ask('sealed', pid), '', 'it is removed');
    const chooser = part(page, 'keyText').locator('input[type=file]');
    await chooser.setInputFiles(settings.badFile);
    await error(page, 'keyText').getByText('no JSON').waitFor();
    await chooser.setInputFiles(settings.largeFile);
    await error(page, 'keyText').getByText('64 KiB').waitFor();
    await chooser.setInputFiles(settings.goodFile);
    await t.until(async () => (await page.getByLabel('Key (Text)').inputValue()).includes('"keys"'));
    t.is(await error(page, 'keyText').textContent(), '', 'a file with a key is read');
    await save(page);
    await part(page, 'keyText').getByText('set', { exact: true }).waitFor();
    t.is((await ask('stored', pid)).keyTextSet, true, '... and stored');
    await choose(page, 'keyText', 'Replace it');
    await page.getByLabel('Key (Text)').fill('{"kty":"RSA"}');
    await save(page);
    await error(page, 'keyText').getByText(/^It /).waitFor();
    t.is(await page.getByLabel('Key (Text)').evaluate((node) => node === document.activeElement), true, 'what the API refuses is told there');
    await page.getByLabel('Key (Text)').fill(settings.publicKey);
    await save(page);
    t.ok(await t.until(async () => await page.getByLabel('Key (Text)').inputValue() === ''), 'a key that was pasted is stored, and the field empty');
    await page.getByRole('checkbox', { name: 'none' }).check();
    t.is(await page.getByRole('checkbox', { name: /^code/ }).isChecked(), false, 'none stands alone');
    await page.getByRole('checkbox', { name: /^id_token/ }).check();
    await page.getByRole('checkbox', { name: /^code/ }).check();
    await save(page);
    await t.until(async () => (await ask('stored', pid)).responseType === 'code id_token');
    t.is((await ask('stored', pid)).responseType, 'code id_token', 'response types make a set');
  });

  await test('two at a time', async (t) => {
    t.expect(REFUSED);
    const pid = await ask('made', { name: 'Two', notes: 'before' });
    const page = await open(t, `payers/${pid}`);
    await heading(page, 'Two').waitFor();
    await page.getByLabel('Notes').fill('mine');
    await ask('change', { pid, name: 'Two of them', notes: 'theirs' });
    await save(page);
    const dialog = page.getByRole('dialog', { name: 'Somebody else changed it meanwhile' });
    await dialog.waitFor();
    t.is((await dialog.getByRole('row').allTextContents()).map((row) => row.replace(/\s+/g, ' ')), ['FieldTheirsMine', 'Server NameTwo of themTwo (as before)', 'Notestheirsmine'],
      'what differs is told');
    await t.axe(page);
    await answer(page, 'Cancel');
    t.is([await page.getByLabel('Notes').inputValue(), (await ask('stored', pid)).notes], ['mine', 'theirs'], 'nothing is lost, nothing is saved');
    await save(page);
    await answer(page, 'Save mine');
    await heading(page, 'Two of them').waitFor();
    t.is([(await ask('stored', pid)).notes, (await ask('stored', pid)).name], ['mine', 'Two of them'], 'mine, and theirs where I changed nothing');
    await page.getByLabel('Notes').fill('mine again');
    await ask('change', { pid, notes: 'theirs again' });
    await save(page);
    await answer(page, 'Take theirs, lose mine');
    await t.until(async () => await page.getByLabel('Notes').inputValue() === 'theirs again');
    t.is([await page.getByLabel('Notes').inputValue(), (await ask('stored', pid)).notes], ['theirs again', 'theirs again'], 'theirs');
    await ask('change', { pid, notes: 'seen by itself' });
    t.ok(await t.until(async () => await page.getByLabel('Notes').inputValue() === 'seen by itself'), 'a change of others is seen where nothing was typed');
    const other = await ask('made', { issuer: 'https://taken.example' });
    await page.getByLabel('Issuer').fill('https://taken.example/');
    await save(page);
    await error(page, 'issuer').getByRole('link', { name: 'open that one' }).click();
    await answer(page, 'Cancel');
    t.is(new URL(page.url()).hash, `#/payers/${pid}`, 'what was typed is not thrown away');
    await error(page, 'issuer').getByRole('link').click();
    await answer(page, 'Leave');
    await t.until(() => new URL(page.url()).hash === `#/payers/${other}`);
    t.is(new URL(page.url()).hash, `#/payers/${other}`, 'the one that has the issuer');
  });

  await test('archived, brought back, removed; a member unbound', async (t) => {
    t.expect(REFUSED);
    const pid = await ask('made', { name: 'Used' });
    await ask('ordered', pid);
    const page = await open(t, `payers/${pid}`);
    await page.getByRole('button', { name: 'Unbind…' }).click();
    await part(page, 'sourcePatientId').getByText('It is required.').waitFor();
    await page.getByLabel('Patient id at the source').fill('s1');
    await page.getByRole('button', { name: 'Unbind…' }).click();
    await answer(page, 'Unbind');
    t.like(await page.getByRole('link', { name: 'Show the exchange that is under way' }).getAttribute('href'), /^#\/exchanges\/\d+$/, 'an exchange is in the way');
    await page.getByRole('button', { name: 'Archive…' }).click();
    await page.getByRole('dialog').getByText('1 exchange is under way').waitFor();
    await page.getByRole('dialog').getByText('1 member is bound').waitFor();
    t.is(await page.getByRole('button', { name: 'Remove it for good' }).count(), 0, 'what was used is not removed');
    await t.axe(page);
    await answer(page, 'Archive it');
    await heading(page, 'Payers').waitFor();
    await page.getByRole('link', { name: MARKUP }).waitFor();
    t.is(await page.getByRole('link', { name: 'Used' }).count(), 0, 'it is not in the list');
    await page.getByLabel('Archived ones, too').check();
    await page.getByRole('link', { name: 'Used' }).click();
    await page.getByRole('button', { name: 'Bring it back' }).click();
    await said(page, 'is back');
    t.is((await ask('stored', pid)).archived, false, 'it is back');
    t.is(await ask('exchanged', first), 'COMPLETED', 'a member is exchanged from another one');
    await page.goto(at(`payers/${first}`));
    await heading(page, MARKUP).waitFor();
    await page.getByLabel('Patient id at the source').fill('s1');
    await page.getByRole('button', { name: 'Unbind…' }).click();
    await answer(page, 'Unbind');
    await said(page, 'The member is unbound');
    t.is(await page.getByLabel('Patient id at the source').inputValue(), '', '... and unbound');
    await page.getByLabel('Patient id at the source').fill('s1');
    await page.getByRole('button', { name: 'Unbind…' }).click();
    await answer(page, 'Unbind');
    await page.getByText('no-such-binding').waitFor();
    const unused = await ask('made', { name: 'Unused' });
    await page.goto(at(`payers/${unused}`));
    await heading(page, 'Unused').waitFor();
    await page.getByRole('button', { name: 'Archive…' }).click();
    await answer(page, 'Remove it for good');
    await said(page, 'Unused is removed.');
    t.is((await ask('stored', unused)).code, 'no-such-server', 'what was never used can go');
  });

  await test('the list is searched', async (t) => {
    await ask('many');
    const page = await open(t, 'payers');
    const rows = page.locator('tbody tr');
    await page.getByRole('button', { name: 'Further' }).waitFor();
    t.is(await rows.count(), 50, '50 a page');
    await page.getByRole('button', { name: 'Further' }).click();
    await page.getByRole('link', { name: 'Many 89', exact: true }).waitFor();
    await page.getByRole('button', { name: 'Back' }).click();
    await page.getByRole('link', { name: MARKUP }).waitFor();
    await page.getByLabel('Server Name').fill('MANY 1');
    await t.until(async () => await rows.count() === 7);
    t.is((await rows.getByRole('link').allTextContents()).join(' '), [1, 10, 11, 13, 14, 16, 17, 19].map((n) => `Many ${n}`).join(' '), 'by name');
    t.is(new URL(page.url()).hash, '#/payers?name=MANY+1', 'the address knows');
    await page.getByLabel('Organization ID').fill('M0');
    await t.until(async () => await rows.count() === 3);
    t.is((await rows.getByRole('link').allTextContents()).join(' '), 'Many 10 Many 14 Many 16', '... and organization');
    await page.reload();
    await page.getByRole('link', { name: 'Many 14', exact: true }).waitFor();
    t.is(await page.getByLabel('Organization ID').inputValue(), 'M0', '... after a reload, too');
    await page.getByLabel('Issuer').fill('https://nobody.example');
    await page.getByText('No payer matches.').waitFor();
    await page.getByRole('button', { name: 'Show all payers' }).click();
    await page.getByRole('button', { name: 'Further' }).waitFor();
    await t.axe(page);
    await t.shot(page, 'payers');
  });

  await test('by the keyboard alone, on a small screen, in the dark', async (t) => {
    const page = await open(t, 'payers', { width: 360, height: 740, colorScheme: 'dark' });
    await page.getByRole('link', { name: MARKUP }).waitFor();
    await t.axe(page);
    await t.fits(page);
    await press(page, page.getByRole('link', { name: 'Add a payer' }));
    await heading(page, 'A new payer').waitFor();
    for (const [label, text] of [['Server Name', 'Keyboard'], ['FHIR Endpoint URL', 'https://keyboard.example/fhir'], ['Issuer', 'https://keyboard.example']]) {
      await tabTo(page, page.getByLabel(label));
      await page.keyboard.type(text);
    }
    await tabTo(page, page.getByRole('checkbox', { name: /^code/ }));
    await page.keyboard.press('Space');
    await press(page, page.locator('#save'));
    await heading(page, 'Keyboard').waitFor();
    await t.axe(page);
    await t.fits(page);
    await press(page, page.locator('#retire'));
    await page.getByRole('dialog').waitFor();
    await press(page, page.getByRole('button', { name: 'Archive it' }));
    await heading(page, 'Payers').waitFor();
    t.ok(true, 'made and archived');
    await page.setViewportSize({ width: 3840, height: 2160 });
    await page.goto(at('payers/new'));
    await heading(page, 'A new payer').waitFor();
    await t.fits(page);
  });
});
