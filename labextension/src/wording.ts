import type { IFacts } from './facts.js';
import { ENGLISH, type Trans } from './trans.js';

/**
 * What the card says, in words; no page here.
 *
 * `jupyter_llmroute/wording.py` says the same to everybody else; tests/words.json holds both to it.
 */

export function stateWords(state: IFacts['state'], trans: Trans = ENGLISH): string {
  const words: Record<IFacts['state'], string> = {
    routing: trans.__('Choosing a model'),
    waiting: trans.__('Waiting for the first token'),
    streaming: trans.__('Answering'),
    complete: trans.__('Complete'),
    interrupted: trans.__('Interrupted'),
    failed: trans.__('Failed'),
    unknown: trans.__('State not recorded')
  };
  return words[state];
}

/** True while more of the answer is to come. */
export function isBusy(facts: IFacts): boolean {
  return ['routing', 'waiting', 'streaming'].includes(facts.state);
}

export interface INotice {
  tone: 'error' | 'warning';
  lines: string[];
}

/** What must be seen without opening anything: an answer cut short, a failure, a fallback. */
export function notice(facts: IFacts, trans: Trans = ENGLISH): INotice | null {
  const lines = [facts.fallback ?? failedBefore(facts, trans), ...ending(facts, trans)].filter(
    line => line !== null
  );
  if (lines.length === 0) {
    return null;
  }
  return { tone: facts.state === 'failed' ? 'error' : 'warning', lines };
}

function failedBefore(facts: IFacts, trans: Trans): string | null {
  const failed = facts.attempts.map(one => on(one.model, one.service, trans));
  if (failed.length === 0) {
    return null;
  }
  const which = failed.slice(0, 3).join(', ') + (failed.length > 3 ? ', …' : '');
  return facts.state === 'failed'
    ? trans._n('%1 attempt failed: %2.', '%1 attempts failed: %2.', failed.length, which)
    : trans._n(
        '%1 attempt failed before this one: %2.',
        '%1 attempts failed before this one: %2.',
        failed.length,
        which
      );
}

function ending(facts: IFacts, trans: Trans): (string | null)[] {
  if (facts.state === 'failed') {
    const unknown = trans.__('No model answered, and no error was recorded. Run the cell again.');
    return [facts.error ?? unknown];
  }
  if (facts.state === 'interrupted') {
    return [trans.__('The answer is not complete.'), facts.error];
  }
  const isCut = facts.finishReason === 'length';
  return [
    isCut ? trans.__('The answer was cut: it reached its limit of tokens.') : null,
    facts.error
  ];
}

/** What the closed part of the card is called. */
export function whyWords(facts: IFacts, trans: Trans = ENGLISH): string {
  return facts.state === 'failed' ? trans.__('Why no model answered') : trans.__('Why this model');
}

/** The figures at the right of the head line. */
export function figures(facts: IFacts, trans: Trans = ENGLISH): string[] {
  const { timeToFirstTokenS, tokensPerSecond } = facts;
  return [
    isBusy(facts) ? facts.waiting : null,
    sent(facts, trans),
    timeToFirstTokenS === null ? null : trans.__('first token %1', seconds(timeToFirstTokenS)),
    tokensPerSecond === null ? null : trans.__('%1 tokens/s', rate(tokensPerSecond))
  ].filter(one => one !== null);
}

/** How long the answer is and how long it took; not in the head line, for room's sake. */
export function length(facts: IFacts, trans: Trans = ENGLISH): string | null {
  const { completionTokens, elapsedS } = facts;
  const tokens = completionTokens === null ? null : tokenWords(completionTokens, trans);
  const time = elapsedS === null ? null : seconds(elapsedS);
  if (tokens !== null && time !== null) {
    return trans.__('%1 in %2', tokens, time);
  }
  return tokens ?? time;
}

/** The name of who answered, where it is not the model that was asked. */
export function otherName(facts: IFacts): string | null {
  return facts.answeredBy === facts.model ? null : facts.answeredBy;
}

/** How many others there are besides those in the table. */
export function andMore(facts: IFacts, trans: Trans = ENGLISH): string | null {
  return facts.more === 0 ? null : trans.__('and %1 more', number(facts.more));
}

/** What went along with the question, at the end what did not fit, and what is to be known of it. */
export function sentAlong(facts: IFacts, trans: Trans = ENGLISH): string[] {
  const { context, leftOut, remarks } = facts;
  const missing = leftOut.length === 0 ? [] : [trans.__('Left out: %1', leftOut.join(', '))];
  return [...context, ...missing, ...remarks];
}

/** The task that the question was taken for, and how surely. */
export function taskWords(task: NonNullable<IFacts['task']>, trans: Trans = ENGLISH): string {
  const sure = task.confidence === null ? '' : ` ${percent(task.confidence)}`;
  const rival = task.rival === null ? '' : trans.__(', %1 nearly as likely', task.rival);
  return `${task.name}${sure}${rival}`;
}

/** What a screen reader calls the whole card. */
export function label(facts: IFacts, trans: Trans = ENGLISH): string {
  return facts.model === null
    ? trans.__('Answer')
    : trans.__('Answer of %1', on(facts.model, facts.service, trans));
}

export function on(model: string, service: string | null, trans: Trans = ENGLISH): string {
  return service === null ? model : trans.__('%1 on %2', model, service);
}

export function percent(share: number): string {
  // What is nearly certain is not called certain.
  return `${share === 1 ? 100 : Math.min(99, Math.round(share * 100))} %`;
}

export function seconds(value: number): string {
  if (value < 10) {
    return `${value.toFixed(2)} s`;
  }
  if (value < 100) {
    return `${value.toFixed(1)} s`;
  }
  const whole = Math.round(value);
  return `${number(Math.floor(whole / 60))} min ${whole % 60} s`;
}

export function number(value: number): string {
  return value.toLocaleString('en-US');
}

function sent(facts: IFacts, trans: Trans): string | null {
  const { promptTokens, contextWindow } = facts;
  if (promptTokens === null || promptTokens === 0) {
    return null;
  }
  const about = facts.promptTokensExact ? '' : trans.__('about ');
  if (contextWindow === null) {
    return about + trans.__('%1 sent', tokenWords(promptTokens, trans));
  }
  const [many, window] = [number(promptTokens), tokenWords(contextWindow, trans)];
  return (
    about +
    (facts.windowIsAssumed
      ? trans.__('%1 of an assumed %2 sent', many, window)
      : trans.__('%1 of %2 sent', many, window))
  );
}

function rate(value: number): string {
  return value < 10 ? value.toFixed(1) : number(Math.round(value));
}

function tokenWords(many: number, trans: Trans): string {
  return trans._n('%2 token', '%2 tokens', many, number(many));
}
