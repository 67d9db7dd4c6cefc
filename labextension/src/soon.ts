import { PAGE, type IClock } from './clock.js';

/** Runs something soon after it is called, once for all calls of that while. */
export class Soon {
  constructor(
    private readonly run: () => void,
    private readonly ms: number,
    private readonly clock: IClock = PAGE
  ) {}

  readonly call = (): void => {
    this.stop ??= this.clock.after(this.ms, () => {
      this.stop = null;
      this.run();
    });
  };

  dispose(): void {
    this.stop?.();
    this.stop = null;
  }

  private stop: (() => void) | null = null;
}
