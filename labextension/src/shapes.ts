import { amount, fields, flag, list, oneOf, orNull, text } from './check.js';
import type {
  Check as DoctorCheck,
  Considered,
  Decision,
  Doctor,
  GuessedTask,
  NextUp,
  ServedModel,
  Service,
  Services
} from './generated.js';

/** What the server extension answers here, as generated.ts has it: the compiler holds each of these to it. */

const task = oneOf('coding', 'reasoning', 'analysis', 'documentation');
const verdict = oneOf('pass', 'warn', 'fail');

const servedModel = fields<ServedModel>({
  id: text,
  name: text,
  loaded: orNull(flag),
  context_window: orNull(amount),
  window_is_assumed: flag,
  size_bytes: orNull(amount),
  is_usable: flag,
  why_not: orNull(text)
});

const service = fields<Service>({
  name: text,
  product: text,
  url: text,
  healthy: flag,
  why_not: orNull(text),
  models: list(servedModel)
});

export const isServices = fields<Services>({
  services: list(service),
  looked_at: orNull(text),
  is_looking: flag,
  remarks: list(text)
});

const decision = fields<Decision>({
  task: orNull(
    fields<GuessedTask>({
      name: task,
      confidence: amount,
      evidence: list(text),
      rival: orNull(task)
    })
  ),
  model: orNull(text),
  service: orNull(text),
  reasons: list(text),
  considered: list(fields<Considered>({ model: orNull(text), service: text, verdict: text })),
  remarks: list(text),
  error: orNull(text)
});

export const isNextUp = fields<NextUp>({
  tasks: fields<NextUp['tasks']>({
    coding: decision,
    reasoning: decision,
    analysis: decision,
    documentation: decision
  })
});

export const isDoctor = fields<Doctor>({
  checks: list(
    fields<DoctorCheck>({ id: text, title: text, verdict, evidence: text, remedy: text })
  ),
  verdict
});

const isApiDescription = fields<{ info: { version: string } }>({
  info: fields<{ version: string }>({ version: text })
});

/** The version of the server extension, as it describes itself; empty where it does not say. */
export function versionOf(description: unknown): string {
  return isApiDescription(description) ? description.info.version : '';
}
