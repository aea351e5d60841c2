// An order on the board.

import { make, setAttribute, setHidden, setOptionalText, setText } from './dom.js';
import { t, tOf, timeOf } from './say.js';
import { Actions } from './staff-actions.js';
import { isToCook, lateBy, placed } from './staff-orders.js';

const MINUTE_MS = 60_000;
const lists = new Intl.ListFormat(document.documentElement.lang, { type: 'unit', style: 'short' });

/** What can be done in each status, with the right to do it; the first is what is done most. */
const OFFERS = {
  received: [['cancel', 'cancel_received']],
  cooking: [['cancel', 'cancel_cooking']],
  ready: [['dispatch', 'dispatch'], ['complete', 'complete'], ['recall', 'recall']],
  out_for_delivery: [['complete', 'complete']],
};

export const shortNumber = (number) => number.slice(number.lastIndexOf('_') + 1);

/** Minutes in words. */
export function duration(ms) {
  const minutes = Math.max(0, Math.floor(ms / MINUTE_MS));
  return minutes < 60 ? t('staff.minutes', { minutes }) : t('staff.hours', { hours: Math.floor(minutes / 60), minutes: minutes % 60 });
}

function kindOf({ order_type: type, table_number: table }) {
  return type === 'dine_in' && table != null ? t('staff.table', { table }) : tOf('staff.type.', type);
}

/** What an action is called for this order. */
const nameOf = (kind, order) => t(kind === 'complete' && order.status === 'out_for_delivery' ? 'staff.action.delivered' : `staff.action.${kind}`);

export class Card {
  /** `on`: `act(kind, order)`, `undo(order)`, `again(order)`, `dismiss(order)`; `rights`: a set. */
  constructor(order, rights, on) {
    Object.assign(this, { order, rights, on, shown: null, offered: null });
    const part = (tag, name, ...children) => (this[name] = make(tag, { class: `card-${name}` }, ...children));
    const head = make(
      'div',
      { class: 'card-head' },
      make('h3', { class: 'card-number', title: order.number }, make('bdi', {}, shortNumber(order.number))),
      part('span', 'kind'),
      part('span', 'age'),
    );
    const people = make('div', { class: 'card-people' }, part('p', 'who'), part('p', 'where'));
    for (const text of [this.who, this.where]) text.dir = 'auto';
    const whole = [part('p', 'missing'), people, part('ul', 'items'), part('p', 'note')];
    const times = make('p', { class: 'card-times' }, part('strong', 'late'), part('span', 'times'));
    this.undo = this.button('staff.undo', 'undo', () => on.undo(this.order));
    this.again = this.button('staff.again', 'again', () => on.again(this.order));
    this.dismiss = this.button('staff.dismiss', 'dismiss', () => on.dismiss(this.order));
    const progress = part('div', 'progress', part('p', 'doing'), this.undo, this.again, this.dismiss);
    const foot = make('div', { class: 'card-foot' }, part('p', 'cook'), part('div', 'actions'));
    this.element = make('li', { class: 'card order-card', 'data-order': order.number }, head, times, ...whole, foot, progress);
  }

  button(key, action, act) {
    const button = make('button', { class: 'button', type: 'button', 'data-action': action }, t(key));
    button.addEventListener('click', act);
    return button;
  }

  update(order, action, time) {
    this.order = order;
    setAttribute(this.element, 'data-status', order.status);
    if (order.details !== this.shown) this.showDetails(order.details);
    setOptionalText(this.missing, order.details ? '' : t(order.isMissing ? 'staff.details_missing' : 'staff.details_loading'));
    setOptionalText(this.cook, cookText(order));
    this.showActions(order, action);
    this.tick(time);
  }

  tick(time) {
    const { order } = this;
    const late = lateBy(order, time);
    setText(this.age, duration(time - placed(order)));
    setAttribute(this.element, 'data-late', late > 0);
    setOptionalText(this.late, late > 0 ? t('staff.late', { time: duration(late) }) : '');
    setText(this.times, timesText(order, time));
    const action = this.action;
    if (action?.phase === 'undo') setText(this.doing, t('staff.doing.undo', { action: nameOf(action.kind, order), seconds: Actions.secondsLeft(action) }));
  }

  showDetails(details) {
    this.shown = details;
    if (!details) return;
    setText(this.kind, kindOf(details));
    setAttribute(this.kind, 'data-type', details.order_type);
    setOptionalText(this.who, details.customer_name ?? '');
    setOptionalText(this.where, details.delivery_address ?? '');
    this.items.replaceChildren(...(details.items ?? []).map(itemOf));
    setOptionalText(this.note, details.notes ? t('staff.note', { text: details.notes }) : '');
  }

  showActions(order, action) {
    this.action = action;
    // Before what is in the order is known its buttons would move from under a finger.
    const isKnown = order.details || order.isMissing;
    const names = ((isKnown && OFFERS[order.status]) || []).filter(([kind, right]) => this.rights.has(right) && isFor(kind, order)).map(([kind]) => kind);
    const offered = `${order.status} ${names}`;
    const hadFocus = this.element.contains(document.activeElement);
    if (offered !== this.offered) {
      this.offered = offered;
      this.actions.replaceChildren(...names.map((kind, place) => this.offer(kind, order, kind === 'cancel' ? 'quiet' : place === 0 ? 'primary' : '')));
    }
    setHidden(this.actions, Boolean(action) || names.length === 0);
    setHidden(this.progress, !action);
    setAttribute(this.progress, 'data-phase', action?.phase ?? null);
    setHidden(this.undo, action?.phase !== 'undo');
    setAttribute(this.undo, 'aria-disabled', action && !Actions.canUndo(action) ? 'true' : null);
    setHidden(this.again, action?.phase !== 'failed');
    setHidden(this.dismiss, action?.phase !== 'failed');
    if (action && action.phase !== 'undo') setText(this.doing, t(`staff.doing.${action.phase}`, { action: nameOf(action.kind, order), why: action.why ?? '' }));
    // The button that had the focus may be gone: the next one that is of use gets it.
    if (hadFocus && !document.activeElement.checkVisibility()) {
      this.element.querySelector('.card-progress:not([hidden]) button:not([hidden]), .card-actions:not([hidden]) button')?.focus();
    }
  }

  offer(kind, order, look) {
    const button = make('button', { class: `button ${look}`.trim(), type: 'button', 'data-action': kind }, nameOf(kind, order));
    button.append(make('span', { class: 'visually-hidden' }, ` ${shortNumber(order.number)}`));
    button.addEventListener('click', () => this.on.act(kind, this.order));
    return button;
  }
}

/** Only deliveries are sent out. */
const isFor = (kind, order) => kind !== 'dispatch' || order.details?.order_type === 'delivery';

function cookText({ status, by }) {
  if (status !== 'cooking') return '';
  return by.startsWith('staff:') ? t('staff.cook_again') : t('staff.cooks', { name: by });
}

function timesText(order, at) {
  if (!isToCook(order)) {
    return t(`staff.since.${order.status}`, { time: timeOf(order.since), duration: duration(at - order.since) });
  }
  const texts = [t('staff.since.received', { time: timeOf(placed(order)) })];
  if (order.promised) texts.push(t('staff.promised', { time: timeOf(order.promised) }));
  if (order.expected && order.expected - (order.promised ?? 0) >= MINUTE_MS) texts.push(t('staff.expected', { time: timeOf(order.expected) }));
  if (!order.expected && order.isAsked) texts.push(t('staff.nobody'));
  return texts.join(' · ');
}

function itemOf({ name, quantity, options, allergens, notes }) {
  const more = [];
  if (options?.length > 0) more.push(make('bdi', { class: 'item-options' }, options.join(', ')));
  if (allergens?.length > 0) {
    const list = lists.format(allergens.map((allergen) => tOf('staff.allergen.', allergen)));
    more.push(make('span', { class: 'item-allergens' }, t('staff.contains', { list })));
  }
  if (notes) more.push(make('span', { class: 'card-note' }, t('staff.note', { text: notes })));
  return make('li', {}, make('span', { class: 'item-quantity' }, `${quantity} ×`), make('span', { class: 'item-name' }, make('bdi', {}, name), ...more));
}
