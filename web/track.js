// The page of one order: the service writes it, and this script has it written anew whenever something may have changed.

import { setAttribute, setHidden, setText } from './dom.js';
import { Live } from './live.js';
import { timeOf } from './say.js';

// How often an open order that is looked at is asked for, beside what the stream tells: the place in the queue moves without it.
const LOOK_EVERY_MS = 20_000;
// What is not here by then is asked for again.
const ANSWER_MAX_MS = 10_000;
// Pauses before the page is asked for again where that has failed; the last one repeats.
const PAUSES_MS = [500, 1000, 2000, 5000];
// A stream that is back within this time needs no notice, and neither does a single failure.
const AWAY_AFTER_MS = 1200;
const FAILURES_UNSAID = 1;
const TICK_MS = 500;

const at = (id) => document.getElementById(id);
const shown = at('order').dataset;
const isOpen = () => shown.open === 'true';
const api = `/api/orders/${encodeURIComponent(shown.order)}`;
const scriptOf = (page) => page.querySelector('script[type=module]')?.getAttribute('src');

let knownAt = Date.now();
// Of the service's clock: that of a telephone may be wrong.
let offsetMs = Date.parse(shown.now) - knownAt;
let notLiveSince = knownAt;
let failures = 0;
let isFetching = false;
let isStale = false;
// Since the stream broke the page has not been written anew.
let isBehind = false;
let etag = null;
let wake = () => {};

const live = new Live(`${api}/events`, { document: told, live: liveChanged, denied: () => {} }, { resumes: true });

const pause = (ms) =>
  new Promise((resolve) => {
    wake = resolve;
    setTimeout(resolve, ms);
  });

const ask = (address, headers = {}) => fetch(address, { headers, cache: 'no-store', signal: AbortSignal.timeout(ANSWER_MAX_MS) });

/** A change of the order; or, without a time, that the stream begins anew. */
function told({ timestamp }) {
  if (!timestamp || Date.parse(timestamp) > Date.parse(shown.updated)) refresh();
}

function liveChanged(isLive) {
  if (!isLive) [isBehind, notLiveSince] = [true, Date.now()];
  else if (isBehind) refresh();
  showLive();
}

/** Has the page written anew, and once more for what comes meanwhile. */
async function refresh() {
  isStale = true;
  if (isFetching) return;
  isFetching = true;
  while (isStale && isOpen()) {
    isStale = false;
    if (await fetchPage().catch(() => false)) failures = 0;
    else {
      [isStale, failures] = [true, failures + 1];
      await pause(PAUSES_MS[Math.min(failures, PAUSES_MS.length) - 1]);
    }
  }
  isFetching = false;
}

async function fetchPage() {
  const response = await ask(location.pathname.replace(/\/cancel$/, '') + location.search);
  if (response.status === 404) location.reload();
  if (!response.ok) return false;
  const page = new DOMParser().parseFromString(await response.text(), 'text/html');
  // Another version is served by now: its page needs its own script.
  if (scriptOf(page) !== scriptOf(document)) location.reload();
  else take(page);
  return true;
}

/** Shows what is new in a page. */
function take(page) {
  const before = shown.status;
  Object.assign(shown, page.getElementById('order').dataset);
  for (const part of document.querySelectorAll('[data-part]')) {
    const next = page.getElementById(part.id);
    if (part.isEqualNode(next)) continue;
    const hadFocus = part.contains(document.activeElement);
    part.replaceWith(next);
    if (hadFocus) document.querySelector('h1').focus({ preventScroll: true });
  }
  document.title = page.title;
  isBehind = false;
  knownAt = Date.now();
  offsetMs = Date.parse(shown.now) - knownAt;
  if (shown.status !== before) announce();
  if (!isOpen()) live.stop();
  showLive();
}

function announce() {
  const dialog = at('cancel-dialog');
  const isTooLate = dialog?.open && !at('cancel');
  if (isTooLate) dialog.close();
  const texts = [at('state').textContent, at('todo').textContent, isTooLate ? at('said').dataset.tooLate : ''];
  setText(at('said'), texts.filter(Boolean).join(' '));
}

/** Asks whether the place in the queue or the estimate is another one, or the time is past. */
async function look() {
  const response = await ask(`${api}/status`, etag ? { 'If-None-Match': etag } : {});
  if (!response.ok && response.status !== 304) return;
  etag = response.headers.get('ETag') ?? etag;
  const isPast = !at('now').querySelector('.late') && Date.now() + offsetMs > Date.parse(shown.due);
  if (response.ok || isPast) refresh();
  else knownAt = Date.now();
}

async function lookAgainAndAgain() {
  while (isOpen()) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS * (0.75 + Math.random() / 2)));
    if (isOpen() && document.visibilityState === 'visible') await look().catch(() => {});
  }
}

/** The page may have been away: asleep, behind another one, without a network, or kept by the browser. */
function lookNow() {
  live.look();
  wake();
  refresh();
}

function showLive() {
  const isRight = live.isLive && !isBehind && failures <= FAILURES_UNSAID;
  if (isRight && failures === 0) knownAt = Math.max(knownAt, live.lastByte);
  const isAway = isOpen() && !isRight && Date.now() - notLiveSince > AWAY_AFTER_MS;
  const time = timeOf(knownAt + offsetMs);
  setHidden(at('away'), !isAway);
  const withTime = (text) => text.replace('{time}', time);
  setText(at('away'), isAway ? withTime(at('away').dataset.text) : '');
  const place = at('live');
  if (!place) return;
  setHidden(place, !isOpen());
  setAttribute(place, 'data-live', String(isRight));
  setText(at('live-text'), isRight ? place.dataset.text : withTime(place.dataset.otherText));
}

document.addEventListener('submit', (event) => {
  if (event.target.id !== 'cancel') return;
  event.preventDefault();
  at('cancel-dialog').showModal();
});
at('keep')?.addEventListener('click', (event) => {
  event.preventDefault();
  at('cancel-dialog').close();
});

if (isOpen()) {
  addEventListener('visibilitychange', () => document.visibilityState === 'visible' && lookNow());
  addEventListener('pageshow', (event) => event.persisted && lookNow());
  addEventListener('online', lookNow);
  addEventListener('offline', () => live.cut());
  setInterval(showLive, TICK_MS);
  live.run();
  lookAgainAndAgain();
}
