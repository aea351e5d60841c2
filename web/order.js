// The page on which customers order: what its form does, with a basket, and without leaving the page for a fault.

import { keyedList, kept, make, setAttribute, setHidden, setText } from './dom.js';
import { count, money, t } from './say.js';
import { Basket, keyOf, tab } from './basket.js';
import { centsWith, chosenOf, dishOf, isChoiceWrong, nameOf, questionsIn } from './dishes.js';
import { choose } from './chooser.js';
import { kindOf, newKey, pendingKey, place } from './placing.js';
import { clearFaults, faultsOf, showFaults } from './faults.js';

const PLACED = 'order.placed';
const DETAILS = 'order.details';
/** A page that nobody has looked at for so long is read anew, in milliseconds. */
const STALE_MS = 60000;
const FIELDS = ['customer_name', 'order_type', 'table_number', 'delivery_address', 'notes'];

const byId = (id) => document.getElementById(id);
const form = byId('order');
const send = byId('send');
const table = form.elements.table?.value ?? '';
const home = table ? `/?table=${table}` : '/';
const views = new Map();
const bar = makeBar();
let basket = null;
let key = byId('key').value;
let isSending = false;
let readAt = Date.now();

document.documentElement.classList.add('scripted');
if (kept.get(PLACED) === key) key = newKey();
key = pendingKey() ?? key;
const typed = location.pathname === '/order' ? typedLines() : [];
if (location.pathname === '/order') history.replaceState(null, '', home);
else fillDetails(tab.get(DETAILS) ?? {});
decorate();
basket = new Basket((changed) => {
  basket = changed;
  show();
});
if (typed.length > 0) basket.replace(typed);

document.addEventListener('click', (event) => {
  const button = event.target.closest('[data-do]');
  if (button) act(button.dataset.do, button.dataset);
});
form.addEventListener('submit', (event) => {
  event.preventDefault();
  if (event.submitter === send || event.submitter === null) order();
});
form.addEventListener('input', () => {
  tab.set(DETAILS, details());
  show();
});
addEventListener('pageshow', (event) => {
  if (!event.persisted) return;
  if (kept.get(PLACED) === key) key = newKey();
  setSending(false);
  basket.load();
  refresh();
});
document.addEventListener('visibilitychange', () => {
  if (!document.hidden && Date.now() - readAt > STALE_MS) refresh();
});

function act(what, { dish: id, key: line }) {
  if (what === 'add') add(id);
  else if (what === 'less') step(line, -1);
  else if (what === 'more') step(line, 1);
  else if (what === 'change') change(line);
}

function step(line, by) {
  basket.step(line, by);
  setText(byId('said'), `${t('order.total')} ${totalText()}`);
  // The button that was pressed has gone with its line.
  if (document.activeElement === document.body) byId('basket').focus({ preventScroll: true });
}

function add(id) {
  const dish = dishOf(id);
  if (!dish) return;
  const put = (line) => {
    basket.put(line);
    setText(byId('said'), t('order.added', { name: dish.name, total: totalText() }));
  };
  if (dish.questions.length > 0) choose(dish, null, put);
  else put({ dish: id, choices: [], notes: '', quantity: 1 });
}

function change(lineKey) {
  const at = basket.lines.findIndex((line) => keyOf(line) === lineKey);
  const dish = at < 0 ? null : dishOf(basket.lines[at].dish);
  if (!dish) return;
  choose(dish, basket.lines[at], (line) => {
    basket.put(line, at);
    (byId(`line-${at}`)?.querySelector('.change') ?? byId('basket')).focus();
  });
}

/** Gives each dish of the menu its button. */
function decorate() {
  for (const box of document.querySelectorAll('.dish-order')) {
    const { dish, name } = box.closest('.dish').dataset;
    const label = t('order.add_of', { name });
    box.append(
      make('span', { class: 'count', role: 'img', 'data-count': dish }),
      make('button', { class: 'button add', type: 'button', 'data-do': 'add', 'data-dish': dish, 'aria-label': label }, `+ ${t('order.add')}`),
    );
  }
}

function show() {
  for (const each of document.querySelectorAll('.count')) {
    const pieces = basket.piecesOf(each.dataset.count);
    setText(each, pieces > 0 ? String(pieces) : '');
    setAttribute(each, 'aria-label', pieces > 0 && t('order.in_basket', { count: pieces }));
  }
  keyedList(byId('lines'), views, basket.lines, keyOf, makeLine, showLine);
  const isEmpty = basket.lines.length === 0;
  setHidden(byId('basket-empty'), !isEmpty);
  setHidden(byId('total-row'), isEmpty);
  setText(byId('total'), totalText());
  setText(send, isSending ? t('order.sending') : isEmpty ? t('order.send') : t('order.send_total', { total: totalText() }));
  setText(bar.firstElementChild.lastElementChild, count('order.view', basket.pieces, { total: totalText() }));
  setHidden(bar, isEmpty);
}

function centsOfLine(line) {
  const dish = dishOf(line.dish);
  return dish ? centsWith(dish, line.choices) * line.quantity : 0;
}

function totalText() {
  return money(basket.lines.reduce((sum, line) => sum + centsOfLine(line), 0));
}

function makeLine(line) {
  const id = keyOf(line);
  const name = nameOf(line.dish) ?? line.dish;
  const button = (what, label, text) =>
    make('button', { class: what === 'change' ? 'button quiet change' : 'button', type: 'button', 'data-do': what, 'data-key': id, 'aria-label': label }, text);
  const pieces = make('output');
  const stepper = make('div', { class: 'stepper' }, button('less', t('order.less_of', { name }), '−'), pieces, button('more', t('order.more_of', { name }), '+'));
  const more = make('span', { class: 'more' });
  const view = { pieces, more, amount: make('bdi', { class: 'amount' }), fault: make('p', { class: 'fault' }), plus: stepper.lastElementChild };
  view.change = button('change', t('order.change_of', { name }), t('order.change'));
  const what = make('p', { class: 'what' }, make('bdi', {}, name), more);
  view.element = make('li', { class: 'line', tabindex: '-1' }, what, view.amount, stepper, view.change, view.fault);
  return view;
}

function showLine(view, line, place) {
  const dish = dishOf(line.dish);
  view.element.id = `line-${place}`;
  setText(view.pieces, String(line.quantity));
  const choices = dish ? chosenOf(dish, line.choices).map(({ name }) => name) : [];
  setText(view.more, [...choices, ...(line.notes ? [`“${line.notes}”`] : [])].join(', '));
  setText(view.amount, dish ? money(centsOfLine(line)) : '');
  view.plus.disabled = line.quantity >= Math.min(10, dish?.most ?? 0);
  setHidden(view.change, !dish);
  setText(view.fault, faultOf(line, dish));
}

/** What is wrong with a line before it is sent; empty where nothing is known to be. */
function faultOf(line, dish) {
  if (!dish) return nameOf(line.dish) === null ? t('order.unknown_dish') : t('order.sold_out');
  if (isChoiceWrong(dish, line.choices)) return t('order.fault.options');
  const { order_type: type } = details();
  return type === '' || dish.types.includes(type) ? '' : t('order.fault.not_now');
}

function details() {
  const of = (name) => (name === 'order_type' ? (form.querySelector('[name="order_type"]:checked, [type="hidden"][name="order_type"]')?.value ?? '') : (form.elements[name]?.value ?? ''));
  return Object.fromEntries(FIELDS.map((name) => [name, of(name)]));
}

function fillDetails(values) {
  for (const name of FIELDS) {
    if (typeof values[name] !== 'string') continue;
    if (name !== 'order_type') {
      if (form.elements[name]) form.elements[name].value = values[name];
    } else for (const radio of form.querySelectorAll('[type="radio"][name="order_type"]')) radio.checked = radio.value === values[name] && !radio.disabled;
  }
}

/** What was typed into a form that came back from the server. */
function typedLines() {
  return [...form.querySelectorAll('.dish-order input')].flatMap((input) => {
    const quantity = Math.min(10, Number(input.value));
    if (!Number.isInteger(quantity) || quantity < 1) return [];
    const element = input.closest('.dish');
    const choices = questionsIn(element).flatMap((question) => question.choices.filter((choice) => choice.input.checked).map(({ id }) => id));
    return [{ dish: element.dataset.dish, choices, notes: element.querySelector('.field input').value.trim(), quantity }];
  });
}

/** The order as it is sent: with the prices that the customer sees, so that no other is charged. */
function orderOf({ customer_name, order_type, table_number, delivery_address, notes }) {
  const items = basket.lines.map(({ dish: id, choices, notes: note, quantity }) => {
    const dish = dishOf(id);
    const price = dish ? { price: centsWith(dish, choices) / 100 } : {};
    return { menu_item_id: id, quantity, options: choices, ...price, ...(note ? { notes: note } : {}) };
  });
  const isTable = /^\d+$/.test(table_number.trim());
  return {
    customer_name: customer_name.trim(),
    ...(order_type ? { order_type } : {}),
    items,
    ...(notes.trim() ? { notes: notes.trim().replace(/\s+/g, ' ') } : {}),
    ...(order_type === 'dine_in' && table_number.trim() ? { table_number: isTable ? Number(table_number) : table_number } : {}),
    ...(order_type === 'delivery' ? { delivery_address: delivery_address.trim().replace(/\s+/g, ' ') } : {}),
  };
}

async function order() {
  if (isSending) return;
  setSending(true);
  clearFaults();
  const tokenOfTable = byId('fixed-table') ? table : '';
  const outcome = await place(key, orderOf(details()), tokenOfTable);
  if (outcome.path && !outcome.isEarlier) {
    kept.set(PLACED, key);
    tab.set(DETAILS, null);
    basket.replace([]);
    location.assign(outcome.path);
    return;
  }
  if (outcome.problem) await refresh();
  setSending(false);
  if (outcome.isEarlier) showFaults({ heading: t('order.already_taken'), link: { path: outcome.path, text: t('order.see_it') }, each: [] });
  else showFaults(outcome.lost ? { heading: t('order.lost'), each: [] } : faultsOf(outcome.problem, basket.lines));
  // What was sent first under this key is an order of its own: this one is another.
  if (outcome.isEarlier || kindOf(outcome.problem) === 'idempotency-key-reused') key = newKey();
}

function setSending(sending) {
  isSending = sending;
  send.setAttribute('aria-disabled', String(sending));
  show();
}

/** Reads the page anew: prices, what is sold out, whether orders are taken. What is chosen and typed stays. */
async function refresh() {
  try {
    const answer = await fetch(home, { headers: { Accept: 'text/html' }, signal: AbortSignal.timeout(10000) });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html');
    if (!fresh.getElementById('menu')) return;
    for (const selector of ['#menu', '.jumps', '#standing', '#times']) document.querySelector(selector).replaceWith(fresh.querySelector(selector));
    for (const radio of document.querySelectorAll('.type input')) {
      const other = fresh.querySelector(`.type input[value="${radio.value}"]`);
      if (!other) continue;
      radio.disabled = other.disabled;
      setText(radio.nextElementSibling.querySelector('bdi'), other.nextElementSibling.querySelector('bdi').textContent);
    }
    readAt = Date.now();
    decorate();
    show();
  } catch {
    // What is shown stays; the order itself says what has changed.
  }
}

/** On a telephone the basket is below the menu: a bar leads there, with the sum. */
function makeBar() {
  const link = make('a', { class: 'button primary', href: '#basket' }, make('span', {}, t('order.basket')), make('bdi'));
  const made = make('nav', { class: 'bar', hidden: true, 'aria-label': t('order.basket') }, link);
  document.querySelector('.foot').before(made);
  new IntersectionObserver(([{ isIntersecting }]) => made.classList.toggle('visually-hidden', isIntersecting), { threshold: 0 }).observe(byId('basket'));
  return made;
}
