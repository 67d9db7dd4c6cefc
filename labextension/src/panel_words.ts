import type { Check, Decision, Doctor, NextUp, ServedModel, Service, Task } from './generated.js';
import { AUTO, pinFor, pinOf, type Pins, type Scope } from './pins.js';
import type { ServerTrouble } from './trouble.js';
import { ENGLISH, type Trans } from './trans.js';
import { number, on } from './wording.js';

/** What the panel and the status bar say, in words; no page here. */

export const TASKS: readonly Task[] = ['coding', 'reasoning', 'analysis', 'documentation'];

export function scopeWords(scope: Scope, trans: Trans = ENGLISH): string {
  const words: Record<Scope, string> = {
    any: trans.__('All tasks'),
    coding: trans.__('Coding'),
    reasoning: trans.__('Reasoning'),
    analysis: trans.__('Analysis'),
    documentation: trans.__('Documentation')
  };
  return words[scope];
}

/** Why nothing can be shown, and what to do now. */
export function troubleWords(trouble: ServerTrouble, trans: Trans = ENGLISH): string[] {
  switch (trouble.kind) {
    case 'missing':
      return [
        trans.__('The Jupyter server has no extension "jupyter_llmroute".'),
        trans.__('Install it where JupyterLab runs: %1', 'python -m pip install jupyter-llmroute'),
        trans.__('Enable it: %1', 'jupyter server extension enable jupyter_llmroute'),
        trans.__('Then restart JupyterLab. Cells work without it.')
      ];
    case 'refused':
      return [
        trans.__('The Jupyter server refuses: %1', trouble.message),
        trans.__('Log in again, or ask who runs it for access to "jupyter_llmroute".')
      ];
    case 'unreachable':
      return [
        trans.__('The Jupyter server does not answer: %1', trouble.message),
        trans.__('See whether JupyterLab still runs; then refresh.')
      ];
    case 'slow':
      return [
        trans.__('The Jupyter server gave no answer to this within %1 s.', trouble.message),
        trans.__("Refresh; if it stays so, see the Jupyter server's log.")
      ];
    case 'unreadable':
      return [
        trans.__(
          'The server extension "jupyter_llmroute" gave an answer that cannot be read: %1',
          trouble.message
        ),
        trans.__("Refresh; if it stays so, see the Jupyter server's log.")
      ];
    case 'version':
      return [
        trouble.message === ''
          ? trans.__(
              'The server extension "jupyter_llmroute" is of another version than this page.'
            )
          : trans.__(
              'The server extension "jupyter_llmroute" is of another version (%1) than this page.',
              trouble.message
            ),
        trans.__('Reload the page; if it stays so, update jupyter-llmroute and restart JupyterLab.')
      ];
    case 'failed':
      return [trouble.message, trans.__("Refresh; if it stays so, see the Jupyter server's log.")];
  }
}

/** What a task would use now. */
export function decisionWords(decision: Decision, trans: Trans = ENGLISH): string {
  return decision.model === null
    ? (decision.error ?? trans.__('No model can answer.'))
    : on(decision.model, decision.service, trans);
}

/** Whether a pin is wanted and somebody else would answer. */
export function isPassedOver(decision: Decision, pins: Pins, task: Task): boolean {
  const pin = pinFor(pins, task);
  if (pin === null || pin === AUTO || decision.model === null) {
    return false;
  }
  return pin !== decision.model && pin !== pinOf(decision.model, decision.service ?? '');
}

export interface IChoice {
  /** A pin; empty for none. */
  value: string;
  label: string;
}

/** What a picker offers: none, each model that may be asked, and the pinned one where it is not among them. */
export function choices(
  services: readonly Service[],
  scope: Scope,
  pins: Pins,
  trans: Trans = ENGLISH
): IChoice[] {
  const pin = pins[scope] ?? null;
  const offered = services.flatMap(service =>
    service.models
      .filter(model => model.is_usable)
      .map(model => ({
        value: pinOf(model.id, service.name),
        label: on(model.name, service.name, trans)
      }))
  );
  const automatic = { value: '', label: trans.__('Automatic') };
  // Where one is pinned for all tasks, a task of its own can be left to the router all the same.
  const unpinned =
    scope === 'any' || (pins.any === undefined && pin !== AUTO)
      ? [automatic]
      : [
          { value: '', label: trans.__('As for all tasks') },
          { ...automatic, value: AUTO }
        ];
  const known = [...unpinned, ...offered];
  const isMissing = pin !== null && !known.some(one => one.value === pin);
  return isMissing
    ? [...known, { value: pin, label: trans.__('%1 (not available now)', pin) }]
    : known;
}

export function modelCells(model: ServedModel, trans: Trans = ENGLISH): string[] {
  return [model.name, loadedWords(model, trans), windowWords(model, trans), sizeWords(model)];
}

function loadedWords({ loaded }: ServedModel, trans: Trans): string {
  if (loaded === null) {
    return trans.__('not told');
  }
  return loaded ? trans.__('yes') : trans.__('no');
}

function windowWords(model: ServedModel, trans: Trans): string {
  if (model.context_window === null) {
    return trans.__('not told');
  }
  const window = number(model.context_window);
  return model.window_is_assumed ? trans.__('%1, assumed', window) : window;
}

const UNITS: [bytes: number, unit: string][] = [
  [1e9, 'GB'],
  [1e6, 'MB'],
  [1e3, 'kB']
];

export function sizeWords({ size_bytes: bytes }: ServedModel): string {
  if (bytes === null) {
    return '–';
  }
  const [step, unit] = UNITS.find(([least]) => bytes >= least) ?? [1, 'B'];
  const many = bytes / step;
  return `${many < 10 && step > 1 ? many.toFixed(1) : number(Math.round(many))}\u00a0${unit}`;
}

/** How a server is. */
export function healthWords(service: Service, trans: Trans = ENGLISH): string {
  if (!service.healthy) {
    return trans.__('not available');
  }
  const many = service.models.length;
  return many === 0
    ? trans.__('well, and has no model')
    : trans._n('well, %1 model', 'well, %1 models', many);
}

/** What the doctor warns of, the worst first. */
export function warnings(doctor: Doctor): Check[] {
  const of = (verdict: Check['verdict']): Check[] =>
    doctor.checks.filter(check => check.verdict === verdict);
  return [...of('fail'), ...of('warn')];
}

export function allWellWords(doctor: Doctor, trans: Trans = ENGLISH): string {
  return trans._n('%1 check, and it passes.', '%1 checks, and all pass.', doctor.checks.length);
}

export interface IStatus {
  text: string;
  title: string;
  tone: 'ready' | 'busy' | 'none';
}

/** What the status bar says: who is answering, or else who would. Null where there is nothing to say. */
export function statusWords(
  next: NextUp | null,
  busy: string | null,
  trouble: ServerTrouble | null = null,
  trans: Trans = ENGLISH
): IStatus | null {
  if (busy !== null) {
    return { text: trans.__('%1 is answering', busy), title: busy, tone: 'busy' };
  }
  if (trouble?.kind === 'missing' || (trouble === null && next === null)) {
    return null;
  }
  if (trouble !== null || next === null) {
    const title = trouble === null ? '' : troubleWords(trouble, trans).join('\n');
    return { text: trans.__('Model not known'), title, tone: 'none' };
  }
  const models = new Set(TASKS.map(task => next.tasks[task].model).filter(model => model !== null));
  const title = TASKS.map(task =>
    trans.__('%1: %2', scopeWords(task, trans), decisionWords(next.tasks[task], trans))
  ).join('\n');
  const [first, ...others] = models;
  if (first === undefined) {
    return { text: trans.__('No model'), title, tone: 'none' };
  }
  const text = others.length === 0 ? first : trans.__('%1 and %2 more', first, others.length);
  return { text, title, tone: 'ready' };
}
