import { PAGE, type IClock } from './clock.js';

// Of five equal parts of the page's time, drawing gets one.
const REST_PER_WORK = 4;

/**
 * Draws the newest text, at most about a fifth of the time.
 *
 * Markdown is rendered from its start each time, so a long answer gets dearer with every token. Texts that come
 * while one is drawn, or too soon after, are passed over; the newest is always drawn in the end.
 */
export class Pace {
  constructor(
    private readonly draw: (text: string) => Promise<void>,
    private readonly clock: IClock = PAGE
  ) {}

  /** Draw this text when its turn comes. */
  soon(text: string): void {
    this.wanted = text;
    this.schedule();
  }

  /** Draw this text at once: it is the last one. Settles when it is on the page. */
  async now(text: string): Promise<void> {
    this.wanted = text;
    this.cancel();
    await this.take();
  }

  /** Draw nothing more. */
  dispose(): void {
    this.disposed = true;
    this.cancel();
  }

  private schedule(): void {
    if (this.disposed || this.wanted === null || this.drawing > 0 || this.stop !== null) {
      return;
    }
    this.stop = this.clock.after(Math.max(0, this.notBefore - this.clock.now()), () => {
      this.stop = null;
      this.take().catch(console.error);
    });
  }

  private cancel(): void {
    this.stop?.();
    this.stop = null;
  }

  /** Draw what is wanted, after what is being drawn: an older text never lands on a newer one. */
  private take(): Promise<void> {
    this.drawing++;
    const before = this.turn;
    const mine = before.then(() => this.drawWanted());
    // The caller hears of a failure; the next turn comes all the same.
    this.turn = mine
      .catch(() => undefined)
      .then(() => {
        this.drawing--;
        this.schedule();
      });
    return mine;
  }

  private async drawWanted(): Promise<void> {
    const text = this.wanted;
    this.wanted = null;
    if (this.disposed || text === null || text === this.drawn) {
      return;
    }
    const start = this.clock.now();
    try {
      await this.draw(text);
      this.drawn = text;
    } finally {
      const end = this.clock.now();
      this.notBefore = end + REST_PER_WORK * (end - start);
    }
  }

  private wanted: string | null = null;
  private drawn: string | null = null;
  private drawing = 0;
  private notBefore = 0;
  private disposed = false;
  private stop: (() => void) | null = null;
  private turn: Promise<void> = Promise.resolve();
}
