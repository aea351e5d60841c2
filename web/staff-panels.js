// The dialogs: what is sold out, the intake, and who did what.

import { keyedList, make, setAttribute, setHidden, setOptionalText, setText } from './dom.js';
import { momentOf, t, tOf } from './say.js';
import { call } from './staff-api.js';
import { shortNumber } from './staff-card.js';

const at = (id) => document.getElementById(id);

/** Says what came of a call. */
function say(id, why, text) {
  setAttribute(at(id), 'class', why === null ? 'notice good' : 'notice error');
  setOptionalText(at(id), why ?? text);
}

/** `look()` asks for what the page shows of the shop. */
export function wirePanels(look) {
  for (const close of document.querySelectorAll('[data-closes]')) {
    close.addEventListener('click', () => close.closest('dialog').close());
  }
  const opened = { 'sold-out': () => soldOut.open(), intake: () => setHidden(at('intake-outcome'), true), log: () => log.open() };
  const soldOut = at('sold-out') && new SoldOut();
  const log = at('log') && new Log();
  if (at('intake')) wireIntake(look);
  for (const button of document.querySelectorAll('[data-opens]')) {
    button.hidden = false;
    button.addEventListener('click', () => {
      at(button.dataset.opens).showModal();
      opened[button.dataset.opens]();
    });
  }
}

function wireIntake(look) {
  let isBusy = false;
  const change = async (path, body, text) => {
    if (isBusy) return;
    isBusy = true;
    const { why } = await call('POST', path, body);
    isBusy = false;
    say('intake-outcome', why, text);
    look();
  };
  at('pause').addEventListener('submit', (event) => {
    event.preventDefault();
    const boxes = [...at('pause').querySelectorAll('[name=type]')];
    const types = boxes.filter((box) => box.checked).map((box) => box.value);
    if (types.length === 0) return say('intake-outcome', t('staff.pause_no_type'));
    const minutes = Number(at('minutes').value);
    const body = types.length === boxes.length ? { minutes } : { minutes, order_types: types };
    change('/intake/pause', body, t('staff.paused', { minutes }));
  });
  at('resume').addEventListener('click', () => change('/intake/resume', undefined, t('staff.resumed')));
}

/** A dish of the menu: how much of it there is. */
class Dish {
  constructor(dish, change) {
    this.state = make('span', { class: 'dish-state' });
    this.left = make('input', { type: 'number', inputmode: 'numeric', min: 0, max: 10000, placeholder: t('staff.portions'), 'aria-label': t('staff.portions_of', { name: dish.name }) });
    const button = (key, act, body) => {
      const made = make('button', { class: 'button', type: 'button', 'data-action': act }, t(key), make('span', { class: 'visually-hidden' }, ` ${dish.name}`));
      made.addEventListener('click', () => {
        const change_ = body();
        if (change_) change(this.dish, change_);
      });
      return made;
    };
    this.none = button('staff.no_more', 'none', () => ({ available: false }));
    this.again = button('staff.enough', 'enough', () => ({ available: true }));
    this.set = button('staff.set', 'set', () => this.left.value !== '' && { remaining: Number(this.left.value) });
    const portions = make('span', { class: 'dish-portions' }, this.left, this.set);
    this.element = make(
      'li',
      { class: 'dish', 'data-dish': dish.id },
      make('span', { class: 'dish-name' }, dish.name, this.state),
      make('span', { class: 'dish-buttons' }, portions, this.none, this.again),
    );
  }

  update(dish) {
    this.dish = dish;
    const isShort = !dish.available || dish.remaining != null;
    setAttribute(this.element, 'data-available', String(dish.available));
    setText(this.state, !dish.available ? t('staff.is_sold_out') : isShort ? t('staff.left', { count: dish.remaining }) : t('staff.is_available'));
    setHidden(this.none, !dish.available);
    setHidden(this.again, !isShort);
  }
}

class SoldOut {
  constructor() {
    Object.assign(this, { views: new Map(), dishes: [], isBusy: false });
    at('search').addEventListener('input', () => this.show());
  }

  async open() {
    setHidden(at('sold-out-outcome'), true);
    at('search').value = '';
    at('search').focus();
    await this.read();
  }

  async read() {
    const { status, body, why } = await call('GET', '/menu');
    if (why !== null) return say('sold-out-outcome', status === 404 ? t('staff.no_menu') : why);
    this.dishes = body.categories.flatMap((category) => category.items);
    this.show();
  }

  show() {
    const sought = at('search').value.trim().toLocaleLowerCase();
    const shown = this.dishes.filter((dish) => dish.name.toLocaleLowerCase().includes(sought));
    const makeDish = (dish) => new Dish(dish, (...change) => this.change(...change));
    keyedList(at('dishes'), this.views, shown, (dish) => dish.id, makeDish, (view, dish) => view.update(dish));
  }

  async change(dish, body) {
    if (this.isBusy) return;
    this.isBusy = true;
    const { body: now, why } = await call('PUT', `/menu/items/${encodeURIComponent(dish.id)}/availability`, body);
    this.isBusy = false;
    say('sold-out-outcome', why, why === null ? outcome(dish, now) : '');
    await this.read();
  }
}

function outcome({ name }, { available, remaining, until }) {
  if (until === null) return t('staff.said_enough', { name });
  const values = { name, count: remaining, time: momentOf(until) };
  return available ? t('staff.said_left', values) : t('staff.said_sold_out', values);
}

/** Who did what, the latest first. */
class Log {
  constructor() {
    at('log-more').addEventListener('click', () => this.read(this.next));
  }

  async open() {
    setHidden(at('log-outcome'), true);
    at('log-list').replaceChildren();
    await this.read(null);
  }

  async read(cursor) {
    const { body, why } = await call('GET', `/staff/actions?limit=50${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`);
    if (why !== null) return say('log-outcome', why);
    this.next = body.next_cursor;
    setHidden(at('log-more'), this.next === null);
    at('log-list').append(...body.actions.map(rowOf));
    if (at('log-list').childElementCount === 0) say('log-outcome', null, t('staff.log_empty'));
  }
}

function rowOf({ timestamp, name, role, action, order_number: number, detail }) {
  const what = [tOf('staff.did.', action), number && shortNumber(number), detail].filter(Boolean).join(' · ');
  const who = role ? `${name} (${tOf('staff.role.', role)})` : name;
  return make('li', {}, make('bdi', { class: 'muted' }, momentOf(timestamp)), make('span', {}, who), make('span', {}, what));
}
