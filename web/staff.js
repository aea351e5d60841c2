// The staff's page: where each order is, as the events say, and what a person does about it.

import { keyedList, make, setAttribute, setHidden, setOptionalText, setText } from './dom.js';
import { Live } from './live.js';
import { momentOf, t, tOf, timeOf } from './say.js';
import { Actions } from './staff-actions.js';
import { call, now, toLogin } from './staff-api.js';
import { Card, duration, shortNumber } from './staff-card.js';
import { Orders, STATUSES, placed } from './staff-orders.js';
import { wirePanels } from './staff-panels.js';

const TICK_MS = 1000;
// How often the workers, the intake and the expected times are asked for.
const LOOK_MS = 10_000;
// A stream that is back within this time needs no banner.
const BANNER_AFTER_MS = 1500;
// A change that is older is no news: the page has just been opened, or was away.
const NEWS_MS = 10_000;
// A worker that is away for longer is not expected back.
const SHIFT_MS = 12 * 60 * 60 * 1000;
// A worker that cooks fewer types of orders says which.
const TYPES = 3;
// Cards of a column; those behind them are counted.
const CARDS_MAX = 100;

const at = (id) => document.getElementById(id);
const rights = new Set(at('board').dataset.rights.split(' '));
const hasLists = rights.has('lists');

let notLiveSince = Date.now();
let hasBeenLive = false;
let deniedStatus = null;
let hasIntake = true;
let nextLook = 0;

const orders = new Orders(() => plan());
const actions = new Actions(() => plan());
const live = new Live('/api/events', { document: received, live: liveChanged, denied }, { resumes: true });
const views = new Map();
const on = {
  act: (kind, order) => (kind === 'cancel' ? askReason(order) : actions.begin(kind, order.number)),
  undo: (order) => actions.undo(order.number),
  again: (order) => actions.again(order.number),
  dismiss: (order) => {
    actions.forget(order.number);
    plan();
  },
};

let isPlanned = false;

/** Many events make one look of the page. */
function plan() {
  if (isPlanned) return;
  isPlanned = true;
  setTimeout(() => {
    isPlanned = false;
    render();
  }, 0);
}

function received(event) {
  // The service knows nothing of what it has told: it begins anew.
  if (event.reason) orders.clear();
  else {
    const before = orders.all.get(event.order_number)?.status;
    const order = orders.apply(event);
    actions.happened(event.order_number);
    if (before !== event.new_status && now() - Date.parse(event.timestamp) < NEWS_MS) announce(event.order_number, order ? order.status : event.new_status);
  }
  plan();
}

function announce(number, status) {
  setText(at('polite'), t('staff.moved', { number: shortNumber(number), status: tOf('staff.status.', status) }));
}

function render() {
  const time = now();
  for (const status of hasLists ? STATUSES : []) showColumn(status, orders.in(status), time);
  tick();
}

function showColumn(status, list, time) {
  const column = document.querySelector(`[data-column="${status}"]`);
  const shown = list.slice(0, CARDS_MAX);
  for (const number of document.querySelectorAll(`[data-count="${status}"]`)) setText(number, String(list.length));
  const { activeElement: focused } = document;
  const key = (order) => order.number;
  const makeCard = (order) => new Card(order, rights, on);
  if (!views.has(status)) views.set(status, new Map());
  keyedList(column.querySelector('.cards'), views.get(status), shown, key, makeCard, (card, order) => card.update(order, actions.of(order.number), time));
  const more = list.length - shown.length;
  setOptionalText(column.querySelector('.column-empty'), list.length === 0 ? t('staff.column_empty') : more > 0 ? t('staff.more', { count: more }) : '');
  // The card that had the focus has gone to another column, or for good: the title of its column is where the next one comes.
  if (focused !== document.body && !focused.isConnected) column.querySelector('.column-title').focus({ preventScroll: true });
}

/** What changes with time alone. */
function tick() {
  const time = now();
  for (const cards of views.values()) for (const card of cards.values()) card.tick(time);
  showLive();
  if (hasLists) showOldest(time);
}

function showOldest(time) {
  const [oldest] = [...orders.in('received'), ...orders.in('cooking')].sort((a, b) => placed(a) - placed(b));
  setText(at('oldest'), oldest ? t('staff.oldest_of', { time: duration(time - placed(oldest)), number: shortNumber(oldest.number) }) : t('staff.nothing_waits'));
}

function showLive() {
  if (!hasLists) return;
  const since = timeOf(notLiveSince);
  setText(at('live-text'), live.isLive ? t('staff.live') : hasBeenLive ? t('staff.not_live', { time: since }) : t('staff.connecting'));
  setAttribute(at('live'), 'data-live', live.isLive ? 'yes' : hasBeenLive ? 'no' : 'connecting');
  const isAway = !live.isLive && Date.now() - notLiveSince > BANNER_AFTER_MS;
  setAttribute(document.body, 'data-away', isAway);
  setOptionalText(at('banner'), deniedStatus === 403 ? t('staff.refused') : isAway ? t(hasBeenLive ? 'staff.away' : 'staff.never_live', { time: since }) : '');
}

function liveChanged(isLive) {
  if (isLive) hasBeenLive = true;
  else notLiveSince = Date.now();
  showLive();
}

function denied(status) {
  deniedStatus = status;
  if (status === 401) toLogin();
}

/** Cancelling cannot be undone: a person says why, which confirms it. */
function askReason(order) {
  at('cancel').dataset.order = order.number;
  setText(at('cancel-title'), t('staff.cancel_title', { number: shortNumber(order.number) }));
  at('reason').value = '';
  at('cancel').showModal();
}

async function look() {
  nextLook = Date.now() + LOOK_MS;
  if (document.visibilityState !== 'visible') return;
  if (hasLists) orders.refresh();
  const [workers, intake] = await Promise.all([call('GET', '/workers/status'), hasIntake ? call('GET', '/intake') : {}]);
  if (workers.why === null) showWorkers(workers.body);
  if (intake.why === null) showIntake(intake.body);
  // An order service of before knows nothing of it.
  if (intake.status === 404) hasIntake = false;
}

function showWorkers(workers) {
  const isOff = ({ status }) => status === 'offline';
  const seen = workers.filter((worker) => !isOff(worker) || now() - Date.parse(worker.last_seen) < SHIFT_MS);
  seen.sort((a, b) => isOff(a) - isOff(b) || a.worker_name.localeCompare(b.worker_name));
  const rows = seen.map(({ worker_name: name, status, order_types: types = [] }) => {
    const cooks = orders.in('cooking').filter((order) => order.by === name).map((order) => shortNumber(order.number));
    const doing = [tOf('staff.worker.', status), cooks.join(', ')].filter(Boolean).join(' ');
    const only = types.length < TYPES ? ` (${types.map((type) => tOf('staff.type.', type)).join(', ')})` : '';
    return make('li', { class: 'worker', 'data-state': status }, make('bdi', { class: 'worker-name' }, name), ' ', make('span', {}, doing + only));
  });
  at('workers').replaceChildren(...(rows.length > 0 ? rows : [make('li', {}, t('staff.no_workers'))]));
}

function showIntake(intake) {
  const { state, until, opens_at: opens, order_types_paused: paused = [] } = intake;
  setHidden(at('fact-intake'), false);
  setText(at('intake-state'), tOf('staff.intake_state.', state));
  setAttribute(at('fact-intake'), 'data-state', state);
  const texts = [];
  if (opens) texts.push(t('staff.opens', { time: momentOf(opens) }));
  else if (until) texts.push(t('staff.until', { time: momentOf(until) }));
  if (paused.length > 0 && (state === 'open' || state === 'busy')) texts.push(t('staff.types_paused', { list: paused.map((type) => tOf('staff.type.', type)).join(', ') }));
  setText(at('intake-until'), texts.join(' · '));
  const estimates = Object.entries(intake.estimate_minutes ?? {}).map(([type, minutes]) => {
    const text = minutes === null ? t('staff.nobody') : t('staff.minutes', { minutes });
    return make('li', {}, make('span', { class: 'muted' }, tOf('staff.type.', type)), ' ', make('strong', {}, text));
  });
  setHidden(at('fact-estimates'), estimates.length === 0);
  at('estimates').replaceChildren(...estimates);
  if (at('intake-now')) setText(at('intake-now'), [tOf('staff.intake_state.', state), ...texts].join(' · '));
}

function lookAgain() {
  if (document.visibilityState !== 'visible') return actions.flush();
  live.look();
  look();
}

function showTab(status) {
  for (const column of document.querySelectorAll('[data-column]')) setAttribute(column, 'data-current', column.dataset.column === status);
  for (const tab of document.querySelectorAll('[data-tab]')) setAttribute(tab, 'aria-pressed', String(tab.dataset.tab === status));
}

function wire() {
  at('board').hidden = false;
  at('live').hidden = !hasLists;
  for (const tab of document.querySelectorAll('[data-tab]')) tab.addEventListener('click', () => showTab(tab.dataset.tab));
  for (const title of document.querySelectorAll('.column-title')) title.tabIndex = -1;
  at('cancel-form').addEventListener('submit', (event) => {
    event.preventDefault();
    actions.confirmed('cancel', at('cancel').dataset.order, { reason: at('reason').value });
    at('cancel').close();
  });
  at('by-number')?.addEventListener('submit', recallByNumber);
  wirePanels(look);
  document.addEventListener('visibilitychange', lookAgain);
  window.addEventListener('pagehide', () => actions.flush());
  window.addEventListener('pageshow', lookAgain);
  window.addEventListener('online', lookAgain);
  window.addEventListener('offline', () => live.cut());
}

async function recallByNumber(event) {
  event.preventDefault();
  const number = at('number').value.trim();
  const { why } = await call('POST', `/orders/${encodeURIComponent(number)}/recall`);
  const outcome = at('by-number-outcome');
  setAttribute(outcome, 'class', why === null ? 'notice good' : 'notice error');
  setOptionalText(outcome, why ?? t('staff.recalled', { number: shortNumber(number) }));
}

wire();
if (hasLists) {
  showTab(STATUSES[0]);
  live.run();
  render();
}
setInterval(() => {
  tick();
  if (Date.now() >= nextLook) look();
}, TICK_MS);
look();
