import { isCodeCellModel, type Cell } from '@jupyterlab/cells';
import {
  NotebookActions,
  type INotebookTracker,
  type Notebook,
  type NotebookPanel
} from '@jupyterlab/notebook';

import type { IAskedCell } from './question.js';

interface IRun {
  number: number;
  source: string;
  isFailed: boolean;
}

/**
 * Which cells ran in the kernel session of their notebook, and as what.
 *
 * The number beside a cell may be of an earlier session, and the cell may have been changed since; the kernel would
 * take another cell for it. Only runs that were seen here count.
 */
export class Runs {
  constructor(tracker: INotebookTracker) {
    NotebookActions.executed.connect(this.note);
    tracker.forEach(panel => {
      this.follow(panel);
    });
    tracker.widgetAdded.connect((_, panel) => {
      this.follow(panel);
    });
  }

  /** A cell as something to ask about. */
  asked(notebook: Notebook, cell: Cell): IAskedCell {
    const source = cell.model.sharedModel.getSource();
    const run = this.runs(notebook).get(cell.model.id) ?? null;
    const error = traceback(cell);
    return {
      kind: cell.model.type === 'code' || cell.model.type === 'markdown' ? cell.model.type : 'raw',
      source,
      number: run?.source === source ? run.number : null,
      error,
      isLastFailure: error !== null && run !== null && this.isLastFailure(notebook, run)
    };
  }

  /** What ran, in no order. */
  sources(notebook: Notebook): string[] {
    return [...this.runs(notebook).values()].map(run => run.source);
  }

  private isLastFailure(notebook: Notebook, run: IRun): boolean {
    const there = new Set(notebook.widgets.map(cell => cell.model.id));
    const failed = [...this.runs(notebook)].filter(([id, one]) => one.isFailed && there.has(id));
    return run.isFailed && failed.every(([, one]) => one.number <= run.number);
  }

  private readonly note = (
    _: unknown,
    { notebook, cell, success }: { notebook: Notebook; cell: Cell; success: boolean }
  ): void => {
    const { model } = cell;
    if (isCodeCellModel(model) && model.executionCount !== null) {
      this.runs(notebook).set(model.id, {
        number: model.executionCount,
        source: model.sharedModel.getSource(),
        isFailed: !success
      });
    }
  };

  private follow({ content, sessionContext }: NotebookPanel): void {
    const forget = (): void => {
      this.byNotebook.delete(content);
    };
    sessionContext.kernelChanged.connect(forget);
    sessionContext.statusChanged.connect((_, status) => {
      if (status === 'restarting' || status === 'autorestarting') {
        forget();
      }
    });
  }

  private runs(notebook: Notebook): Map<string, IRun> {
    const known = this.byNotebook.get(notebook) ?? new Map<string, IRun>();
    this.byNotebook.set(notebook, known);
    return known;
  }

  private readonly byNotebook = new WeakMap<Notebook, Map<string, IRun>>();
}

/** The traceback that a cell shows. */
function traceback(cell: Cell): string | null {
  const { model } = cell;
  if (!isCodeCellModel(model)) {
    return null;
  }
  for (let at = 0; at < model.outputs.length; at++) {
    const output = model.outputs.get(at).toJSON();
    if (output.output_type === 'error') {
      const lines = Array.isArray(output.traceback) ? output.traceback : [];
      return lines.length > 0
        ? lines.join('\n')
        : [output.ename, output.evalue].map(String).join(': ');
    }
  }
  return null;
}
