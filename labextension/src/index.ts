import {
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { INotebookTracker } from '@jupyterlab/notebook';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStatusBar } from '@jupyterlab/statusbar';
import { ITranslator } from '@jupyterlab/translation';

import { addCellCommands } from './cell_commands.js';
import { addCellWriter } from './cell_writer.js';
import { toClipboard } from './clipboard.js';
import { cellOfBlock } from './code_cell.js';
import { cellOf, insertBelow, type INewCell } from './insertion.js';
import { Interruption } from './interruption.js';
import { NotebookState } from './notebook_state.js';
import { Overview } from './overview.js';
import { PANEL_ID, RoutePanel } from './panel.js';
import { addAnswerRenderer } from './renderer.js';
import { Runs } from './runs.js';
import { RouteServer } from './server.js';
import { DEFAULTS, readSettings, type ISettings } from './settings.js';
import { SlowLook } from './slow_look.js';
import { RouteStatus } from './status.js';
import { DOMAIN, ENGLISH } from './trans.js';

const ID = 'jupyter-llmroute:plugin';
const OPEN_PANEL = 'llmroute:open-panel';
const REFRESH = 'llmroute:refresh';
const APPLY = '%llm_apply';

const plugin: JupyterFrontEndPlugin<void> = {
  id: ID,
  description:
    'Draws a routed answer, and why that model gave it; a panel of servers and models; questions about a cell.',
  autoStart: true,
  requires: [IRenderMimeRegistry],
  optional: [
    INotebookTracker,
    ISettingRegistry,
    ITranslator,
    ICommandPalette,
    ILayoutRestorer,
    IStatusBar
  ],
  activate: (
    app: JupyterFrontEnd,
    registry: IRenderMimeRegistry,
    tracker: INotebookTracker | null,
    settingRegistry: ISettingRegistry | null,
    translator: ITranslator | null,
    palette: ICommandPalette | null,
    restorer: ILayoutRestorer | null,
    statusBar: IStatusBar | null
  ) => {
    const trans = translator?.load(DOMAIN) ?? ENGLISH;
    let settings = DEFAULTS;
    const interruption = new Interruption(tracker, trans);
    const insert = (node: HTMLElement, cell: INewCell): void => {
      const at = tracker && cellOf(tracker, node);
      if (at) {
        void insertBelow(at.panel.content, at.cell, [cell]);
      }
    };
    addAnswerRenderer(
      registry,
      {
        stop: output => {
          interruption.stopOutput(output);
        },
        life: output => interruption.life(output),
        watch: (output, look) => interruption.watch(output, look),
        copy: toClipboard,
        ...(tracker && {
          insert: (node: HTMLElement, language: string, code: string) => {
            insert(node, cellOfBlock(language, code));
          },
          apply: (node: HTMLElement) => {
            insert(node, { source: APPLY });
          }
        })
      },
      trans
    );
    lookUpNoLinks();

    const notebook = new NotebookState(tracker);
    const overview = new Overview(
      new RouteServer(app.serviceManager.serverSettings),
      () => notebook.pins
    );
    const stopLast = (): void => {
      void interruption.stop(notebook.session);
    };
    const panel = new RoutePanel(overview, notebook, stopLast, trans);
    app.shell.add(panel, 'right', { rank: 900, type: 'LLM route' });
    restorer?.add(panel, PANEL_ID);

    const category = trans.__('LLM route');
    const open = (): void => {
      app.shell.activateById(PANEL_ID);
    };
    app.commands.addCommand(OPEN_PANEL, {
      label: trans.__('Show Servers and Models'),
      caption: trans.__('Open the panel: servers, models, who would answer and why'),
      execute: open
    });
    app.commands.addCommand(REFRESH, {
      label: trans.__('Look for Servers Again'),
      execute: () => {
        overview.want('refresh', 'next', 'doctor');
      }
    });
    palette?.addItem({ command: OPEN_PANEL, category });
    palette?.addItem({ command: REFRESH, category });

    if (tracker) {
      addCellWriter(tracker, trans);
    }
    const cells =
      tracker && addCellCommands(app, tracker, new Runs(tracker), () => settings, palette, trans);

    const status = new RouteStatus(overview, notebook, open, trans);
    statusBar?.registerStatusItem('jupyter-llmroute:status', {
      item: status,
      align: 'right',
      rank: 100,
      isActive: () => status.isWanted,
      activeStateChanged: status.isWantedChanged
    });
    // An open panel looks by itself; for the status bar's sake it is done seldom, and when something is new.
    const slowly = new SlowLook(
      () => {
        overview.want('next');
      },
      () => status.isWanted && settings.pollSeconds > 0 && !panel.isVisible && !document.hidden
    );
    const tell = (): void => {
      if (panel.isVisible || status.isWanted) {
        overview.want('next');
      }
    };
    notebook.pinsChanged.connect(tell);
    notebook.answered.connect(() => {
      tell();
      if (panel.isVisible) {
        overview.want('services');
      }
    });

    const take = (changed: ISettings): void => {
      settings = changed;
      const everyMs = settings.pollSeconds * 1000;
      overview.everyMs = everyMs;
      document.body.dataset.llmrouteCode = settings.codeButtons ? 'buttons' : 'plain';
      slowly.everyMs = everyMs;
      status.isWanted = statusBar !== null && settings.statusBar;
      panel.take(settings);
      cells?.update();
      tell();
    };
    void app.restored.then(async () => {
      const loaded = await settingRegistry?.load(ID).catch((error: unknown) => {
        console.warn(`The settings of ${ID} were not read; the defaults hold.`, error);
      });
      loaded?.changed.connect(() => {
        take(readSettings(loaded.composite));
      });
      take(loaded ? readSettings(loaded.composite) : DEFAULTS);
    });
  }
};

/**
 * Keep the browser from looking up the hosts of links before anyone clicks.
 *
 * Browsers do so on pages served over plain http, as a local Lab is; a host's name in an answer could carry the
 * prompt to a name server.
 */
function lookUpNoLinks(): void {
  const meta = document.createElement('meta');
  meta.httpEquiv = 'x-dns-prefetch-control';
  meta.content = 'off';
  document.head.append(meta);
}

export default plugin;
