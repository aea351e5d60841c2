// All tickets: the grid, which of them has the cursor, and the list of those that are ready.

import { keyedList, make, setAttribute, setHidden, setOptionalText, setText } from './dom.js';
import { Ticket, latenessOf } from './ticket.js';
import { count, duration, kindOf, shortNumber, t } from './words.js';

export class Board {
  constructor({ list, empty, below }, act) {
    Object.assign(this, { list, empty, below, act, views: new Map(), cursor: null });
    list.addEventListener('focusin', (event) => this.follow(event.target));
    list.addEventListener('focusout', (event) => !list.contains(event.relatedTarget) && this.release());
    const look = () => this.measure();
    window.addEventListener('scroll', look, { passive: true });
    list.closest('.board').addEventListener('scroll', look, { passive: true });
    new ResizeObserver(() => {
      for (const view of this.views.values()) view.measure();
      this.measure();
    }).observe(list.closest('.board'));
  }

  get elements() {
    return [...this.list.children];
  }

  viewOf(element) {
    return this.views.get(element?.dataset.order);
  }

  update(tickets, now) {
    const { cursor } = this;
    const place = this.elements.indexOf(cursor);
    const key = (ticket) => ticket.order_number;
    const make = (ticket) => new Ticket(ticket, this.act);
    const moved = keyedList(this.list, this.views, tickets, key, make, (view, ticket, at) => view.update(ticket, at, now));
    for (const element of moved) this.viewOf(element).movedAt = performance.now();
    for (const view of this.views.values()) if (!view.isMeasured) view.measure();
    setHidden(this.empty, tickets.length > 0);
    setText(this.empty, t('empty'));
    // A ticket that went away with the cursor leaves it to the one that is in its place now; nobody has asked to scroll there.
    if (cursor && !cursor.isConnected) {
      this.cursor = null;
      const { elements } = this;
      if (elements.length > 0) startOf(elements[Math.min(place, elements.length - 1)]).focus({ preventScroll: true });
    }
    this.measure();
  }

  tick(now) {
    for (const view of this.views.values()) view.tick(now);
  }

  follow(element) {
    const ticket = element.closest('.ticket');
    if (this.cursor !== ticket) this.release();
    this.cursor = ticket;
    setAttribute(ticket, 'data-cursor', true);
  }

  release() {
    if (this.cursor?.isConnected) {
      setAttribute(this.cursor, 'data-cursor', null);
      this.cursor = null;
    }
  }

  /** Puts the cursor on a ticket: on its first item that is not done. */
  choose(element) {
    if (!element) return;
    const item = startOf(element);
    item.focus({ preventScroll: true });
    element.scrollIntoView({ block: 'nearest' });
    item.scrollIntoView({ block: 'nearest' });
  }

  chooseAt(place) {
    this.choose(this.elements[place]);
  }

  /** One ticket forward or back. */
  step(by) {
    const { elements } = this;
    const at = elements.indexOf(this.cursor);
    this.choose(at < 0 ? elements[0] : elements[Math.min(Math.max(at + by, 0), elements.length - 1)]);
  }

  /** One item down or up. */
  stepItem(by) {
    if (!this.cursor) return this.step(0);
    const items = [...this.cursor.querySelectorAll('.item')];
    const at = items.indexOf(document.activeElement);
    const item = items[at < 0 ? 0 : Math.min(Math.max(at + by, 0), items.length - 1)];
    item?.focus({ preventScroll: true });
    item?.scrollIntoView({ block: 'nearest' });
  }

  /** Does something with the ticket that has the cursor; with none, the first one gets it. */
  withCursor(use) {
    if (this.cursor) use(this.viewOf(this.cursor));
    else this.step(0);
  }

  /** Marks the item that has the cursor, and goes on to the next one. */
  toggleItem() {
    this.withCursor((view) => {
      const item = document.activeElement.closest('.item') ?? view.element.querySelector('.item[aria-pressed="false"]');
      if (!item) return;
      const wasDone = item.getAttribute('aria-pressed') === 'true';
      view.toggle(Number(item.dataset.item));
      const next = [...view.element.querySelectorAll('.item[aria-pressed="false"]')];
      const behind = next.find((other) => Number(other.dataset.item) > Number(item.dataset.item)) ?? next[0];
      const target = wasDone ? item : (behind ?? item);
      target.focus({ preventScroll: true });
      target.scrollIntoView({ block: 'nearest' });
    });
  }

  /** Says how many tickets are below what can be seen. */
  measure() {
    const bottom = Math.min(this.list.closest('.board').getBoundingClientRect().bottom, window.innerHeight);
    const hidden = this.elements.filter((element) => element.getBoundingClientRect().top > bottom - 40);
    const late = hidden.filter((element) => element.dataset.late === 'late').length;
    const text = hidden.length > 0 ? count('below', hidden.length) : '';
    setOptionalText(this.below, text && late > 0 ? t('below_late', { text, late }) : text);
  }
}

/** Where the cursor stands first in a ticket. */
const startOf = (element) => element.querySelector('.item[aria-pressed="false"]:not([aria-disabled])') ?? element;

class ReadyRow {
  constructor(ticket, act) {
    this.number = shortNumber(ticket.order_number);
    this.about = make('span', { class: 'ready-about' });
    this.button = make('button', { class: 'button', type: 'button', 'data-action': 'recall' });
    this.button.addEventListener('click', () => this.ticket.recalling || act(this.ticket));
    this.element = make('li', { 'data-order': ticket.order_number }, this.about, ' ', this.button);
  }

  update(ticket, now) {
    this.ticket = ticket;
    const items = ticket.items.map((item) => `${item.quantity} × ${item.name}`).join(', ');
    const ago = t('ready_ago', { time: duration(now - Date.parse(ticket.ready_at ?? ticket.bumped_at)) });
    setText(this.about, `${this.number} · ${kindOf(ticket)} · ${ago}${items ? ` · ${items}` : ''}`);
    setText(this.button, t(ticket.recalling ? 'recalling' : 'recall', { number: this.number }));
    setAttribute(this.button, 'aria-disabled', ticket.recalling ? 'true' : null);
  }
}

/** What is ready and can be recalled. */
export class ReadyList {
  constructor({ dialog, list, help, number }, act) {
    Object.assign(this, { dialog, list, help, number, rows: new Map() });
    this.recall = (ticket) => {
      act('recall', ticket);
      dialog.close();
    };
  }

  update(ready, minutes, now) {
    setText(this.number, String(ready.length));
    setText(this.help, t(ready.length > 0 ? 'ready_help' : 'empty_ready', { minutes }));
    this.ready = ready;
    const make = (ticket) => new ReadyRow(ticket, this.recall);
    if (this.dialog.open) keyedList(this.list, this.rows, ready, (ticket) => ticket.order_number, make, (row, ticket) => row.update(ticket, now));
    this.minutes = minutes;
  }

  toggle(now) {
    if (this.dialog.open) return this.dialog.close();
    this.dialog.showModal();
    this.update(this.ready ?? [], this.minutes, now);
    (this.list.querySelector('button') ?? this.dialog.querySelector('[data-action="close"]')).focus();
  }

  step(by) {
    const buttons = [...this.list.querySelectorAll('button')];
    const at = buttons.indexOf(document.activeElement);
    buttons[Math.min(Math.max(at + by, 0), buttons.length - 1)]?.focus();
  }
}

/** How many of the tickets are late. */
export const lateOf = (tickets, now) =>
  tickets.filter((ticket) => ticket.status === 'cooking' && !ticket.bumped_at && latenessOf(ticket, now) === 'late').length;
