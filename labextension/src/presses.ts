import { PAGE, type IClock } from './clock.js';
import type { Pressed, Write } from './write_request.js';

/** How long a press waits for the kernel to ask. A browser lets a page copy for about so long after a press. */
export const WAIT_MS: Record<Write, number> = { below: 60_000, replace: 60_000, copy: 5000 };

/** Presses of buttons that have a cell written: each is good for one cell. */
export class Presses {
  constructor(private readonly clock: IClock = PAGE) {}

  note(cell: string, write: Write): void {
    this.times.set(key(cell, write), this.clock.now());
  }

  /** Use a press up. */
  take(cell: string, write: Write): Pressed {
    const at = this.times.get(key(cell, write));
    this.times.delete(key(cell, write));
    if (at === undefined) {
      return 'never';
    }
    return this.clock.now() - at <= WAIT_MS[write] ? 'now' : 'late';
  }

  private readonly times = new Map<string, number>();
}

function key(cell: string, write: Write): string {
  return `${write} ${cell}`;
}
