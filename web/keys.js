// Keys, as a bump bar sends them. Which key does what is a person's choice, and so is whether keys do anything.

import { keyedList, kept, make, setAttribute, setText } from './dom.js';
import { keyName, t } from './words.js';

const ON = 'station:keys-on';
const MAP = 'station:keys';
// The digit behind a 0 comes within this time.
const DIGIT_MAX_MS = 2000;

const DEFAULTS = {
  bump: 'Enter',
  item: ' ',
  start: 's',
  recall: 'r',
  counts: 'a',
  left: 'ArrowLeft',
  right: 'ArrowRight',
  up: 'ArrowUp',
  down: 'ArrowDown',
};

// What a button that has the focus does by itself, and no shortcut may take from it.
const NATIVE = ['Enter', ' '];

export class Keys {
  /** `on[what]()` for each of the keys above, and `on.place(number)` for a ticket's place from 0. */
  constructor(on, armed) {
    Object.assign(this, { on, armed, swallowed: new Set(), rows: new Map(), waitingFor: null });
    this.isOn = kept.get(ON) !== 'off';
    try {
      this.map = { ...DEFAULTS, ...JSON.parse(kept.get(MAP) ?? '{}') };
    } catch {
      this.map = { ...DEFAULTS };
    }
    document.addEventListener('keydown', (event) => this.down(event));
    // A button is pressed when the key goes up: not where a shortcut has had it.
    document.addEventListener('keyup', (event) => this.swallowed.delete(event.code) && event.preventDefault());
  }

  keyOf(what) {
    return keyName(this.map[what]);
  }

  setOn(isOn) {
    this.isOn = isOn;
    kept.set(ON, isOn ? 'on' : 'off');
  }

  reset() {
    this.set({ ...DEFAULTS });
  }

  set(map) {
    this.map = map;
    kept.set(MAP, JSON.stringify(map));
    this.showMap();
  }

  down(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    if (this.waitingFor) return this.learn(event);
    if (!this.isOn || event.target.closest('input, select, textarea')) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const isDigit = /^[0-9]$/.test(key);
    const what = Object.keys(this.map).find((name) => this.map[name] === key);
    if (!isDigit && !what) return;
    // A button of its own keeps Enter and Space; an item is no such button, for it is what the cursor stands on.
    const button = event.target.closest('button');
    if (NATIVE.includes(key) && button && !button.matches('.item')) return;
    if (!isDigit && document.querySelector('dialog[open]') && !['recall', 'up', 'down'].includes(what)) return;
    event.preventDefault();
    this.swallowed.add(event.code);
    if (isDigit) this.digit(Number(key));
    // A key that is held down walks, and does nothing twice.
    else if (!event.repeat || ['left', 'right', 'up', 'down'].includes(what)) this.on[what]();
  }

  digit(digit) {
    if (document.querySelector('dialog[open]')) return;
    const isSecond = Boolean(this.armedTimer);
    this.disarm();
    if (isSecond) this.on.place(9 + digit);
    else if (digit > 0) this.on.place(digit - 1);
    else {
      this.armed.textContent = t('armed');
      this.armed.hidden = false;
      this.armedTimer = setTimeout(() => this.disarm(), DIGIT_MAX_MS);
    }
  }

  disarm() {
    clearTimeout(this.armedTimer);
    this.armedTimer = null;
    this.armed.hidden = true;
  }

  /** The list in the settings: a button for each key, which waits for another one. */
  showMap(list = this.list) {
    this.list = list;
    if (!list) return;
    const makeRow = (what) => {
      const button = make('button', { class: 'button', type: 'button', 'data-key': what });
      button.addEventListener('click', () => {
        this.waitingFor = what;
        this.showMap();
      });
      return { button, element: make('li', {}, button) };
    };
    keyedList(list, this.rows, Object.keys(DEFAULTS), (what) => what, makeRow, ({ button }, what) => {
      const isWaiting = this.waitingFor === what;
      setText(button, t(isWaiting ? 'key_press' : 'key_change', { what: t(`key_${what}`), key: this.keyOf(what) }));
      setAttribute(button, 'aria-pressed', String(isWaiting));
    });
  }

  learn(event) {
    if (['Shift', 'Tab', 'CapsLock'].includes(event.key)) return;
    event.preventDefault();
    this.swallowed.add(event.code);
    const what = this.waitingFor;
    this.waitingFor = null;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (key === 'Escape' || /^[0-9]$/.test(key)) return this.showMap();
    const map = { ...this.map };
    // The key that had another meaning takes over the one that is free now.
    const other = Object.keys(map).find((name) => map[name] === key);
    if (other) map[other] = map[what];
    map[what] = key;
    this.set(map);
  }
}
