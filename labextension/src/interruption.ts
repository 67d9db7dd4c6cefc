import { showErrorMessage, type ISessionContext } from '@jupyterlab/apputils';
import { isCodeCellModel, type ICodeCellModel } from '@jupyterlab/cells';
import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import type { Widget } from '@lumino/widgets';

import { lifeOf, type Life } from './answers.js';
import { isBusyKernel, isRunningCell } from './running.js';
import { sessionOf, type IHolder, type IPlaced } from './session_of.js';
import type { Trans } from './trans.js';

/** Stops what a kernel runs: while a cell runs, the kernel hears nothing but its interrupt. */
export class Interruption {
  constructor(
    private readonly tracker: INotebookTracker | null,
    private readonly trans: Trans
  ) {}

  /** Whether more can come of what an output shows; unknown where nobody can tell which kernel it is of. */
  life(output: Widget): Life {
    const session = this.session(output);
    const cell = this.cell(output);
    if (session === null) {
      return 'unknown';
    }
    const isBusy = isBusyKernel(session);
    if (cell === null) {
      return isBusy ? 'unknown' : 'over';
    }
    const isRunning = isRunningCell(cell, session);
    return lifeOf({ isRunning, number: cell.executionCount }, isBusy);
  }

  /** Call back whenever that may have changed; returns what ends it. */
  watch(output: Widget, look: () => void): () => void {
    const session = this.session(output);
    session?.statusChanged.connect(look);
    return () => {
      session?.statusChanged.disconnect(look);
    };
  }

  /** Interrupt the kernel that an output is of, whichever notebook is the current one. */
  stopOutput(output: Widget): void {
    void this.stop(this.session(output));
  }

  async stop(session: ISessionContext | null): Promise<void> {
    try {
      await session?.session?.kernel?.interrupt();
    } catch (error) {
      await showErrorMessage(this.trans.__('The kernel could not be interrupted'), String(error));
    }
  }

  private session(output: Widget): ISessionContext | null {
    return sessionOf(output as IPlaced<ISessionContext>, () => this.holders());
  }

  /** The cell of a notebook whose outputs these are, also in a view of their own. */
  private cell(output: Widget): ICodeCellModel | null {
    const models = new Set<unknown>();
    for (let at: IPlaced<ISessionContext> | null = output; at;) {
      models.add(at.model);
      at = at.parent;
    }
    const found: ICodeCellModel[] = [];
    this.tracker?.forEach(({ content }) => {
      found.push(...codeCells(content).filter(model => models.has(model.outputs)));
    });
    return found[0] ?? null;
  }

  private holders(): IHolder<ISessionContext>[] {
    const found: IHolder<ISessionContext>[] = [];
    this.tracker?.forEach(({ sessionContext, content }) => {
      found.push({ sessionContext, outputs: outputs(content) });
    });
    return found;
  }
}

function outputs(content: NotebookPanel['content']): object[] {
  return codeCells(content).map(model => model.outputs);
}

function codeCells(content: NotebookPanel['content']): ICodeCellModel[] {
  return content.widgets.flatMap(({ model }) => (isCodeCellModel(model) ? [model] : []));
}
