import { ANSWER_MIME, readFacts, type IFacts } from './facts.js';
import { isBusy } from './wording.js';

/** A code cell, as far as its answers go. */
export interface IAnswered {
  /** The mime bundles of its outputs. */
  bundles: Iterable<Record<string, unknown>>;
  number: number | null;
  isRunning: boolean;
}

export interface ILastRoute {
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

/** The newest answer among a notebook's cells: one that is coming, else that with the highest number. */
export function lastRoute(cells: Iterable<IAnswered>): ILastRoute | null {
  let newest: ILastRoute | null = null;
  for (const { bundles, number, isRunning } of cells) {
    for (const bundle of bundles) {
      const facts = ANSWER_MIME in bundle ? readFacts(bundle[ANSWER_MIME]) : null;
      if (facts?.readable === true) {
        const found = { facts, number, isRunning };
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

function age(route: ILastRoute): number {
  return isComing(route) ? Infinity : (route.number ?? -1);
}
