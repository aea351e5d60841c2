// The document: elements that are made once and changed only where something changes, so that focus and scroll stay.

/** An element with attributes and children; a text among the children is text and never HTML. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) setAttribute(element, name, value);
  element.append(...children);
  return element;
}

/** `null` and `false` take the attribute away. */
export function setAttribute(element, name, value) {
  if (value === null || value === false) element.removeAttribute(name);
  else {
    const text = value === true ? '' : String(value);
    if (element.getAttribute(name) !== text) element.setAttribute(name, text);
  }
}

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A text that is not shown at all where it is empty. */
export function setOptionalText(element, text) {
  setText(element, text);
  setHidden(element, text === '');
}

export function setHidden(element, hidden) {
  if (element.hidden !== hidden) element.hidden = hidden;
}

/**
 * Brings the children of `parent` into the order of `wanted`, moves as few as possible, and keeps the focus.
 * Yields those that stand at another place than before.
 */
export function arrange(parent, wanted) {
  const focused = parent.contains(document.activeElement) ? document.activeElement : null;
  const places = new Map([...parent.children].map((child, place) => [child, place]));
  const keep = new Set(wanted);
  for (const child of places.keys()) if (!keep.has(child)) child.remove();
  let next = parent.firstElementChild;
  wanted.forEach((element, place) => {
    if (element === next) next = next.nextElementSibling;
    // The one that is in the way belongs further behind: taking it away moves one element and not all between.
    else if (next && next.nextElementSibling === element && wanted.indexOf(next) > place + 1) {
      const behind = element.nextElementSibling;
      next.remove();
      next = behind;
    } else parent.insertBefore(element, next);
  });
  if (focused && focused.isConnected && focused !== document.activeElement) focused.focus({ preventScroll: true });
  return wanted.filter((element, place) => places.has(element) && places.get(element) !== place);
}

/**
 * A list whose elements are known by a key: `views` keeps them, `makeView` makes a new one. Yields the elements that stand at
 * another place than before.
 */
export function keyedList(parent, views, entries, keyOf, makeView, update) {
  const keys = new Set();
  const elements = entries.map((entry, place) => {
    const key = keyOf(entry);
    keys.add(key);
    let view = views.get(key);
    if (!view) views.set(key, (view = makeView(entry)));
    update(view, entry, place);
    return view.element;
  });
  for (const key of [...views.keys()]) if (!keys.has(key)) views.delete(key);
  return arrange(parent, elements);
}

/** `localStorage` where the browser has it and lets it be written; else a memory that a reload loses. */
export const kept = (() => {
  const memory = new Map();
  const attempt = (use, otherwise) => {
    try {
      return use();
    } catch {
      return otherwise();
    }
  };
  return {
    get: (key) => attempt(() => localStorage.getItem(key) ?? memory.get(key) ?? null, () => memory.get(key) ?? null),
    set: (key, value) => attempt(() => localStorage.setItem(key, value), () => memory.set(key, value)),
    remove: (key) => {
      memory.delete(key);
      attempt(() => localStorage.removeItem(key), () => undefined);
    },
    keys: (prefix) => {
      const stored = attempt(() => Object.keys(localStorage), () => []);
      return [...new Set([...stored, ...memory.keys()])].filter((key) => key.startsWith(prefix)).sort();
    },
  };
})();
