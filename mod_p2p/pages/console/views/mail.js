// SPDX-License-Identifier: Apache-2.0
// Mail.
import { h, replace } from '../dom.js';

export const title = 'Mail';

export default async function show(main) {
    replace(main, h('h1', title), h('p', { class: 'empty' }, 'Not here yet.'));
}
