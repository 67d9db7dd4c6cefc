import { ANSWER_MIME, readFacts, type IFacts } from './facts.js';
import { isBusy } from './wording.js';

/** A code cell, as far as its answers go. */
export interface IAnswered {
  /** Its id. */
  cell: string;
  /** The mime bundles of its outputs. */
  bundles: readonly Record<string, unknown>[];
  number: number | null;
  isRunning: boolean;
}

export interface ILastRoute {
  cell: string;
  facts: IFacts;
  number: number | null;
  isRunning: boolean;
}

/** Whether more of an answer can come; "unknown" where its cell does not run, and a button may have asked again. */
export type Life = 'running' | 'unknown' | 'over';

/** A cell that ran has its number; one without was saved while it ran, and is not what keeps the kernel busy. */
export function lifeOf(
  { isRunning, number }: Pick<IAnswered, 'isRunning' | 'number'>,
  isKernelBusy: boolean
): Life {
  if (isRunning) {
    return 'running';
  }
  return isKernelBusy && number !== null ? 'unknown' : 'over';
}

/** Which of a notebook's answers came last, from one look at it to the next: numbers begin anew with the kernel. */
export class LastRun {
  /** Look at all cells; gives the id of the one whose answer came last while somebody looked, if any. */
  among(cells: readonly IAnswered[]): string | null {
    const answers = cells.filter(({ bundles }) => bundles.some(bundle => ANSWER_MIME in bundle));
    const before = this.numbers;
    this.numbers = new Map(answers.map(({ cell, number }) => [cell, number]));
    // The first answers to be seen came before.
    if (before.size > 0) {
      const came = answers.filter(
        ({ cell, number }) => number !== null && before.get(cell) !== number
      );
      this.last = came.at(-1)?.cell ?? this.last;
    }
    return this.last;
  }

  private numbers: ReadonlyMap<string, number | null> = new Map();
  private last: string | null = null;
}

/** The newest answer: one that is coming, else that of the cell that ran last, else that with the highest number. */
export function lastRoute(
  cells: Iterable<IAnswered>,
  ranLast: string | null = null
): ILastRoute | null {
  const age = (route: ILastRoute): number =>
    isComing(route) ? Infinity : route.cell === ranLast ? Number.MAX_VALUE : (route.number ?? -1);
  let newest: ILastRoute | null = null;
  for (const { cell, bundles, number, isRunning } of cells) {
    for (const bundle of bundles) {
      const facts = ANSWER_MIME in bundle ? readFacts(bundle[ANSWER_MIME]) : null;
      if (facts?.readable === true) {
        const found = { cell, facts, number, isRunning };
        newest = newest === null || age(found) >= age(newest) ? found : newest;
      }
    }
  }
  return newest;
}

/** Whether an answer is coming right now; what was saved in the middle of one is not. */
export function isComing(route: ILastRoute | null): boolean {
  return route?.isRunning === true && isBusy(route.facts);
}
