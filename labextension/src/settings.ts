import { ACTIONS, type Action } from './question.js';

/** What the user sets in Lab's settings editor; schema/plugin.json says what each means. */
export interface ISettings {
  pollSeconds: number;
  toolbarButtons: readonly Action[];
  codeButtons: boolean;
  statusBar: boolean;
  openLastRoute: boolean;
}

export const DEFAULTS: ISettings = {
  pollSeconds: 30,
  toolbarButtons: ['route', 'fix'],
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
    toolbarButtons: Array.isArray(buttons)
      ? ACTIONS.filter(action => buttons.includes(action))
      : DEFAULTS.toolbarButtons,
    codeButtons: flag(composite.codeButtons, DEFAULTS.codeButtons),
    statusBar: flag(composite.statusBar, DEFAULTS.statusBar),
    openLastRoute: flag(composite.openLastRoute, DEFAULTS.openLastRoute)
  };
}

function atLeast(pause: number): number {
  return pause > 0 ? Math.max(LEAST_SECONDS, pause) : 0;
}

function flag(value: unknown, otherwise: boolean): boolean {
  return typeof value === 'boolean' ? value : otherwise;
}
