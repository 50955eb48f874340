// SPDX-License-Identifier: Apache-2.0
// An administrator who begins with an empty list, and a member who then has the record fetched.
import { flow } from '../browser/lib/flow.js';

const NAME = 'Payer with a provider and HAPI';
const heading = (page, name) => page.getByRole('heading', { level: 1, name });

flow(async ({ test, settings, ask }) => {
  let definition;

  await test('an administrator defines a payer and tests it', async (t) => {
    const page = await t.open(`${settings.url}/console/#/payers`, { user: settings.user });
    await page.getByText('No source payer is defined yet.').waitFor();
    await page.getByRole('link', { name: 'Add the first payer' }).click();
    await heading(page, 'A new payer').waitFor();
    const values = {
      'Server Name': NAME, 'Organization ID': '12345', 'FHIR Endpoint URL': settings.fhir, Issuer: settings.issuer,
      'Auth Well-Known Configuration URL': `${settings.issuer}/.well-known/openid-configuration`, 'Client ID': 'our-portal',
      'Request Scopes': 'openid offline_access', 'Custom Token Parameters': 'memberId',
    };
    for (const [label, value] of Object.entries(values)) await page.getByLabel(label).fill(value);
    await page.getByRole('checkbox', { name: /^code/ }).check();
    await page.getByRole('button', { name: 'Add this payer' }).click();
    await heading(page, NAME).waitFor();
    definition = page.url();
    await page.getByRole('button', { name: 'Test it' }).click();
    await page.locator('#verdict.good, #verdict.bad').waitFor();
    t.is(await page.locator('#verdict').textContent(), 'All steps are good: exchanges can begin.', 'the verdict');
    t.is(await page.locator('.step .badge').allTextContents(), ['good', 'good', 'good', 'good'], 'each step is good');
    t.like(await page.locator('[data-step=capabilityStatement]').textContent(), /HAPI/, 'by HAPI');
  });

  await test('a member has the record fetched', async (t) => {
    const page = await t.open(settings.portal);
    await page.getByRole('button', { name: NAME }).click();
    await heading(page, 'Sign in').waitFor();
    t.is(new URL(page.url()).origin, settings.issuer, 'the provider is asked, not the portal');
    await page.getByLabel('Name').fill('evelyn');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await heading(page, 'Consent').waitFor();
    await page.getByRole('button', { name: 'Allow' }).click();
    await heading(page, `Your record from ${NAME} has arrived`).waitFor();
    t.is(await page.locator('summary').allInnerTexts(), ['Conditions (1)', 'Tests and measurements (30)'], 'what arrived');
    t.is(page.url(), settings.portal, 'nothing of the sign-in is left in the address');
    t.is([await ask('written', 'Observation'), await ask('written', 'Condition')], [30, 1], 'the target has it');
  });

  await test('the administrator sees that it is used', async (t) => {
    const page = await t.open(definition, { user: settings.user });
    await heading(page, NAME).waitFor();
    t.ok(await t.until(async () => (await page.locator('#verdict').textContent()).startsWith('All steps are good')), 'the last test is shown again');
    await page.getByRole('button', { name: 'Archive…' }).click();
    await page.getByRole('dialog').getByText('1 member is bound').waitFor();
    await page.getByRole('dialog').getByText('No exchange is under way.').waitFor();
    t.is(await page.getByRole('button', { name: 'Remove it for good' }).count(), 0, 'and can only be archived');
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
  });
});
