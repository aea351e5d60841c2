// The dialog in which a dish is put together: its choices, a note, how many.

import { make, setText } from './dom.js';
import { money, t } from './say.js';
import { centsWith, isChoiceWrong, questionsIn } from './dishes.js';

const MOST = 10;

/** Asks what a dish is to be; `line` is what it is already. `onDone` gets the line. */
export function choose(dish, line, onDone) {
  const title = make('h2', { id: 'chooser-title', tabindex: '-1' }, make('bdi', {}, dish.name));
  const close = make('button', { class: 'button quiet', type: 'button' }, t('order.close'));
  const asked = dish.element.querySelector('.choosing').cloneNode(true);
  const fault = make('p', { class: 'fault', role: 'alert' });
  const pieces = make('output', {}, String(line?.quantity ?? 1));
  const [less, more] = [stepButton('−', 'order.less_of', dish), stepButton('+', 'order.more_of', dish)];
  const done = make('button', { class: 'button primary', type: 'submit' });
  const foot = make('div', { class: 'chooser-foot' }, make('div', { class: 'stepper' }, less, pieces, more), done);
  const description = dish.element.querySelector('.dish-about').cloneNode(true);
  description.querySelector('h3').remove();
  const form = make('form', { novalidate: true }, make('div', { class: 'chooser-head' }, title, close), description, asked, fault, foot);
  const dialog = make('dialog', { class: 'chooser', 'aria-labelledby': 'chooser-title' }, form);
  const questions = questionsIn(asked);
  const note = asked.querySelector('.field input');
  note.value = line?.notes ?? '';
  set(questions, line);

  const chosen = () => questions.flatMap(({ choices }) => choices.filter(({ input }) => input.checked).map(({ id }) => id));
  const quantity = () => Number(pieces.textContent);
  const show = () => {
    for (const { max, choices } of questions) keepToMost(max, choices);
    const total = money(centsWith(dish, chosen()) * quantity());
    setText(done, t(line ? 'order.save_total' : 'order.add_total', { total }));
    less.disabled = quantity() <= 1;
    more.disabled = quantity() >= Math.min(MOST, dish.most);
    setText(fault, '');
  };
  const step = (by) => {
    setText(pieces, String(quantity() + by));
    show();
  };
  less.addEventListener('click', () => step(-1));
  more.addEventListener('click', () => step(1));
  form.addEventListener('input', show);
  close.addEventListener('click', () => dialog.close());
  dialog.addEventListener('close', () => dialog.remove());
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (isChoiceWrong(dish, chosen())) {
      setText(fault, t('order.fault.options'));
      return;
    }
    dialog.close();
    onDone({ dish: dish.id, choices: chosen(), notes: note.value.trim().replace(/\s+/g, ' '), quantity: quantity() });
  });
  show();
  document.body.append(dialog);
  dialog.showModal();
  title.focus();
}

function stepButton(sign, key, { name }) {
  const label = key === 'order.less_of' ? t('order.less_of', { name }) : t('order.more_of', { name });
  return make('button', { class: 'button', type: 'button', 'aria-label': label }, sign);
}

/** As a line has it; a new one as it usually comes. */
function set(questions, line) {
  for (const { fieldset, choices } of questions) {
    for (const { id, isUsual, input } of choices) input.checked = line ? line.choices.includes(id) : isUsual;
    const none = fieldset.querySelector('input[value=""]');
    if (none) none.checked = !choices.some(({ input }) => input.checked);
  }
}

/** Once as many are chosen as may be, the others cannot be. */
function keepToMost(max, choices) {
  const isFull = choices.filter(({ input }) => input.checked).length >= max;
  for (const { input } of choices) if (input.type === 'checkbox') input.disabled = isFull && !input.checked;
}
