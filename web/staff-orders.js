// The open orders: the events say where each is, and calls say what is in it and when it is expected.

import { kept } from './dom.js';
import { call, now } from './staff-api.js';

/** Those of open orders: each has a column. */
export const STATUSES = [...document.querySelectorAll('[data-column]')].map((column) => column.dataset.column);

// Calls at once: the others wait.
const CALLS_AT_ONCE = 4;
const RETRY_MS = 3000;
// Orders of which the expected time is asked again and again; those behind them have waited for less.
const EXPECTED_MAX = 40;
const PROMISE_PREFIX = 'staff:promised:';
// A promise of an order that this screen has not seen the end of.
const PROMISE_MAX_MS = 24 * 60 * 60 * 1000;

export class Orders {
  /** `changed()` is called for each change that is to be seen. */
  constructor(changed) {
    Object.assign(this, { changed, all: new Map(), queue: [], running: 0 });
    for (const key of kept.keys(PROMISE_PREFIX)) {
      if (!(now() - Date.parse(kept.get(key)) < PROMISE_MAX_MS)) kept.remove(key);
    }
  }

  /** Takes a status update. Gives the order as it is now, or null where it is over. */
  apply({ order_number: number, new_status: status, changed_by: by, timestamp, estimated_completion: expected }) {
    const isNew = !this.all.has(number);
    if (!STATUSES.includes(status)) {
      this.all.delete(number);
      kept.remove(PROMISE_PREFIX + number);
      return null;
    }
    const order = this.all.get(number) ?? { number, details: null, isMissing: false, ahead: null, promised: promiseOf(number) };
    Object.assign(order, { status, by, since: Date.parse(timestamp), expected: expected && Date.parse(expected), isAsked: expected !== null });
    if (order.expected) this.promise(order);
    this.all.set(number, order);
    if (isNew) this.ask(() => this.readDetails(order));
    if (status === 'received') this.ask(() => this.readExpected(order));
    return order;
  }

  clear() {
    this.all.clear();
  }

  /** Those in a status: what has waited longest is first. */
  in(status) {
    const begin = (order) => (isToCook(order) ? placed(order) : order.since);
    return [...this.all.values()].filter((order) => order.status === status).sort((a, b) => begin(a) - begin(b));
  }

  /** Asks when those are expected of which no event tells that. */
  refresh() {
    if (this.queue.length > 0) return;
    const asked = [...this.in('received'), ...this.in('cooking').filter((order) => !order.expected)];
    for (const order of asked.slice(0, EXPECTED_MAX)) this.ask(() => this.readExpected(order));
  }

  ask(task) {
    this.queue.push(task);
    this.work();
  }

  async work() {
    if (this.running >= CALLS_AT_ONCE || this.queue.length === 0) return;
    this.running += 1;
    await this.queue.shift()();
    this.running -= 1;
    this.work();
  }

  async readDetails(order) {
    if (this.all.get(order.number) !== order) return;
    const { body, why } = await call('GET', `/orders/${encodeURIComponent(order.number)}`);
    order.isMissing = why !== null;
    if (why === null) order.details = body;
    else setTimeout(() => this.ask(() => this.readDetails(order)), RETRY_MS);
    this.changed();
  }

  async readExpected(order) {
    const { status, since } = order;
    if (this.all.get(order.number) !== order) return;
    const { body, why } = await call('GET', `/orders/${encodeURIComponent(order.number)}/status`);
    if (why !== null || order.status !== status || order.since !== since) return;
    order.expected = body.estimated_completion && Date.parse(body.estimated_completion);
    order.ahead = body.orders_ahead;
    order.isAsked = true;
    if (order.expected) this.promise(order);
    this.changed();
  }

  /** The first expected time of an order is what it is late against. */
  promise(order) {
    if (order.promised) return;
    order.promised = order.expected;
    kept.set(PROMISE_PREFIX + order.number, new Date(order.expected).toISOString());
  }
}

const promiseOf = (number) => Date.parse(kept.get(PROMISE_PREFIX + number) ?? '') || null;

/** Whether the kitchen still has to do with it. */
export const isToCook = ({ status }) => status === 'received' || status === 'cooking';

/** When an order was placed, as far as that is known. */
export const placed = (order) => (order.details ? Date.parse(order.details.created_at) : order.since);

/** By how many milliseconds it is late; 0 where it is not. */
export function lateBy(order, time) {
  return isToCook(order) && order.promised ? Math.max(0, time - order.promised) : 0;
}
