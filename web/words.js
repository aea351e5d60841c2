// Every word that the scripts show. Another language is another table with the same keys; `_one` and `_other` are chosen by the
// language's rules of plurals.

const en = {
  language: 'en',

  // Where a ticket stands against its time; `{time}` is minutes and seconds.
  on_time: 'On time',
  warn: 'Hurry {time}',
  warn_spoken: 'Hurry',
  late: 'Late {time}',
  late_spoken: 'Late',
  cancelled: 'Cancelled',
  done: 'Done',

  dine_in: 'Table {table}',
  dine_in_no_table: 'Dine in',
  takeout: 'Takeout',
  delivery: 'Delivery',

  promoted: 'Waited long',
  priority: 'Priority {priority}',
  recalled: 'Cook again',
  started_by: '{name} cooks',
  done_by: '({name})',
  note: 'Note: {text}',
  allergens: 'Allergens: {list}',
  more_below_one: '▼ {count} more item',
  more_below_other: '▼ {count} more items',
  more_above: '▲ the beginning is above',

  // Buttons; the longer text is what a screen reader says.
  start: 'Start',
  start_of: 'Start {number}',
  bump: 'Done',
  bump_of: 'Done: {number}',
  undo: 'Undo {seconds}',
  undo_of: 'Undo: {number} is not done',
  undo_unsent: 'Undo (not sent yet)',
  acknowledge: 'Seen, take it away',
  acknowledge_of: 'Seen, take it away: {number}',
  recall: 'Recall {number}',
  recalling: 'Recalling {number}',
  dismiss: 'Dismiss',
  toast_one: '{number} done',
  toast_other: '{number} done, and {more} more',
  toast_undo: 'Undo {number} ({key}) {seconds}',

  tickets_one: '{count} ticket',
  tickets_other: '{count} tickets',
  waiting_one: '{count} waiting',
  waiting_other: '{count} waiting',
  late_one: '{count} late',
  late_other: '{count} late',
  below_one: '▼ {count} more below',
  below_other: '▼ {count} more below',
  below_late: '{text}, {late} late',
  empty: 'Nothing to cook. A new ticket appears here by itself.',
  empty_ready: 'Nothing was made ready in the last {minutes} minutes.',
  ready_help: 'A recalled order returns to its place, to be cooked again. That is possible for {minutes} minutes.',
  ready_ago: 'ready {time} ago',

  counts: 'To make',
  counts_empty: 'Nothing is pending.',
  counts_waiting_one: 'and {count} order that no station has yet',
  counts_waiting_other: 'and {count} orders that no station has yet',

  connecting: 'Connecting',
  live: 'Live',
  not_live: 'Not live since {time}',
  not_live_banner: 'No connection since {time}. What you do is kept, and sent when the connection is back.',
  not_live_unsent_one: '{text} {count} action waits.',
  not_live_unsent_other: '{text} {count} actions wait.',
  unsent_one: '{count} action is not sent yet. The station tries again by itself.',
  unsent_other: '{count} actions are not sent yet. The station tries again by itself.',
  never_live: 'No connection yet. The station tries again by itself.',
  no_right: 'This account may not work at a station. Log out in the settings, and log in with another one.',

  sound_on: 'on',
  sound_off: 'off',
  sound_tap: 'tap',
  sound_tap_banner: 'Tap anywhere or press a key once, and the sound is on again.',

  key_bump: 'Done',
  key_item: 'Item done',
  key_start: 'Start',
  key_recall: 'Undo, or list what is ready',
  key_counts: 'Counts',
  key_left: 'Ticket before',
  key_right: 'Next ticket',
  key_up: 'Item before',
  key_down: 'Next item',
  key_change: '{what}: {key}',
  key_press: '{what}: press a key (Escape: leave it)',
  key_space: 'Space',
  armed: '1…  now a digit',

  new_ticket: 'New ticket {number}, {kind}',
  again_ticket: 'Cook again: {number}, {kind}',
  cancelled_spoken: '{number} is cancelled',
  warn_said: '{number}: hurry',
  late_said: '{number} is late',
  bump_said: '{number} done. {key} takes it back',
  recall_said: '{number} is back',

  refused: '{time} {what}, {number}: {why}',
  refused_other_account: '{name} did this without a connection and is not logged in any more. It has not been sent: do it again if it is to be.',
  refused_without_text: 'the station answered {status}',
  did_start: 'Start',
  did_item: 'Item done',
  did_item_not: 'Item not done',
  did_bump: 'Done',
  did_recall: 'Recall',
  did_acknowledge: 'Seen',
};

const words = en;
const plurals = new Intl.PluralRules(words.language);
const clock = new Intl.DateTimeFormat(words.language, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });

/** The text of a key with its `{values}` filled in. */
export function t(key, values = {}) {
  return words[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** The same where the text depends on a number. */
export function count(key, number, values = {}) {
  const form = `${key}_${plurals.select(number)}`;
  return t(form in words ? form : `${key}_other`, { count: number, ...values });
}

/** Minutes and seconds of a time in milliseconds, for instance `4:05`. */
export function duration(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const two = (number) => String(number).padStart(2, '0');
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

export const timeOfDay = (ms) => clock.format(ms);

/** The part of an order's number that people say: its last. */
export const shortNumber = (order) => order.slice(order.lastIndexOf('_') + 1);

export function kindOf(ticket) {
  if (ticket.order_type !== 'dine_in') return ticket.order_type in words ? t(ticket.order_type) : ticket.order_type;
  return ticket.table_number == null ? t('dine_in_no_table') : t('dine_in', { table: ticket.table_number });
}

export const optionText = (option) => (typeof option === 'string' ? option : String(option.name ?? ''));

/** What a key is called. */
export const keyName = (key) => (key === ' ' ? t('key_space') : key.length === 1 ? key.toUpperCase() : key.replace('Arrow', ''));
