// The stream of events: read by `fetch`, which shows the status of a refusal and the bytes of a heartbeat, and `EventSource` neither.

// The service sends something every 15 s at least; a stream that is silent for longer has died unseen.
const SILENT_MAX_MS = 35_000;
// One that is being opened for longer may hang in a network that is gone.
const OPENING_MAX_MS = 3000;
// Pauses before the next attempt; the last one repeats.
const PAUSES_MS = [100, 500, 1000, 2000, 3000];

export class Live {
  /**
   * `on`: `document(object)`, `live(is)` and `denied(status)`. A stream that `resumes` tells changes: it goes on behind the last
   * one that it has told, so that it may be right and silent.
   */
  constructor(url, on, { resumes = false } = {}) {
    Object.assign(this, { url, on, resumes, lastId: '', isLive: false, attempts: 0, stopped: false, lastByte: 0 });
    this.wake = () => {};
  }

  async run() {
    while (!this.stopped) {
      await this.follow().catch(() => {});
      this.become(false);
      if (this.stopped) return;
      const pause = PAUSES_MS[Math.min(this.attempts, PAUSES_MS.length - 1)];
      this.attempts += 1;
      await new Promise((resolve) => {
        this.wake = resolve;
        setTimeout(resolve, pause * (0.75 + Math.random() / 2));
      });
    }
  }

  /** Something may have changed (the page is visible again, the network is back): look now. */
  look() {
    this.attempts = 0;
    this.wake();
    if (Date.now() - this.lastByte > (this.isLive ? SILENT_MAX_MS / 2 : OPENING_MAX_MS)) this.cut();
  }

  /** The stream is of no use any more. */
  cut() {
    this.controller?.abort();
  }

  /** Nothing more comes. */
  stop() {
    this.stopped = true;
    this.cut();
    this.wake();
  }

  become(isLive) {
    if (isLive) this.attempts = 0;
    if (this.isLive === isLive) return;
    this.isLive = isLive;
    this.on.live(isLive);
  }

  async follow() {
    const controller = (this.controller = new AbortController());
    this.lastByte = Date.now();
    const watch = setInterval(() => Date.now() - this.lastByte > SILENT_MAX_MS && controller.abort(), 1000);
    try {
      const headers = { Accept: 'text/event-stream' };
      const url = this.lastId ? `${this.url}?last_event_id=${encodeURIComponent(this.lastId)}` : this.url;
      const response = await fetch(url, { headers, signal: controller.signal, cache: 'no-store' });
      if (response.status === 401 || response.status === 403) {
        this.stopped = true;
        this.on.denied(response.status);
      }
      if (!response.ok || !response.body) return;
      // With nothing to tell it is right as it is.
      if (this.resumes) this.become(true);
      await this.read(response.body);
    } finally {
      clearInterval(watch);
      controller.abort();
    }
  }

  async read(body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let [rest, data, id] = ['', [], this.lastId];
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      this.lastByte = Date.now();
      const lines = (rest + value).split(/\r?\n/);
      rest = lines.pop();
      for (const line of lines) {
        if (line.startsWith('data:')) data.push(line.slice(line[5] === ' ' ? 6 : 5));
        else if (line.startsWith('id:') && this.resumes) id = line.slice(3).trim();
        else if (line === '') {
          this.lastId = id;
          if (data.length > 0) this.on.document(JSON.parse(data.join('\n')));
          if (data.length > 0 || this.resumes) this.become(true);
          data = [];
        }
      }
    }
  }
}
