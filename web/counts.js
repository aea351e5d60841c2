// What is to be made in all: every item that is not done, counted by its name and its options.

import { keyedList, make, setHidden, setText } from './dom.js';
import { count, optionText, t } from './words.js';
import { stateOf } from './ticket.js';

/** `[{ name, options, quantity }]`, the most first. */
export function pendingItems(tickets) {
  const sums = new Map();
  const open = tickets.filter((ticket) => ['held', 'started'].includes(stateOf(ticket)));
  for (const item of open.flatMap((ticket) => ticket.items)) {
    if (item.done) continue;
    const options = (item.options ?? []).map(optionText).join(', ');
    const key = JSON.stringify([item.name, options]);
    const sum = sums.get(key) ?? { key, name: item.name, options, quantity: 0 };
    sums.set(key, { ...sum, quantity: sum.quantity + item.quantity });
  }
  return [...sums.values()].sort((a, b) => b.quantity - a.quantity || a.name.localeCompare(b.name) || a.options.localeCompare(b.options));
}

class Row {
  constructor({ name, options }) {
    this.quantity = make('span', { class: 'count-number' });
    const about = make('span', { class: 'count-name' }, name);
    if (options) about.append(' ', make('span', { class: 'options' }, options));
    this.element = make('li', {}, this.quantity, ' ', about);
  }

  update({ quantity }) {
    setText(this.quantity, `${quantity} ×`);
  }
}

export class Counts {
  constructor(element, button) {
    Object.assign(this, { element, button, rows: new Map() });
    this.list = make('ol', { class: 'count-list' });
    this.empty = make('p', { hidden: true }, t('counts_empty'));
    this.waiting = make('p', { class: 'count-waiting', hidden: true });
    element.append(make('h2', {}, t('counts')), this.list, this.empty, this.waiting);
  }

  toggle() {
    this.show(this.element.hidden);
  }

  show(isShown) {
    setHidden(this.element, !isShown);
    this.button.setAttribute('aria-expanded', String(isShown));
  }

  update(tickets, waiting) {
    const items = pendingItems(tickets);
    keyedList(this.list, this.rows, items, (item) => item.key, (item) => new Row(item), (row, item) => row.update(item));
    setHidden(this.empty, items.length > 0);
    setHidden(this.waiting, waiting === 0);
    setText(this.waiting, count('counts_waiting', waiting));
  }
}
