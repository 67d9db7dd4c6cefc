import { ACTIONS, type Action } from './question.js';

/** What the user sets in Lab's settings editor; schema/plugin.json says what each means. */
export interface ISettings {
  pollSeconds: number;
  toolbarButtons: Readonly<Record<Action, boolean>>;
  codeButtons: boolean;
  statusBar: boolean;
  openLastRoute: boolean;
}

export const DEFAULTS: ISettings = {
  pollSeconds: 30,
  toolbarButtons: { route: true, explain: false, problems: false, document: false, fix: true },
  codeButtons: true,
  statusBar: true,
  openLastRoute: true
};

// Nobody wants the servers to be asked ten times a second.
const LEAST_SECONDS = 2;

/** Read settings as the registry holds them; what is of another kind is the default. */
export function readSettings(composite: Record<string, unknown>): ISettings {
  const { pollSeconds: pause, toolbarButtons: buttons } = composite;
  return {
    pollSeconds: typeof pause === 'number' ? atLeast(pause) : DEFAULTS.pollSeconds,
    toolbarButtons: flags(buttons),
    codeButtons: flag(composite.codeButtons, DEFAULTS.codeButtons),
    statusBar: flag(composite.statusBar, DEFAULTS.statusBar),
    openLastRoute: flag(composite.openLastRoute, DEFAULTS.openLastRoute)
  };
}

function atLeast(pause: number): number {
  return pause > 0 ? Math.max(LEAST_SECONDS, pause) : 0;
}

function flags(value: unknown): Record<Action, boolean> {
  const held = typeof value === 'object' && value !== null ? value : {};
  const said = new Map<string, unknown>(Object.entries(held));
  return Object.fromEntries(
    ACTIONS.map(action => [action, flag(said.get(action), DEFAULTS.toolbarButtons[action])])
  ) as Record<Action, boolean>;
}

function flag(value: unknown, otherwise: boolean): boolean {
  return typeof value === 'boolean' ? value : otherwise;
}
