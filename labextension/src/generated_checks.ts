// Made from jupyter_llmroute/server/shapes.py by `python -m tests.typescript_types`; not to be edited.

import { amount, fields, flag, list, oneOf, orNull, text } from './check.js';
import type {
  Check,
  Considered,
  Decision,
  Doctor,
  GuessedTask,
  NextUp,
  ServedModel,
  Service,
  Services
} from './generated.js';

/** Of the package that this page is of. */
export const VERSION = '0.1.0';

const isServedModel = fields<ServedModel>({
  id: text,
  name: text,
  loaded: orNull(flag),
  context_window: orNull(amount),
  window_is_assumed: flag,
  size_bytes: orNull(amount),
  is_usable: flag,
  why_not: orNull(text)
});

const isService = fields<Service>({
  name: text,
  product: text,
  url: text,
  healthy: flag,
  why_not: orNull(text),
  models: list(isServedModel)
});

export const isServices = fields<Services>({
  services: list(isService),
  looked_at: orNull(text),
  is_looking: flag,
  remarks: list(text)
});

const isTask = oneOf('coding', 'reasoning', 'analysis', 'documentation');

const isGuessedTask = fields<GuessedTask>({
  name: isTask,
  confidence: amount,
  evidence: list(text),
  rival: orNull(isTask)
});

const isConsidered = fields<Considered>({
  model: orNull(text),
  service: text,
  verdict: text
});

const isDecision = fields<Decision>({
  task: orNull(isGuessedTask),
  model: orNull(text),
  service: orNull(text),
  reasons: list(text),
  considered: list(isConsidered),
  remarks: list(text),
  error: orNull(text)
});

export const isNextUp = fields<NextUp>({
  tasks: fields<NextUp['tasks']>({
    coding: isDecision,
    reasoning: isDecision,
    analysis: isDecision,
    documentation: isDecision
  })
});

const isVerdict = oneOf('pass', 'warn', 'fail');

const isCheck = fields<Check>({
  id: text,
  title: text,
  verdict: isVerdict,
  evidence: text,
  remedy: text
});

export const isDoctor = fields<Doctor>({
  checks: list(isCheck),
  verdict: isVerdict
});
