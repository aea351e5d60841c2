// The dishes as they stand on the page: what the server has written is the only copy, so that a menu that is read anew counts at once.

/** A dish by its id, with what its choices add; `null` where it is not on the menu or sold out. */
export function dishOf(id) {
  const element = document.getElementById(`dish-${id}`);
  if (!element || !element.querySelector('.choosing')) return null;
  const { name, cents, most, types } = element.dataset;
  return { id, name, element, types: types.split(' '), cents: Number(cents), most: Number(most), questions: questionsIn(element) };
}

/** The name of a dish that may be sold out; `null` where it is not on the menu. */
export const nameOf = (id) => document.getElementById(`dish-${id}`)?.dataset.name ?? null;

/** The questions below an element: those of a dish, or of the dialog that asks them. */
export function questionsIn(element) {
  return [...element.querySelectorAll('.question')].map((fieldset) => ({
    fieldset,
    min: Number(fieldset.dataset.min),
    max: Number(fieldset.dataset.max),
    choices: [...fieldset.querySelectorAll('input[data-cents]')].map((input) => ({
      id: input.value,
      name: input.dataset.name,
      cents: Number(input.dataset.cents),
      isUsual: 'usual' in input.dataset,
      input,
    })),
  }));
}

/** The choices that an order with these ids has, in the menu's order: the usual ones where one is needed and none is made. */
export function chosenOf(dish, ids) {
  return dish.questions.flatMap(({ min, choices }) => {
    const made = choices.filter(({ id }) => ids.includes(id));
    return made.length === 0 && min > 0 ? choices.filter(({ isUsual }) => isUsual) : made;
  });
}

/** What one costs with these choices, in hundredths. */
export const centsWith = (dish, ids) => chosenOf(dish, ids).reduce((sum, { cents }) => sum + cents, dish.cents);

/** Whether a choice of a dish has gone from the menu, or more or fewer are made than it lets be. */
export function isChoiceWrong(dish, ids) {
  const known = new Set(dish.questions.flatMap(({ choices }) => choices.map(({ id }) => id)));
  const isMiscounted = ({ min, max, choices }) => {
    const made = choices.filter(({ id }) => ids.includes(id)).length;
    const usual = choices.some(({ isUsual }) => isUsual);
    return made > max || (made < min && !(made === 0 && usual));
  };
  return ids.some((id) => !known.has(id)) || dish.questions.some(isMiscounted);
}
