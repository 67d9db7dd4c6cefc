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
