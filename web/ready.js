// The board of the room: live, page by page where there are more numbers than a wall has room for, and honest where it is not live.

import { keyedList, make, setAttribute, setHidden, setText } from './dom.js';
import { Live } from './live.js';
import { t, timeOf } from './say.js';

// Numbers that a column of a wall shows at once, and for how long where there are more.
const PAGE_NUMBERS = 24;
const PAGE_MS = 10_000;
// What has just become ready stands out for so long.
const NEW_MS = 30_000;
// Where nothing was told for so long after the page was loaded, it says so.
const FIRST_MS = 5000;
// As in the style: anywhere else the page scrolls and shows all.
const wall = matchMedia('(min-width: 50rem) and (min-height: 30rem)');
// The television's own clock may be wrong: times are the gateway's.
const ahead = new Date(document.body.dataset.now) - Date.now();
const now = () => Date.now() + ahead;

const element = (id) => document.getElementById(id);
const parts = ['making', 'ready'].map((name) => ({
  name,
  list: element(name).querySelector('.numbers'),
  pages: element(`${name}-pages`),
  none: element(`${name}-none`),
  views: new Map(),
  orders: [],
}));
/** Since when each order has been ready, as far as this page has seen it become so. */
const called = new Map();
let [turn, known, awaySince] = [0, null, null];

const shortOf = (number) => number.slice(number.lastIndexOf('_') + 1);

function sizeOf(count) {
  if (count <= 6) return 'few';
  return count <= 12 ? 'some' : 'many';
}

function show(part) {
  const { list, orders, views } = part;
  const pages = wall.matches ? Math.max(1, Math.ceil(orders.length / PAGE_NUMBERS)) : 1;
  const page = turn % pages;
  const shown = pages === 1 ? orders : orders.slice(page * PAGE_NUMBERS, (page + 1) * PAGE_NUMBERS);
  list.dataset.size = pages === 1 ? sizeOf(shown.length) : 'many';
  setAttribute(list, 'data-long', shown.some((order) => shortOf(order.order_number).length > 3));
  const makeView = ({ order_number: number }) => ({
    element: make('li', { class: 'number' }, make('bdi', {}, shortOf(number))),
  });
  keyedList(list, views, shown, (order) => order.order_number, makeView, (view, order) => {
    const isNew = part.name === 'ready' && now() - (called.get(order.order_number) ?? -Infinity) < NEW_MS;
    setAttribute(view.element, 'data-new', isNew);
  });
  setText(part.pages, pages === 1 ? '' : t('ready.page', { page: page + 1, pages }));
  setHidden(part.pages, pages === 1);
  setHidden(part.none, orders.length > 0);
}

function showAll() {
  for (const part of parts) show(part);
}

function take(board) {
  const ready = board.ready.map((order) => order.order_number);
  const fresh = known ? ready.filter((number) => !known.has(number)) : [];
  for (const number of fresh) called.set(number, now());
  known = new Set(ready);
  for (const number of called.keys()) if (!known.has(number)) called.delete(number);
  // Whoever waits sees the new number at once.
  if (fresh.length > 0) turn = 0;
  for (const part of parts) part.orders = board[part.name];
  if (fresh.length > 0) {
    setText(element('told'), fresh.map((number) => t('ready.told', { number: shortOf(number) })).join(' '));
  }
  showAll();
}

function sayLive(isLive) {
  awaySince = isLive ? null : (awaySince ?? now());
  const state = element('state');
  setAttribute(state, 'data-live', isLive);
  setAttribute(state, 'data-away', !isLive);
  setText(state, isLive ? t('ready.live') : t('ready.away', { time: timeOf(awaySince) }));
}

function tick() {
  const time = timeOf(now());
  setText(element('clock'), time);
  setAttribute(element('clock'), 'datetime', time);
  if (known) parts.filter((part) => part.name === 'ready').forEach(show);
}

/** A television that sleeps shows nothing. */
async function stayAwake() {
  if (document.visibilityState === 'visible') await navigator.wakeLock?.request('screen').catch(() => {});
}

const live = new Live('/api/board/events', { document: take, live: sayLive, denied: () => sayLive(false) });
setInterval(tick, 1000);
setTimeout(() => known ?? sayLive(false), FIRST_MS);
setInterval(() => {
  turn += 1;
  if (known) showAll();
}, PAGE_MS);
wall.addEventListener('change', () => known && showAll());
addEventListener('online', () => live.look());
addEventListener('offline', () => live.cut());
addEventListener('pageshow', () => live.look());
document.addEventListener('visibilitychange', () => {
  live.look();
  stayAwake();
});
stayAwake();
tick();
live.run();
