/** A clock and a timer; a test brings its own. */
export interface IClock {
  now(): number;
  /** Run something in so many milliseconds; what comes back cancels it. */
  after(ms: number, run: () => void): () => void;
}

export const PAGE: IClock = {
  now: () => performance.now(),
  after: (ms, run) => {
    const timer = setTimeout(run, ms);
    return () => {
      clearTimeout(timer);
    };
  }
};
