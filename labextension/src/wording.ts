import type { IFacts } from './facts.js';

/**
 * What the card says, in words; no page here.
 *
 * `jupyter_llmroute/wording.py` says the same to everybody else; tests/words.json holds both to it.
 */

export const STATE_WORDS: Record<IFacts['state'], string> = {
  routing: 'Choosing a model',
  waiting: 'Waiting for the first token',
  streaming: 'Answering',
  complete: 'Complete',
  interrupted: 'Interrupted',
  failed: 'Failed',
  unknown: 'State not recorded'
};

/** True while more of the answer is to come. */
export function isBusy(facts: IFacts): boolean {
  return ['routing', 'waiting', 'streaming'].includes(facts.state);
}

export interface INotice {
  tone: 'error' | 'warning';
  lines: string[];
}

/** What must be seen without opening anything: an answer cut short, a failure, a fallback. */
export function notice(facts: IFacts): INotice | null {
  const lines = [facts.fallback ?? failedBefore(facts), ...ending(facts)].filter(
    line => line !== null
  );
  if (lines.length === 0) {
    return null;
  }
  return { tone: facts.state === 'failed' ? 'error' : 'warning', lines };
}

function failedBefore(facts: IFacts): string | null {
  const failed = facts.attempts.map(one => on(one.model, one.service));
  if (failed.length === 0) {
    return null;
  }
  const which = failed.slice(0, 3).join(', ') + (failed.length > 3 ? ', …' : '');
  const what = plural(failed.length, 'attempt') + ' failed';
  return facts.state === 'failed' ? `${what}: ${which}.` : `${what} before this one: ${which}.`;
}

function ending(facts: IFacts): (string | null)[] {
  if (facts.state === 'failed') {
    return [facts.error ?? 'No model answered, and no error was recorded. Run the cell again.'];
  }
  if (facts.state === 'interrupted') {
    return ['The answer is not complete.', facts.error];
  }
  const isCut = facts.finishReason === 'length';
  return [isCut ? 'The answer was cut: it reached its limit of tokens.' : null, facts.error];
}

/** What the closed part of the card is called. */
export function whyWords(facts: IFacts): string {
  return facts.state === 'failed' ? 'Why no model answered' : 'Why this model';
}

/** The figures at the right of the head line. */
export function figures(facts: IFacts): string[] {
  const { timeToFirstTokenS, tokensPerSecond } = facts;
  return [
    isBusy(facts) ? facts.waiting : null,
    sent(facts),
    timeToFirstTokenS === null ? null : `first token ${seconds(timeToFirstTokenS)}`,
    tokensPerSecond === null ? null : `${rate(tokensPerSecond)} tokens/s`
  ].filter(one => one !== null);
}

/** How long the answer is and how long it took; not in the head line, for room's sake. */
export function length(facts: IFacts): string | null {
  const { completionTokens, elapsedS } = facts;
  const tokens = completionTokens === null ? null : plural(completionTokens, 'token');
  const time = elapsedS === null ? null : seconds(elapsedS);
  if (tokens !== null && time !== null) {
    return `${tokens} in ${time}`;
  }
  return tokens ?? time;
}

/** The name of who answered, where it is not the model that was asked. */
export function otherName(facts: IFacts): string | null {
  return facts.answeredBy === facts.model ? null : facts.answeredBy;
}

/** How many others there are besides those in the table. */
export function andMore(facts: IFacts): string | null {
  return facts.more === 0 ? null : `and ${number(facts.more)} more`;
}

/** What went along with the question, at the end what did not fit, and what is to be known of it. */
export function sentAlong(facts: IFacts): string[] {
  const { context, leftOut, remarks } = facts;
  const missing = leftOut.length === 0 ? [] : [`Left out: ${leftOut.join(', ')}`];
  return [...context, ...missing, ...remarks];
}

/** What a screen reader calls the whole card. */
export function label(facts: IFacts): string {
  return facts.model === null ? 'Answer' : `Answer of ${on(facts.model, facts.service)}`;
}

export function on(model: string, service: string | null): string {
  return service === null ? model : `${model} on ${service}`;
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

function sent(facts: IFacts): string | null {
  const { promptTokens, contextWindow } = facts;
  if (promptTokens === null || promptTokens === 0) {
    return null;
  }
  const about = facts.promptTokensExact ? '' : 'about ';
  if (contextWindow === null) {
    return `${about}${plural(promptTokens, 'token')} sent`;
  }
  const assumed = facts.windowIsAssumed ? 'an assumed ' : '';
  return `${about}${number(promptTokens)} of ${assumed}${plural(contextWindow, 'token')} sent`;
}

function rate(value: number): string {
  return value < 10 ? value.toFixed(1) : number(Math.round(value));
}

function plural(many: number, noun: string): string {
  return `${number(many)} ${noun}${many === 1 ? '' : 's'}`;
}

function number(value: number): string {
  return value.toLocaleString('en-US');
}
