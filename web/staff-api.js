// Calls from the staff's page: each says in words what came of it.

import { t } from './say.js';

const ANSWER_MAX_MS = 10_000;
// The answer's date has whole seconds: a smaller difference is none.
const CLOCK_TOLERANCE_MS = 2000;

/** Nobody is logged in any more. */
export const toLogin = () => location.assign('/login');

let offsetMs = 0;

/** The service's time in milliseconds. */
export const now = () => Date.now() + offsetMs;

function setClock(response) {
  const date = Date.parse(response.headers.get('Date') ?? '');
  const difference = date + 500 - Date.now();
  if (Math.abs(difference) > CLOCK_TOLERANCE_MS) offsetMs = difference;
  else if (date) offsetMs = 0;
}

/** Gives `{status, body, why}`: `why` is null after a success; `status` is 0 where nobody answered. */
export async function call(method, path, body, more = {}) {
  let response;
  try {
    response = await fetch(`/api${path}`, {
      method,
      headers: { Accept: 'application/json', ...(body ? { 'Content-Type': 'application/json' } : {}) },
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(ANSWER_MAX_MS),
      cache: 'no-store',
      ...more,
    });
  } catch {
    return { status: 0, body: null, why: t('staff.no_answer') };
  }
  setClock(response);
  const answer = await response.json().catch(() => null);
  if (response.status === 401) toLogin();
  return { status: response.status, body: answer, why: response.ok ? null : reason(response.status, answer) };
}

function reason(status, problem) {
  const faults = (problem?.errors ?? []).map(({ detail }) => detail);
  return faults.length > 0 ? faults.join('; ') : (problem?.detail ?? t('staff.answer_without_text', { status }));
}
