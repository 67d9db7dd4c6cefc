import { showErrorMessage, type ISessionContext } from '@jupyterlab/apputils';
import { isCodeCellModel } from '@jupyterlab/cells';
import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import type { Widget } from '@lumino/widgets';

import { sessionOf, type IHolder, type IPlaced } from './session_of.js';
import type { Trans } from './trans.js';

/** Stops what a kernel runs: while a cell runs, the kernel hears nothing but its interrupt. */
export class Interruption {
  constructor(
    private readonly tracker: INotebookTracker | null,
    private readonly trans: Trans
  ) {}

  /** Whether it can be told which kernel an output is of. */
  isPossible(output: Widget): boolean {
    return this.session(output) !== null;
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

  private holders(): IHolder<ISessionContext>[] {
    const found: IHolder<ISessionContext>[] = [];
    this.tracker?.forEach(({ sessionContext, content }) => {
      found.push({ sessionContext, outputs: outputs(content) });
    });
    return found;
  }
}

function outputs(content: NotebookPanel['content']): object[] {
  return content.widgets.flatMap(({ model }) => (isCodeCellModel(model) ? [model.outputs] : []));
}
