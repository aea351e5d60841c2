// What is wrong with an order: beside its fields and lines, and all together above them.

import { make, setText } from './dom.js';
import { momentOf, t, tOf } from './say.js';
import { nameOf } from './dishes.js';
import { kindOf } from './placing.js';

const FIELDS = ['customer_name', 'order_type', 'table_number', 'delivery_address', 'notes'];
/** The faults of an entry by the member that has one; the empty one is the entry itself. */
const OF_ENTRY = {
  '': () => t('order.fault.sold_out'),
  menu_item_id: () => t('order.fault.not_now'),
  options: () => t('order.fault.options'),
  quantity: () => t('order.fault.quantity'),
  notes: () => t('order.fault.notes'),
  price: () => t('order.fault.price'),
};

/** From the order service's problem with an order of these lines: `{heading, each: [{place, subject, text}]}`. */
export function faultsOf(problem, lines) {
  const each = (problem.errors ?? []).map(({ pointer, detail }) => faultAt(pointer, detail, lines));
  return { heading: headingOf(problem, each.length > 0), each };
}

function headingOf(problem, hasFaults) {
  switch (kindOf(problem)) {
    case 'closed':
      return problem.opens_at ? t('order.closed_until', { time: momentOf(problem.opens_at) }) : t('order.closed');
    case 'paused':
      return t('order.paused');
    case 'intake-full':
    case 'service-full':
      return t('order.full');
    case 'too-many-open-orders':
    case 'too-many-requests':
      return t('order.too_many');
    case 'idempotency-key-reused':
      return t('order.reused');
    default:
      return hasFaults ? t('order.faults') : String(problem.detail ?? problem.title ?? '');
  }
}

function faultAt(pointer, detail, lines) {
  const [, name = '', index, member = ''] = pointer.split('/');
  if (FIELDS.includes(name)) return { place: name, subject: '', text: tOf('order.fault.', name) };
  if (name !== 'items' || index === undefined) {
    return name === 'items' ? { place: 'basket', subject: '', text: t('order.fault.items') } : { place: '', subject: name, text: detail };
  }
  const line = lines[Number(index)];
  const text = OF_ENTRY[member]?.() ?? detail;
  return line ? { place: `line-${index}`, subject: nameOf(line.dish) ?? line.dish, text } : { place: '', subject: '', text };
}

export function clearFaults() {
  document.getElementById('faults').replaceChildren();
  for (const fault of document.querySelectorAll('.basket-column .fault')) setText(fault, '');
  for (const field of document.querySelectorAll('.details [aria-invalid]')) field.removeAttribute('aria-invalid');
}

/** Leads the eye and the keyboard to the summary, which links to each place. */
export function showFaults({ heading, link, each }) {
  clearFaults();
  const entries = each.map(({ place, subject, text }) => {
    const words = subject ? [make('bdi', {}, subject), `: ${text}`] : [text];
    return make('li', {}, place ? make('a', { href: `#${place}` }, ...words) : make('span', {}, ...words));
  });
  const box = make('div', { class: 'notice error' }, make('strong', {}, heading));
  if (entries.length > 0) box.append(make('ul', {}, ...entries));
  if (link) box.append(make('p', {}, make('a', { href: link.path }, link.text)));
  const summary = document.getElementById('faults');
  summary.replaceChildren(box);
  for (const { place, text } of each) showBeside(place, text);
  summary.focus({ preventScroll: true });
  summary.scrollIntoView({ block: 'center' });
}

function showBeside(place, text) {
  const fault = document.getElementById(`${place}-fault`) ?? document.getElementById(place)?.querySelector('.fault');
  if (fault && fault.textContent === '') setText(fault, text);
  const field = document.getElementById(place);
  if (field && 'value' in field) field.setAttribute('aria-invalid', 'true');
}
