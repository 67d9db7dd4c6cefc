/** The facts about an answer, as its notebook holds them. The text itself is the bundle's text/markdown. */
export const ANSWER_MIME = 'application/vnd.llmroute.answer.v1+json';

export const STATES = [
  'routing',
  'waiting',
  'streaming',
  'complete',
  'interrupted',
  'failed'
] as const;

export type State = (typeof STATES)[number];

export interface ITask {
  name: string;
  /** 0 to 1. */
  confidence: number | null;
  evidence: string[];
  /** Another task that is nearly as probable. */
  rival: string | null;
}

export interface IConsidered {
  model: string;
  service: string;
  verdict: string;
}

export interface IAttempt {
  model: string;
  service: string;
  error: string;
}

export interface IFacts {
  /** False: the JSON is not version 1, so nothing can be said from it. */
  readable: boolean;
  state: State | 'unknown';
  /** So many first lines of the markdown are the card that other viewers show. */
  cardLines: number;
  task: ITask | null;
  model: string | null;
  service: string | null;
  /** The name that the server gave itself in the answer. */
  answeredBy: string | null;
  reasons: string[];
  considered: IConsidered[];
  /** How many others were not chosen, besides those considered here. */
  more: number;
  /** How far the question had to fall back: "primary" where the model that was wanted first answers. */
  level: string | null;
  /** The same in words. */
  fallback: string | null;
  /** Why nothing comes yet, and for how long. */
  waiting: string | null;
  attempts: IAttempt[];
  /** References of what was sent. */
  context: string[];
  /** References of what did not fit the model's window. */
  leftOut: string[];
  /** What is to be known of how it was gathered, a sentence each. */
  remarks: string[];
  promptTokens: number | null;
  promptTokensExact: boolean;
  /** Tokens that the model serves, prompt and answer together. */
  contextWindow: number | null;
  /** True: nobody told it. */
  windowIsAssumed: boolean;
  completionTokens: number | null;
  timeToFirstTokenS: number | null;
  tokensPerSecond: number | null;
  elapsedS: number | null;
  finishReason: string | null;
  error: string | null;
  /** How many changes of project files the answer offers. */
  changes: number;
}

// A hostile notebook may hold millions of entries; a person reads a few dozen.
const MOST_ENTRIES = 100;
const MOST_CHARACTERS = 2000;

// No token count and no time in seconds comes near this; a figure beyond it was never measured.
const MOST_AMOUNT = 1e9;

type Fields = Record<string, unknown>;

/** Read what a notebook holds: any JSON at all, of any age, by anyone. Nothing here throws. */
export function readFacts(json: unknown): IFacts {
  const it = fields(json);
  return {
    readable: isObject(json) && (it.version === undefined || it.version === 1),
    state: STATES.find(known => known === it.state) ?? 'unknown',
    cardLines: count(it.card_lines) ?? 0,
    task: task(it.task),
    model: text(it.model),
    service: text(it.service),
    answeredBy: text(it.answered_by),
    reasons: texts(it.reasons),
    considered: entries(it.considered, one => ({
      model: text(one.model) ?? '?',
      service: text(one.service) ?? '?',
      verdict: text(one.verdict) ?? ''
    })),
    more: count(it.more) ?? 0,
    level: text(it.level),
    fallback: text(it.fallback),
    waiting: text(it.waiting),
    attempts: entries(it.attempts, one => ({
      model: text(one.model) ?? '?',
      service: text(one.service) ?? '?',
      error: text(one.error) ?? 'no error was recorded'
    })),
    context: texts(it.context),
    leftOut: texts(it.left_out),
    remarks: texts(it.remarks),
    promptTokens: count(it.prompt_tokens),
    promptTokensExact: it.prompt_tokens_exact === true,
    contextWindow: count(it.context_window),
    windowIsAssumed: it.window_is_assumed === true,
    completionTokens: count(it.completion_tokens),
    timeToFirstTokenS: amount(it.time_to_first_token_s),
    tokensPerSecond: amount(it.tokens_per_second),
    elapsedS: amount(it.elapsed_s),
    finishReason: text(it.finish_reason),
    error: text(it.error),
    changes: count(it.changes) ?? 0
  };
}

function task(value: unknown): ITask | null {
  const it = fields(value);
  const name = text(it.name);
  if (name === null) {
    return null;
  }
  const confidence = amount(it.confidence);
  return {
    name,
    confidence: confidence !== null && confidence <= 1 ? confidence : null,
    evidence: texts(it.evidence),
    rival: text(it.rival)
  };
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function fields(value: unknown): Fields {
  return isObject(value) ? value : {};
}

function text(value: unknown): string | null {
  if (typeof value !== 'string' || value.trim() === '') {
    return null;
  }
  return value.length > MOST_CHARACTERS ? `${value.slice(0, MOST_CHARACTERS)}…` : value;
}

function texts(value: unknown): string[] {
  return list(value)
    .map(text)
    .filter(one => one !== null);
}

function entries<T>(value: unknown, read: (one: Fields) => T): T[] {
  return list(value).filter(isObject).map(read);
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value.slice(0, MOST_ENTRIES) : [];
}

function amount(value: unknown): number | null {
  return typeof value === 'number' && value >= 0 && value <= MOST_AMOUNT ? value : null;
}

function count(value: unknown): number | null {
  return Number.isSafeInteger(value) ? amount(value) : null;
}
