// The words of a page for people in its language, from `data-words` of its body; amounts and times as they are written there.

const words = JSON.parse(document.body.dataset.words);
const { currency, timeZone } = document.body.dataset;
const language = document.documentElement.lang;
const plurals = new Intl.PluralRules(language);
const amounts = new Intl.NumberFormat(language, {
  style: 'currency',
  currency,
  currencyDisplay: 'narrowSymbol',
  minimumFractionDigits: 2,
  maximumFractionDigits: 2,
});
const clock = formatOf({ hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const day = formatOf({ year: 'numeric', month: 'numeric', day: 'numeric' });
const weekday = formatOf({ weekday: 'long' });

function formatOf(options) {
  return new Intl.DateTimeFormat(language, { ...options, numberingSystem: 'latn', timeZone });
}

/** The text of a key with its `{values}` filled in once. */
export function t(key, values = {}) {
  return (words[key] ?? '').replace(/\{(\w+)\}/g, (_, name) => values[name] ?? '');
}

/** The text for one of several values; the value itself where there is none. */
export function tOf(prefix, value) {
  return words[prefix + value] ?? value;
}

/** The text for a number, by the plurals of the language. */
export function count(key, number, values = {}) {
  const form = `${key}_${plurals.select(number)}`;
  return t(form in words ? form : `${key}_other`, { count: number, ...values });
}

/** An amount in hundredths. */
export const money = (cents) => amounts.format(cents / 100);

/** The hundredths of an amount as JSON has it, which is exact to two decimals. */
export const centsOf = (amount) => Math.round(Number(amount) * 100);

/** A time of day at the restaurant. */
export const timeOf = (time) => clock.format(new Date(time));

/** The same with the day of the week where it is not today. */
export function momentOf(time) {
  const then = new Date(time);
  const at = timeOf(time);
  return day.format(then) === day.format(Date.now()) ? at : t('common.day_time', { day: weekday.format(then), time: at });
}
