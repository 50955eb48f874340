// SPDX-License-Identifier: Apache-2.0
// Exchanges.
import { h, replace } from '../dom.js';

export const title = 'Exchanges';

export default async function show(main) {
    replace(main, h('h1', title), h('p', { class: 'empty' }, 'Not here yet.'));
}
