// The page of a kitchen station: what the service says, what a person does, and what is shown of both.

import { Actions } from './actions.js';
import { Board, ReadyList, lateOf } from './board.js';
import { Counts } from './counts.js';
import { make, setAttribute, setHidden, setOptionalText, setText } from './dom.js';
import { Keys } from './keys.js';
import { Live } from './live.js';
import { Sound } from './sound.js';
import { stateOf, latenessOf } from './ticket.js';
import { count, kindOf, shortNumber, t, timeOfDay } from './words.js';

const TICK_MS = 250;
// A stream that is back within this time needs no banner.
const BANNER_AFTER_MS = 1200;
// The sound of a cancelled ticket comes again so often until a person has acknowledged it.
const CANCELLED_AGAIN_MS = 3000;

const { station, account } = document.body.dataset;
const at = (id) => document.getElementById(id);
const button = (action) => document.querySelector(`.bar [data-action="${action}"]`);

let snapshot = null;
let view = { tickets: [], ready: [] };
let seen = null;
let lateness = new Map();
let offsetMs = 0;
let notLiveSince = Date.now();
let hasBeenLive = false;
let refusedStatus = null;
let cancelledSoundAt = 0;

/** The service's time. */
const now = () => Date.now() + offsetMs;

const sound = new Sound(showSound);
const actions = new Actions(station, account, now, { changed: render, refused, denied });
const board = new Board({ list: at('tickets'), empty: at('empty'), below: at('below') }, act);
const readyList = new ReadyList({ dialog: at('ready-dialog'), list: at('ready'), help: at('ready-help'), number: at('ready-number') }, act);
const counts = new Counts(at('counts'), button('counts'));
const live = new Live('/station/events', { document: received, live: liveChanged, denied });
const keys = new Keys(
  {
    place: (place) => board.chooseAt(place),
    left: () => board.step(-1),
    right: () => board.step(1),
    up: () => (at('ready-dialog').open ? readyList.step(-1) : board.stepItem(-1)),
    down: () => (at('ready-dialog').open ? readyList.step(1) : board.stepItem(1)),
    bump: () => board.withCursor((ticket) => ticket.finish()),
    item: () => board.toggleItem(),
    start: () => board.withCursor((ticket) => ticket.state === 'held' && act('start', ticket.ticket)),
    recall,
    counts: () => counts.toggle(),
  },
  at('armed'),
);

const announce = (text, place = 'polite') => setText(at(place), text);

function act(kind, ticket, more) {
  actions.add(kind, ticket, more);
  const number = shortNumber(ticket.order_number);
  if (kind === 'bump') announce(t('bump_said', { number, key: keys.keyOf('recall') }));
  if (kind === 'recall') announce(t('recall_said', { number }));
}

/** Those whose bump can still be taken back, the latest first. */
const bumped = () =>
  view.tickets.filter((ticket) => stateOf(ticket) === 'bumped').sort((a, b) => b.bumped_at.localeCompare(a.bumped_at));

/** Takes back the bump at the cursor, else the latest; with none, shows what is ready. */
function recall() {
  const pending = bumped();
  const chosen = pending.find((ticket) => ticket.order_number === board.cursor?.dataset.order) ?? pending[0];
  if (chosen && !at('ready-dialog').open) act('recall', chosen);
  else readyList.toggle(now());
}

function received(document) {
  offsetMs = Date.parse(document.now) - Date.now();
  snapshot = document;
  actions.forget(Date.parse(document.now));
  render();
}

function render() {
  if (!snapshot) return;
  view = actions.project(snapshot);
  board.update(view.tickets, now());
  counts.update(view.tickets, snapshot.waiting);
  notice();
  tick();
}

/** Sounds and spoken words for what has changed since the last time. */
function notice() {
  const present = new Map(view.tickets.map((ticket) => [`${ticket.order_number} ${ticket.attempt} ${ticket.status === 'cancelled'}`, ticket]));
  const fresh = seen ? [...present].filter(([key]) => !seen.has(key)).map(([, ticket]) => ticket) : [];
  seen = new Set(present.keys());
  for (const ticket of fresh) {
    const values = { number: shortNumber(ticket.order_number), kind: kindOf(ticket) };
    if (ticket.status === 'cancelled') announce(t('cancelled_spoken', values), 'assertive');
    else announce(t(ticket.recalled ? 'again_ticket' : 'new_ticket', values));
  }
  if (fresh.some((ticket) => ticket.status !== 'cancelled')) sound.newTicket();
}

/** What changes with time alone. */
function tick() {
  const time = now();
  setText(at('clock'), timeOfDay(time).slice(0, 5));
  showLive();
  if (!snapshot) return;
  board.tick(time);
  readyList.update(view.ready, snapshot.recall_minutes, time);
  showNumbers(time);
  showToast(time);
  sayLateness(time);
  const isCancelled = view.tickets.some((ticket) => ticket.status === 'cancelled');
  if (isCancelled && Date.now() - cancelledSoundAt > CANCELLED_AGAIN_MS) {
    cancelledSoundAt = Date.now();
    sound.cancelled();
  }
}

function showNumbers(time) {
  const late = lateOf(view.tickets, time);
  const parts = [count('tickets', view.tickets.length), count('waiting', snapshot.waiting)];
  if (late > 0) parts.push(count('late', late));
  setText(at('numbers'), parts.join(' · '));
}

function sayLateness(time) {
  const texts = [];
  const next = new Map();
  for (const ticket of view.tickets) {
    const state = ['held', 'started'].includes(stateOf(ticket)) ? latenessOf(ticket, time) : 'on_time';
    next.set(ticket.order_number, state);
    const before = lateness.get(ticket.order_number);
    if (before && before !== state && state !== 'on_time') texts.push(t(`${state}_said`, { number: shortNumber(ticket.order_number) }));
  }
  lateness = next;
  if (texts.length > 0) announce(texts.join('. '));
}

/** What can be taken back, in the bar for as long as it can. */
function showToast(time) {
  const left = (ticket) => Math.ceil((Date.parse(ticket.ready_at ?? ticket.bumped_at) - time) / 1000);
  const [latest, ...others] = bumped().filter((ticket) => left(ticket) > 0);
  setHidden(at('toast'), !latest);
  if (!latest) return;
  const number = shortNumber(latest.order_number);
  setText(at('toast-text'), count('toast', others.length > 0 ? 2 : 1, { number, more: others.length }));
  setText(at('toast-undo'), t('toast_undo', { number, key: keys.keyOf('recall'), seconds: left(latest) }));
}

function showLive() {
  const since = timeOfDay(notLiveSince + offsetMs);
  const text = live.isLive ? t('live') : hasBeenLive ? t('not_live', { time: since }) : t('connecting');
  setText(at('live-text'), text);
  setAttribute(at('live'), 'data-live', live.isLive ? 'yes' : hasBeenLive ? 'no' : 'connecting');
  const isAway = !live.isLive && Date.now() - notLiveSince > BANNER_AFTER_MS;
  setAttribute(document.body, 'data-away', isAway || actions.isHeldUp);
  setOptionalText(at('banner'), bannerText(isAway, since));
}

function bannerText(isAway, since) {
  if (refusedStatus === 403) return t('no_right');
  if (isAway) {
    const text = t(hasBeenLive ? 'not_live_banner' : 'never_live', { time: since });
    return actions.queue.length > 0 ? count('not_live_unsent', actions.queue.length, { text }) : text;
  }
  if (actions.isHeldUp) return count('unsent', actions.queue.length);
  return sound.state === 'tap' ? t('sound_tap_banner') : '';
}

function liveChanged(isLive) {
  if (isLive) {
    hasBeenLive = true;
    actions.look();
  } else notLiveSince = Date.now();
  showLive();
}

/** Nobody is logged in, or not with the right to be here. What is not sent yet is sent after the next login. */
function denied(status) {
  refusedStatus = status;
  if (status === 401) location.assign('/login');
}

/** An action that the service did not take: said until a person has seen it. */
function refused(action, why) {
  const kind = action.kind === 'item' && !action.done ? 'item_not' : action.kind;
  const values = { time: timeOfDay(Date.parse(action.at)), what: t(`did_${kind}`), number: shortNumber(action.order), why };
  const dismiss = make('button', { class: 'button', type: 'button', 'data-action': 'dismiss' }, t('dismiss'));
  const message = make('div', { class: 'message' }, make('p', {}, t('refused', values)), dismiss);
  dismiss.addEventListener('click', () => message.remove());
  at('messages').append(message);
}

function showSound() {
  const { state } = sound;
  setText(at('sound-state'), t(`sound_${state}`));
  setAttribute(button('sound'), 'aria-pressed', String(state !== 'off'));
}

/** The tablet's screen stays on while the page is in front, where the browser can do that. */
async function keepAwake() {
  if (document.visibilityState === 'visible') await navigator.wakeLock?.request('screen').catch(() => {});
}

function lookAgain() {
  if (document.visibilityState !== 'visible') return;
  live.look();
  actions.look();
  keepAwake();
}

function wire() {
  button('counts').addEventListener('click', () => counts.toggle());
  button('ready-list').addEventListener('click', () => readyList.toggle(now()));
  button('sound').addEventListener('click', () => sound.toggle());
  button('settings').addEventListener('click', () => at('settings-dialog').showModal());
  at('toast-undo').addEventListener('click', recall);
  for (const close of document.querySelectorAll('[data-action="close"]')) {
    close.addEventListener('click', () => close.closest('dialog').close());
  }
  at('volume').value = String(sound.volume);
  at('volume').addEventListener('input', () => sound.setVolume(Number(at('volume').value)));
  document.querySelector('[data-action="test-sound"]').addEventListener('click', () => {
    if (sound.state === 'on') sound.newTicket();
    else if (sound.state === 'off') sound.toggle();
  });
  at('keys-on').checked = keys.isOn;
  at('keys-on').addEventListener('change', () => keys.setOn(at('keys-on').checked));
  document.querySelector('[data-action="reset-keys"]').addEventListener('click', () => keys.reset());
  keys.showMap(at('key-map'));
  document.addEventListener('visibilitychange', lookAgain);
  window.addEventListener('pageshow', lookAgain);
  window.addEventListener('online', lookAgain);
  window.addEventListener('offline', () => live.cut());
}

wire();
showSound();
keepAwake();
setInterval(tick, TICK_MS);
tick();
live.run();
actions.send();
