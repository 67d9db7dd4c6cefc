// Made from jupyter_llmroute/server/shapes.py by `python -m tests.typescript_types`; not to be edited.

/** The newest records of the audit log, the oldest first. */
export interface AuditTail {
  records: Record<string, unknown>[];
  /** Whether there is a log. */
  is_kept: boolean;
}

/** Settings to change for as long as the Jupyter server runs. */
export interface ChangedSettings {
  /** New values by their names with dots; null takes a change back. */
  settings: Record<string, unknown>;
}

/** What is asked. */
export interface ChatQuestion {
  question: string;
  /** The task where the user names it. */
  task?: Task | null;
  /** Only this model. */
  model?: string | null;
  pins?: Partial<Record<'any' | 'coding' | 'reasoning' | 'analysis' | 'documentation', string>>;
  /** What was said before, the oldest first. */
  messages?: Said[];
}

/** One item of the doctor's checklist. */
export interface Check {
  id: string;
  title: string;
  verdict: Verdict;
  evidence: string;
  /** What to do; empty where nothing is to be done. */
  remedy: string;
}

/** Who else was looked at, and what came of it. */
export interface Considered {
  /** Null where the whole server was left out. */
  model: string | null;
  service: string;
  verdict: string;
}

/** Who would answer, and why. */
export interface Decision {
  /** Null where nothing could be decided. */
  task: GuessedTask | null;
  model: string | null;
  service: string | null;
  reasons: string[];
  considered: Considered[];
  /** What the user should know, such as why a pinned model does not answer. */
  remarks: string[];
  /** Why nobody would. */
  error: string | null;
}

/** The checklist of a closed network. */
export interface Doctor {
  checks: Check[];
  /** The worst of all. */
  verdict: Verdict;
}

/** Why a request came to nothing. */
export interface Failure {
  message: string;
  reason: string | null;
}

/** What OpenAI answers where it fails. */
export interface GatewayFailure {
  error: GatewayProblem;
}

/** A model as OpenAI lists it. */
export interface GatewayModel {
  id: string;
  object: 'model';
  created: number;
  owned_by: string;
}

/** The list of models. */
export interface GatewayModels {
  object: 'list';
  data: GatewayModel[];
}

/** OpenAI's error. */
export interface GatewayProblem {
  message: string;
  type: string;
  param: string | null;
  code: string | null;
}

/** What a question was taken for. */
export interface GuessedTask {
  name: Task;
  /** From 0 to 1. */
  confidence: number;
  evidence: string[];
  /** Another task that is nearly as probable. */
  rival: Task | null;
}

/** The models of all servers. */
export interface Models {
  models: OfferedModel[];
}

/** Who each task would use now. */
export interface NextUp {
  tasks: Record<Task, Decision>;
}

/** A model with the server that serves it. */
export interface OfferedModel {
  /** What requests must name it. */
  id: string;
  /** What is shown. */
  name: string;
  /** Whether it is in memory; null where the server does not tell. */
  loaded: boolean | null;
  /** Tokens that it serves. */
  context_window: number | null;
  window_is_assumed: boolean;
  size_bytes: number | null;
  /** Whether it may be asked now. */
  is_usable: boolean;
  /** What stands in the way. */
  why_not: string | null;
  service: string;
}

/** What would be asked. */
export interface Question {
  question: string;
  /** The task where the user names it. */
  task?: Task | null;
  /** Only this model. */
  model?: string | null;
  pins?: Partial<Record<'any' | 'coding' | 'reasoning' | 'analysis' | 'documentation', string>>;
}

/** One message of an earlier conversation. */
export interface Said {
  role: 'system' | 'user' | 'assistant';
  content: string;
}

/** A model on one server. */
export interface ServedModel {
  /** What requests must name it. */
  id: string;
  /** What is shown. */
  name: string;
  /** Whether it is in memory; null where the server does not tell. */
  loaded: boolean | null;
  /** Tokens that it serves. */
  context_window: number | null;
  window_is_assumed: boolean;
  size_bytes: number | null;
  /** Whether it may be asked now. */
  is_usable: boolean;
  /** What stands in the way. */
  why_not: string | null;
}

/** A server as it was last seen. */
export interface Service {
  name: string;
  /** What it says it is, such as "Ollama". */
  product: string;
  /** Its address, without a password; empty for the built-in one. */
  url: string;
  healthy: boolean;
  why_not: string | null;
  models: ServedModel[];
}

/** All servers that are known. */
export interface Services {
  services: Service[];
  /** When they were last looked at. */
  looked_at: string | null;
  /** Whether a look is going on now. */
  is_looking: boolean;
  /** What the user should know, such as that the policy is open. */
  remarks: string[];
}

/** The settings that hold in the Jupyter server, without secrets. */
export interface ShownSettings {
  /** The settings file that was read. */
  file: string | null;
  settings: Record<string, unknown>;
  /** Who says what a setting is, by its name with dots; what is not here is a default. */
  origins: Record<string, string>;
  /** Names that PUT takes; a section stands for all in it. */
  may_set: string[];
}

/** What the wanted result of a question is. */
export type Task = 'coding' | 'reasoning' | 'analysis' | 'documentation';

/** How a check ended. */
export type Verdict = 'pass' | 'warn' | 'fail';
