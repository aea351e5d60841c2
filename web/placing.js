// Sends an order so that it is taken once, whatever becomes of the answers.

import { tab } from './basket.js';

const PENDING = 'order.pending';
/** Pauses before an order whose answer was lost is sent again, in milliseconds. */
const PAUSES_MS = [500, 1000, 2000];
/** An answer that takes longer is lost, in milliseconds: longer than the gateway waits itself. */
const ANSWER_MS = 15000;


/** What an answer's problem is called. */
export const kindOf = (problem) => String(problem?.type ?? '').split(':').pop();

/** A key of a new order, from 128 random bits. */
export function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The key of an order whose answer was lost, in this tab. */
export const pendingKey = () => tab.get(PENDING)?.key ?? null;

/**
 * Yields `{path}` of the page of the order that was taken, `{problem}`, or `{lost: true}`. `{path, isEarlier: true}`: what was sent
 * first, whose answer was lost, is the order that was taken.
 */
export async function place(key, order, table) {
  const body = JSON.stringify(order);
  const pending = tab.get(PENDING);
  if (!pending) tab.set(PENDING, { key, body });
  const outcome = await sendAgain(key, body, table);
  if (outcome.lost) return outcome;
  if (kindOf(outcome.problem) === 'idempotency-key-reused' && pending) {
    const earlier = await sendAgain(key, pending.body, table);
    if (!earlier.lost) tab.set(PENDING, null);
    return earlier.path ? { ...earlier, isEarlier: true } : earlier;
  }
  tab.set(PENDING, null);
  return outcome;
}

async function sendAgain(key, body, table) {
  let outcome = await send(key, body, table);
  for (const pause of PAUSES_MS) {
    if (!outcome.lost) break;
    await new Promise((resolve) => setTimeout(resolve, pause));
    outcome = await send(key, body, table);
  }
  return outcome;
}

async function send(key, body, table) {
  const headers = { 'Content-Type': 'application/json', 'Idempotency-Key': key };
  if (table) headers['X-Table-Token'] = table;
  try {
    const answer = await fetch('/api/orders', { method: 'POST', headers, body, signal: AbortSignal.timeout(ANSWER_MS) });
    const document = await answer.json();
    if (answer.status === 201) return { path: pathOf(document) };
    // Still under way, or nobody knows: the same key asks again.
    const isUnknown = ['conflict', 'service-unavailable', 'internal-error'].includes(kindOf(document));
    return isUnknown ? { lost: true } : { problem: document };
  } catch {
    return { lost: true };
  }
}

/** A page of this gateway, whatever the address before it. */
function pathOf({ order_number, tracking_url }) {
  const [, token] = /\/t\/([\w-]+)$/.exec(tracking_url ?? '') ?? [];
  return token ? `/t/${token}` : `/track/${order_number}`;
}
