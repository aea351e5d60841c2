// What a person does to an order: it can be taken back for a while, is sent once, and stays on the card until the events say that it
// happened.

import { call } from './staff-api.js';

const UNDO_MS = 5000;
// The second click of a double click is no wish to take the first one back.
const DOUBLE_CLICK_MS = 600;

export class Actions {
  /** `changed()` is called whenever an order's action is another or has come further. */
  constructor(changed) {
    Object.assign(this, { changed, pending: new Map() });
  }

  of(number) {
    return this.pending.get(number);
  }

  /** Begins an action that is sent after a while; a second one waits until the first is over. */
  begin(kind, number) {
    if (this.isBusy(number)) return;
    const action = { kind, number, phase: 'undo', begun: Date.now(), body: null };
    action.timer = setTimeout(() => this.send(action), UNDO_MS);
    setTimeout(this.changed, DOUBLE_CLICK_MS);
    this.pending.set(number, action);
    this.changed();
  }

  /** An action that a person has confirmed: it is sent at once. */
  confirmed(kind, number, body) {
    if (this.isBusy(number)) return;
    const action = { kind, number, phase: 'undo', begun: Date.now(), body };
    this.pending.set(number, action);
    this.send(action);
  }

  isBusy(number) {
    const action = this.of(number);
    return action !== undefined && action.phase !== 'failed';
  }

  undo(number) {
    const action = this.of(number);
    if (!action || !Actions.canUndo(action)) return;
    this.forget(number);
    this.changed();
  }

  again(number) {
    const action = this.of(number);
    if (action?.phase === 'failed') this.send(action);
  }

  forget(number) {
    clearTimeout(this.of(number)?.timer);
    this.pending.delete(number);
  }

  /** The page goes away: nothing that a person wanted is lost. */
  flush() {
    for (const action of this.pending.values()) if (action.phase === 'undo') this.send(action);
  }

  /** An order has come to a status: what was to be done with it is done, or is no use any more. */
  happened(number) {
    this.forget(number);
  }

  async send(action) {
    clearTimeout(action.timer);
    if (action.phase === 'sending') return;
    action.phase = 'sending';
    this.changed();
    const path = `/orders/${encodeURIComponent(action.number)}/${action.kind}`;
    const { status, why } = await call('POST', path, action.body, { keepalive: true });
    if (this.of(action.number) !== action || status === 401) return;
    action.phase = why === null ? 'sent' : 'failed';
    action.why = why;
    this.changed();
  }

  static canUndo({ phase, begun }) {
    return phase === 'undo' && Date.now() - begun >= DOUBLE_CLICK_MS;
  }

  /** Seconds in which an action can be taken back. */
  static secondsLeft(action) {
    return Math.max(0, Math.ceil((action.begun + UNDO_MS - Date.now()) / 1000));
  }
}
