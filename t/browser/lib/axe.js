// SPDX-License-Identifier: Apache-2.0
// Holds a page against the rules of axe-core: WCAG 2.2 A and AA and its best practices.
import axe from 'axe-core';

const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

// A sentence for each rule that a node breaks. within: a selector; without: rules that are left out, by name.
export async function accessibilityFaults(page, { within, without = [] } = {}) {
  await page.evaluate(axe.source);
  const violations = await page.evaluate(async ([tags, scope, left]) => {
    const rules = Object.fromEntries(left.map((rule) => [rule, { enabled: false }]));
    const found = await window.axe.run(scope ?? document, { runOnly: { type: 'tag', values: tags }, rules, resultTypes: ['violations'] });
    return found.violations.map(({ id, help, nodes }) => ({ id, help, nodes: nodes.map(({ html, target, failureSummary }) => ({ html, target, failureSummary })) }));
  }, [TAGS, within, without]);
  return violations.flatMap(({ id, help, nodes }) => nodes.slice(0, 5).map(({ html, target, failureSummary }) => (
    `${id} (${help}): ${target.join(' ')}\n    ${html.slice(0, 200)}\n    ${failureSummary.replace(/\s*\n\s*/g, ' ')}`)));
}
