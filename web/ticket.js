// One ticket: its element, made once, and what changes of it.

import { keyedList, make, setAttribute, setHidden, setOptionalText, setText } from './dom.js';
import { count, duration, kindOf, optionText, shortNumber, t } from './words.js';

const DOUBLE_TAP_MS = 400;
// What has just come under a finger, a ticket or another button of it, was not what the finger was meant for.
const SURPRISE_MS = 300;

// An item of which less than this is out of sight can be read.
const HIDDEN_PX = 8;

/** `held`, `started`, `bumped` or `cancelled`. */
export function stateOf(ticket) {
  if (ticket.status === 'cancelled') return 'cancelled';
  if (ticket.bumped_at) return 'bumped';
  return ticket.started_at ? 'started' : 'held';
}

/** `on_time`, `warn` or `late`. */
export function latenessOf(ticket, now) {
  if (now >= Date.parse(ticket.late_at)) return 'late';
  return now >= Date.parse(ticket.warn_at) ? 'warn' : 'on_time';
}

class Item {
  constructor({ item }) {
    this.parts = Object.fromEntries(
      ['quantity', 'name', 'done-by', 'options', 'item-note', 'allergens'].map((name) => [name, make('span', { class: name })]),
    );
    this.button = make('button', { class: 'item', type: 'button', 'data-item': item, 'data-action': 'item', 'aria-pressed': 'false' });
    this.button.append(...Object.values(this.parts).flatMap((part) => [part, ' ']));
    this.element = make('li', {}, this.button);
  }

  update(item, isOpen) {
    const { parts, button } = this;
    setText(parts.quantity, `${item.quantity} ×`);
    setText(parts.name, item.name);
    setOptionalText(parts.options, (item.options ?? []).map(optionText).join(', '));
    setOptionalText(parts['item-note'], item.notes ? t('note', { text: item.notes }) : '');
    const allergens = item.allergens ?? [];
    setOptionalText(parts.allergens, allergens.length > 0 ? t('allergens', { list: allergens.join(', ') }) : '');
    setOptionalText(parts['done-by'], item.done && item.done_by ? t('done_by', { name: item.done_by }) : '');
    setAttribute(button, 'aria-pressed', String(item.done));
    setAttribute(button, 'aria-disabled', isOpen ? null : 'true');
  }
}

export class Ticket {
  /** `act(kind, ticket, more)` does something with it. */
  constructor(ticket, act) {
    Object.assign(this, { act, items: new Map(), movedAt: -SURPRISE_MS, changedAt: -SURPRISE_MS, tappedAt: -DOUBLE_TAP_MS });
    const number = shortNumber(ticket.order_number);
    const id = `ticket-${ticket.order_number}`;
    const span = (name) => make('span', { class: name });
    Object.assign(this, { place: span('place'), timer: span('timer'), kind: span('kind'), word: span('word') });
    this.heading = make('h2', { class: 'number', id }, number);
    this.badges = ['promoted', 'recalled', 'priority'].map((name) => [name, make('li', { class: `badge ${name}` })]);
    this.badgeList = make('ul', { class: 'badges' }, ...this.badges.map(([, badge]) => badge));
    this.note = make('p', { class: 'note' });
    this.itemList = make('ol', { class: 'items' });
    this.body = make('div', { class: 'body' }, this.note, this.itemList);
    this.more = make('p', { class: 'more', 'aria-hidden': 'true', hidden: true });
    this.buttons = Object.fromEntries(
      ['start', 'bump', 'undo', 'acknowledge'].map((name) => {
        const attributes = { class: `button act ${name}`, type: 'button', 'data-action': name === 'undo' ? 'recall' : name };
        return [name, make('button', { ...attributes, 'aria-label': t(`${name}_of`, { number }) }, t(name, { seconds: '' }))];
      }),
    );
    const head = make('div', { class: 'head' }, this.line(this.place, this.heading, this.timer), this.line(this.kind, this.word), this.badgeList);
    // Stands where the button to start was, so that the one for done keeps its place.
    this.cook = make('p', { class: 'cook' });
    const foot = make('div', { class: 'foot' }, this.cook, ...Object.values(this.buttons));
    this.article = make('article', { class: 'card', 'aria-labelledby': id }, head, this.body, this.more, foot);
    this.element = make('li', { class: 'ticket', 'data-order': ticket.order_number, tabindex: '-1', 'aria-labelledby': id }, this.article);
    this.element.addEventListener('click', (event) => this.clicked(event));
    this.body.addEventListener('scroll', () => this.measure(), { passive: true });
  }

  line(...parts) {
    return make('div', { class: 'line' }, ...parts.flatMap((part) => [part, ' ']));
  }

  clicked(event) {
    const button = event.target.closest('button');
    if (this.isSurprise(event, button)) return;
    if (button) this.pressed(button.dataset.action, button);
    else if (event.timeStamp - this.tappedAt < DOUBLE_TAP_MS) this.finish();
    this.tappedAt = button || event.target.closest('.foot') ? -DOUBLE_TAP_MS : event.timeStamp;
  }

  /** Whether a finger, or the second half of a double click, has met what was not there when it set out. */
  isSurprise({ pointerType, detail }, button) {
    const since = button?.matches('.act') ? Math.max(this.movedAt, this.changedAt) : this.movedAt;
    return (pointerType === 'touch' || detail > 1) && performance.now() - since < SURPRISE_MS;
  }

  pressed(action, button) {
    if (action === 'item') this.toggle(Number(button.dataset.item));
    else this.act(action, this.ticket);
  }

  /** What Enter and a double tap do: done, or for a cancelled ticket seen. */
  finish() {
    if (this.state === 'cancelled') this.act('acknowledge', this.ticket);
    else if (this.state !== 'bumped') this.act('bump', this.ticket);
  }

  toggle(place) {
    const item = this.ticket.items.find((each) => each.item === place);
    if (item && (this.state === 'held' || this.state === 'started')) this.act('item', this.ticket, { item: place, done: !item.done });
  }

  update(ticket, place, now) {
    const shown = JSON.stringify([ticket, place]);
    if (this.shown !== shown) {
      this.shown = shown;
      this.ticket = ticket;
      this.render(place);
    }
    this.tick(now);
  }

  render(place) {
    const { ticket, element } = this;
    const state = stateOf(ticket);
    if (this.state && this.state !== state) this.changedAt = performance.now();
    this.state = state;
    const isOpen = this.state === 'held' || this.state === 'started';
    setAttribute(element, 'data-state', this.state);
    setAttribute(element, 'data-attempt', ticket.attempt);
    setAttribute(element, 'data-unsent', Boolean(ticket.unsent));
    setText(this.place, String(place + 1));
    setText(this.kind, kindOf(ticket));
    const badges = {
      promoted: ticket.promoted && t('promoted'),
      recalled: ticket.recalled && t('recalled'),
      priority: ticket.priority > 1 && t('priority', { priority: ticket.priority }),
    };
    for (const [name, badge] of this.badges) setOptionalText(badge, badges[name] || '');
    setHidden(this.badgeList, Object.values(badges).every((badge) => !badge));
    setOptionalText(this.note, ticket.notes ? t('note', { text: ticket.notes }) : '');
    const update = (view, item) => view.update(item, isOpen);
    keyedList(this.itemList, this.items, ticket.items, (item) => item.item, (item) => new Item(item), update);
    const hasBegun = this.state === 'started' && ticket.started_by;
    setOptionalText(this.cook, hasBegun ? t('started_by', { name: ticket.started_by }) : '');
    this.showButtons({
      start: this.state === 'held',
      bump: isOpen,
      undo: this.state === 'bumped',
      acknowledge: this.state === 'cancelled',
    });
    this.isMeasured = false;
  }

  showButtons(shown) {
    const focused = document.activeElement;
    for (const [name, button] of Object.entries(this.buttons)) {
      setHidden(button, !shown[name]);
      // A button that goes away leaves the focus with its ticket.
      if (button === focused && !shown[name]) this.element.focus({ preventScroll: true });
    }
  }

  /** What changes with time alone. */
  tick(now) {
    const { ticket, state } = this;
    setText(this.timer, duration(now - Date.parse(ticket.placed_at)));
    const isRunning = state === 'held' || state === 'started';
    const lateness = latenessOf(ticket, now);
    setAttribute(this.element, 'data-late', isRunning ? lateness : null);
    const word = { bumped: t('done'), cancelled: t('cancelled') }[state];
    setText(this.word, word ?? this.latenessWord(lateness, now));
    if (state === 'bumped') {
      const seconds = Math.max(0, Math.ceil((Date.parse(ticket.ready_at ?? ticket.bumped_at) - now) / 1000));
      setText(this.buttons.undo, ticket.unsent && seconds === 0 ? t('undo_unsent') : t('undo', { seconds: seconds || '' }).trim());
    }
  }

  latenessWord(lateness, now) {
    const since = now - Date.parse(this.ticket.late_at);
    return t(lateness, { time: duration(Math.abs(since)) });
  }

  /** Says how many items are out of sight. */
  measure() {
    const { body, more } = this;
    this.isMeasured = true;
    if (!body.isConnected) return;
    const isCut = body.scrollHeight > body.clientHeight + 4;
    setHidden(more, !isCut);
    if (!isCut) return;
    const end = body.getBoundingClientRect().bottom + HIDDEN_PX;
    const hidden = [...this.itemList.children].filter((item) => item.getBoundingClientRect().bottom > end).length;
    setText(more, hidden > 0 ? count('more_below', hidden) : t('more_above'));
  }
}
