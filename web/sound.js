// Sounds made by the browser itself, without files. A browser plays nothing before a person has touched the page.

import { kept } from './dom.js';

const ON = 'station:sound';
const VOLUME = 'station:volume';

// Each tone: frequency in Hz, beginning and length in seconds.
const NEW_TICKET = [[660, 0, 0.14], [880, 0.16, 0.22]];
const CANCELLED = [[320, 0, 0.2], [250, 0.24, 0.2], [320, 0.48, 0.3]];

export class Sound {
  constructor(changed) {
    this.changed = changed;
    this.isOn = kept.get(ON) === 'on';
    this.volume = Number(kept.get(VOLUME) ?? 80);
    // After a reload the consent is remembered, and the first touch fulfils it.
    for (const event of ['pointerdown', 'keydown']) {
      document.addEventListener(event, () => this.isOn && this.resume(), { capture: true });
    }
  }

  /** `on`, `off`, or `tap` where it is on and the browser still waits for a touch. */
  get state() {
    if (!this.isOn) return 'off';
    return this.context?.state === 'running' ? 'on' : 'tap';
  }

  toggle() {
    const becomesOn = this.state === 'off';
    this.isOn = becomesOn;
    kept.set(ON, becomesOn ? 'on' : 'off');
    if (becomesOn) this.resume().then(() => this.newTicket());
    this.changed();
  }

  setVolume(volume) {
    this.volume = volume;
    kept.set(VOLUME, String(volume));
  }

  async resume() {
    if (!('AudioContext' in window)) return;
    if (!this.context) {
      this.context = new AudioContext();
      this.context.onstatechange = () => this.changed();
    }
    if (this.context.state !== 'running') await this.context.resume().catch(() => {});
    this.changed();
  }

  newTicket() {
    this.play(NEW_TICKET, 'sine');
  }

  cancelled() {
    this.play(CANCELLED, 'square');
  }

  play(tones, shape) {
    if (this.state !== 'on' || this.volume === 0) return;
    const { context } = this;
    // A square tone is much louder than a sine of the same height.
    const peak = (this.volume / 100) * (shape === 'square' ? 0.25 : 0.6);
    for (const [frequency, begins, length] of tones) {
      const [oscillator, gain, at] = [context.createOscillator(), context.createGain(), context.currentTime + begins];
      Object.assign(oscillator, { type: shape });
      oscillator.frequency.value = frequency;
      // Without slopes the beginning and the end would click.
      gain.gain.setValueAtTime(0, at);
      gain.gain.linearRampToValueAtTime(peak, at + 0.02);
      gain.gain.setValueAtTime(peak, at + length - 0.05);
      gain.gain.linearRampToValueAtTime(0, at + length);
      oscillator.connect(gain).connect(context.destination);
      oscillator.start(at);
      oscillator.stop(at + length);
    }
  }
}
