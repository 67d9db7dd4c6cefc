import type { Cell } from '@jupyterlab/cells';
import type { ICommandPalette } from '@jupyterlab/apputils';
import { NotebookActions, type INotebookTracker, type NotebookPanel } from '@jupyterlab/notebook';
import type { JupyterFrontEnd } from '@jupyterlab/application';

import { ACTION_ICONS } from './icons.js';
import { insertBelow } from './insertion.js';
import { LOAD, isLoaded, isPython } from './loading.js';
import { ACTIONS, canAsk, question, type Action } from './question.js';
import type { Runs } from './runs.js';
import type { ISettings } from './settings.js';
import type { Trans } from './trans.js';

interface ICommand {
  /** As schema/plugin.json names it in toolbar, menu and shortcuts. */
  id: string;
  label: string;
  caption: string;
}

function table(trans: Trans): Record<Action, ICommand> {
  return {
    route: {
      id: 'llmroute:route-cell',
      label: trans.__('Route This Cell'),
      caption: trans.__('Insert a question about this cell below; nothing is run')
    },
    explain: {
      id: 'llmroute:explain-cell',
      label: trans.__('Explain'),
      caption: trans.__('Insert a cell below that asks what this one does')
    },
    problems: {
      id: 'llmroute:find-problems',
      label: trans.__('Find Problems'),
      caption: trans.__('Insert a cell below that asks what is wrong with this one')
    },
    document: {
      id: 'llmroute:document-cell',
      label: trans.__('Document'),
      caption: trans.__('Insert a cell below that asks for docstrings and comments')
    },
    fix: {
      id: 'llmroute:fix-error',
      label: trans.__('Fix Error'),
      caption: trans.__('Insert a cell below that asks how to mend the error')
    }
  };
}

/** The commands that ask about the active cell. Each writes a cell, visible and to be changed, and runs nothing. */
export function addCellCommands(
  { commands }: JupyterFrontEnd,
  tracker: INotebookTracker,
  runs: Runs,
  settings: () => ISettings,
  palette: ICommandPalette | null,
  trans: Trans
): { update: () => void } {
  const active = (): { panel: NotebookPanel; cell: Cell } | null => {
    const { currentWidget: panel, activeCell: cell } = tracker;
    return panel && cell ? { panel, cell } : null;
  };
  const isPossible = (action: Action): boolean => {
    const at = active();
    return at !== null && canAsk(action, runs.asked(at.panel.content, at.cell));
  };
  const all = table(trans);
  for (const action of ACTIONS) {
    const { id, label, caption } = all[action];
    commands.addCommand(id, {
      label: args => (args.toolbar === true ? '' : label),
      caption: args => (args.toolbar === true ? `${label}: ${caption}` : caption),
      icon: args =>
        args.toolbar === true || action === 'route' ? ACTION_ICONS[action] : undefined,
      isVisible: args =>
        (args.toolbar !== true || settings().toolbarButtons[action]) &&
        (action !== 'fix' || isPossible(action)),
      isEnabled: () => {
        const panel = active()?.panel;
        const isWritable = panel?.content.model?.readOnly === false;
        return panel !== undefined && isWritable && isPython(panel) && isPossible(action);
      },
      execute: async () => {
        const at = active();
        if (at === null) {
          return;
        }
        const { panel, cell } = at;
        const about = runs.asked(panel.content, cell);
        // A command can be called where it is not enabled.
        if (!canAsk(action, about)) {
          return;
        }
        const asked = question(action, about, trans);
        // The one that loads the magics is run first, so it is the one that is selected.
        const first = (await isLoaded(panel, runs)) ? [] : [{ source: LOAD }];
        await insertBelow(panel.content, cell, [...first, asked]);
      }
    });
    palette?.addItem({ command: id, category: trans.__('LLM route') });
  }
  const update = (): void => {
    for (const { id } of Object.values(all)) {
      commands.notifyCommandChanged(id);
    }
  };
  tracker.activeCellChanged.connect(update);
  NotebookActions.executed.connect(update);
  return { update };
}
