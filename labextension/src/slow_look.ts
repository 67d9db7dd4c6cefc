import { Poll } from '@lumino/polling';

const SLOW_MS = 60_000;

/** Looks again now and then, while it is needed: for what is seen at the edge of the eye. */
export class SlowLook {
  constructor(look: () => void, isNeeded: () => boolean) {
    this.poll = new Poll<undefined, Error>({
      name: 'jupyter-llmroute:slow-look',
      factory: () => {
        look();
        return Promise.resolve(undefined);
      },
      frequency: frequency(SLOW_MS),
      standby: () => !isNeeded()
    });
  }

  /** No more often than the user wants. */
  set everyMs(ms: number) {
    this.poll.frequency = frequency(ms);
  }

  dispose(): void {
    this.poll.dispose();
  }

  private readonly poll: Poll<undefined, Error>;
}

function frequency(ms: number): Poll['frequency'] {
  const interval = Math.max(SLOW_MS, ms);
  return { interval, max: interval, backoff: false };
}
