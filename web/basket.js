// What has been chosen, kept in the browser until it is ordered.

import { kept } from './dom.js';

const BASKET = 'order.basket';
const MOST = 10;

/** Lines of `{dish, choices, notes, quantity}`; two that differ in nothing but their quantity are one. */
export class Basket {
  constructor(onChange) {
    this.onChange = onChange;
    this.load();
    addEventListener('storage', (event) => {
      if (event.key === BASKET || event.key === null) this.load();
    });
  }

  load() {
    let lines = [];
    try {
      lines = JSON.parse(kept.get(BASKET) ?? '[]');
    } catch {
      // Nothing that this page has written.
    }
    this.lines = Array.isArray(lines) ? lines.filter(isLine) : [];
    this.onChange(this);
  }

  /** Takes a line's place, or comes behind all; what does not fit into one line is left out. */
  put(line, place = this.lines.length) {
    const keptLines = this.lines.filter((_, at) => at !== place);
    const same = keptLines.find((other) => keyOf(other) === keyOf(line));
    if (same) same.quantity = Math.min(MOST, same.quantity + line.quantity);
    else keptLines.splice(place, 0, line);
    this.replace(keptLines);
  }

  /** Changes the number of pieces; a line without any is taken away. */
  step(key, by) {
    for (const line of this.lines) if (keyOf(line) === key) line.quantity = Math.min(MOST, line.quantity + by);
    this.replace(this.lines.filter(({ quantity }) => quantity > 0));
  }

  replace(lines) {
    this.lines = lines;
    if (lines.length > 0) kept.set(BASKET, JSON.stringify(lines));
    else kept.remove(BASKET);
    this.onChange(this);
  }

  get pieces() {
    return this.lines.reduce((sum, { quantity }) => sum + quantity, 0);
  }

  piecesOf(dish) {
    return this.lines.reduce((sum, line) => sum + (line.dish === dish ? line.quantity : 0), 0);
  }
}

/** The same for lines that are the same dish with the same choices and notes. */
export const keyOf = ({ dish, choices, notes }) => JSON.stringify([dish, [...choices].sort(), notes]);

function isLine(line) {
  const isText = (value) => typeof value === 'string';
  const { dish, choices, notes, quantity } = line ?? {};
  return isText(dish) && isText(notes) && Array.isArray(choices) && choices.every(isText) && Number.isInteger(quantity) && quantity > 0 && quantity <= MOST;
}

/** `sessionStorage` of this tab: what is personal goes when the tab does. */
export const tab = {
  get(key) {
    try {
      return JSON.parse(sessionStorage.getItem(key));
    } catch {
      return null;
    }
  },
  set(key, value) {
    try {
      if (value === null) sessionStorage.removeItem(key);
      else sessionStorage.setItem(key, JSON.stringify(value));
    } catch {
      // It lives as long as the page then.
    }
  },
};
