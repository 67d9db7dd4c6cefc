import type { IClock } from '../src/clock.js';

/** A clock that stands still until told; drawing takes the time a test says. */
export class Clock implements IClock {
  time = 0;
  private timers: { at: number; run: () => void }[] = [];

  now(): number {
    return this.time;
  }

  after(ms: number, run: () => void): () => void {
    const timer = { at: this.time + ms, run };
    this.timers.push(timer);
    return () => {
      this.timers = this.timers.filter(one => one !== timer);
    };
  }

  get waiting(): number {
    return this.timers.length;
  }

  /** Let time go by, one millisecond after another. */
  async pass(ms: number): Promise<void> {
    for (const end = this.time + ms; this.time <= end; this.time++) {
      const due = this.timers.filter(one => one.at <= this.time);
      this.timers = this.timers.filter(one => one.at > this.time);
      due.forEach(one => {
        one.run();
      });
      await settle();
    }
    this.time--;
  }
}

/** Everything that waits on a promise gets its turn. */
export function settle(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve));
}
