// What a person has done and the service has not confirmed yet: kept in order, sent in order, and shown as if it had happened.

import { kept } from './dom.js';
import { t } from './words.js';

const ANSWER_MAX_MS = 10_000;
// An action that is older than this is not simply on its way.
const HELD_UP_MS = 2000;
// Pauses after a failure that is not the action's fault; the last one repeats. The page also asks for an attempt when it is live again.
const PAUSES_MS = [500, 1000, 2000, 5000];
// An action that the service fails at so often would hold up all behind it.
const FAILURES_MAX = 8;
// A confirmed ticket stands in for the older one of a document that was on its way at the time, so long at most.
const CONFIRMED_MAX_MS = 3000;

export class Actions {
  /** `on`: `changed()`, `refused(action, why)`, `denied(status)`. `now()` is the service's time in milliseconds. */
  constructor(station, account, now, on) {
    Object.assign(this, { account, now, on, confirmed: new Map(), isSending: false, sequence: 0 });
    this.prefix = `station:${station}:action:`;
    this.wake = () => {};
    // What a page before this one has left.
    this.queue = kept.keys(this.prefix).map((key) => ({ ...parsed(kept.get(key)), key })).filter(({ order }) => order);
  }

  /** Does something with a ticket: at once on this screen, and as soon as may be for everybody. */
  add(kind, ticket, more = {}) {
    const { order_number: order, attempt } = ticket;
    const at = new Date(this.now()).toISOString();
    const action = { kind, order, attempt, at, account: this.account, ...more };
    const key = `${this.prefix}${String(Date.now()).padStart(15, '0')}-${String((this.sequence += 1)).padStart(6, '0')}`;
    kept.set(key, JSON.stringify(action));
    this.queue.push({ key, ...action });
    this.on.changed();
    this.send();
  }

  /** Whether something waits for longer than sending takes. */
  get isHeldUp() {
    return this.queue.length > 0 && this.now() - Date.parse(this.queue[0].at) > HELD_UP_MS;
  }

  /** An attempt at once: the connection may be back. */
  look() {
    this.wake();
    this.send();
  }

  async send() {
    if (this.isSending) return;
    this.isSending = true;
    let failures = 0;
    while (this.queue.length > 0) {
      const [action] = this.queue;
      const outcome = await this.attempt(action, failures);
      if (outcome === 'denied') break;
      if (outcome === 'done') {
        failures = 0;
        this.queue.shift();
        kept.remove(action.key);
        this.on.changed();
        continue;
      }
      await new Promise((resolve) => {
        this.wake = resolve;
        setTimeout(resolve, PAUSES_MS[Math.min(failures, PAUSES_MS.length - 1)]);
      });
      failures += outcome === 'failed' ? 1 : 0;
    }
    this.isSending = false;
  }

  /** `done`: taken or refused; `away`: nobody answers; `failed`: the service cannot; `denied`: nobody is logged in. */
  async attempt(action, failures) {
    if (action.account !== this.account) {
      this.on.refused(action, t('refused_other_account', { name: action.account ?? '?' }));
      return 'done';
    }
    let response, body;
    try {
      response = await fetch(...requestOf(action));
      body = await response.json().catch(() => null);
    } catch {
      return 'away';
    }
    if (response.ok) {
      if (body?.order_number) this.confirmed.set(action.order, { ticket: body, at: this.now() });
      return 'done';
    }
    if (response.status === 401) {
      this.on.denied(401);
      return 'denied';
    }
    const isPassing = response.status >= 500 || response.status === 429 || response.status === 408;
    if (isPassing && failures < FAILURES_MAX) return response.status === 500 ? 'failed' : 'away';
    this.on.refused(action, body?.detail ?? t('refused_without_text', { status: response.status }));
    return 'done';
  }

  /** A document has come: confirmations that it knows of are of no use any more. */
  forget(documentTime) {
    for (const [order, { at }] of this.confirmed) if (documentTime >= at) this.confirmed.delete(order);
  }

  /** The tickets of a document with everything that has been done since. */
  project(document) {
    const now = this.now();
    for (const [order, { at }] of this.confirmed) if (now - at > CONFIRMED_MAX_MS) this.confirmed.delete(order);
    const present = (ticket) => this.confirmed.get(ticket.order_number)?.ticket ?? ticket;
    const done = (ticket) => this.queue.reduce((before, action) => applied(before, action, document), present(ticket));
    const all = [...document.tickets, ...document.ready].map(done);
    const unique = new Map(all.map((ticket) => [ticket.order_number, ticket]));
    const isShown = (ticket) => ticket.status !== 'ready' && !ticket.acknowledged;
    const tickets = document.tickets.map((ticket) => unique.get(ticket.order_number)).filter(isShown);
    // Those that were ready in the document and have been recalled since: each goes to its place.
    for (const ticket of unique.values()) {
      if (!isShown(ticket) || tickets.includes(ticket)) continue;
      const behind = tickets.findIndex((other) => byPlace(ticket, other) < 0);
      tickets.splice(behind < 0 ? tickets.length : behind, 0, ticket);
    }
    return { tickets, ready: [...unique.values()].filter((ticket) => ticket.status === 'ready' && !ticket.acknowledged) };
  }
}

/** The order of the tickets, as the service gives it. */
function byPlace(a, b) {
  return (
    Number(b.promoted) - Number(a.promoted) ||
    b.priority - a.priority ||
    a.placed_at.localeCompare(b.placed_at) ||
    a.order_number.localeCompare(b.order_number, 'en', { numeric: true })
  );
}

function parsed(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}

function requestOf({ kind, order, attempt, item, done }) {
  const path = kind === 'item' ? `items/${item}/done` : kind;
  const body = JSON.stringify(kind === 'item' ? { attempt, done } : { attempt });
  return [
    `/station/tickets/${encodeURIComponent(order)}/${path}`,
    {
      method: kind === 'item' ? 'PUT' : 'POST',
      headers: { 'Content-Type': 'application/json', Accept: 'application/json' },
      signal: AbortSignal.timeout(ANSWER_MAX_MS),
      body,
    },
  ];
}

/** A ticket as it will be after an action. */
function applied(ticket, action, { bump_undo_seconds: undoSeconds }) {
  const { kind, order, attempt, at, account } = action;
  if (order !== ticket.order_number || attempt !== ticket.attempt) return ticket;
  const after = { ...ticket, unsent: true };
  switch (kind) {
    case 'start':
      return { ...after, started_at: ticket.started_at ?? at, started_by: ticket.started_by ?? account };
    case 'item': {
      const change = (item) => (item.item === action.item ? { ...item, done: action.done, done_by: action.done ? account : null } : item);
      return { ...after, items: ticket.items.map(change) };
    }
    case 'bump': {
      if (ticket.status !== 'cooking' || ticket.bumped_at) return after;
      const ready_at = new Date(Date.parse(at) + undoSeconds * 1000).toISOString();
      return { ...after, bumped_at: at, bumped_by: account, ready_at };
    }
    case 'recall':
      if (ticket.status !== 'ready') return { ...after, bumped_at: null, bumped_by: null, ready_at: null };
      return { ...after, recalling: true };
    case 'acknowledge':
      return { ...after, acknowledged: true };
    default:
      return ticket;
  }
}
