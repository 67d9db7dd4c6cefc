import type { Cell } from '@jupyterlab/cells';
import type { INotebookTracker, Notebook, NotebookPanel } from '@jupyterlab/notebook';

/** A cell to write. */
export interface INewCell {
  source: string;
  /** What of it is to be typed over; where both are the same, the place to type at. */
  selection?: ISelection;
  kind?: 'code' | 'markdown';
}

/** Offsets in a cell's text. */
export interface ISelection {
  from: number;
  to: number;
}

/** Write cells below another one, and edit the first of them. Nothing is run; one undo takes all back. */
export async function insertBelow(
  notebook: Notebook,
  cell: Cell,
  cells: readonly INewCell[]
): Promise<void> {
  const above = notebook.widgets.indexOf(cell);
  const shared = notebook.model?.sharedModel;
  if (shared === undefined || above < 0 || notebook.model?.readOnly === true) {
    return;
  }
  shared.transact(() => {
    shared.insertCells(
      above + 1,
      cells.map(({ source, kind }) =>
        kind === 'markdown'
          ? { cell_type: kind, source }
          : // What the user has put there by a click is the user's own, as an empty new cell is.
            { cell_type: 'code', source, metadata: { trusted: true } }
      )
    );
  });
  notebook.activeCellIndex = above + 1;
  notebook.deselectAll();
  notebook.mode = 'edit';
  const [first] = cells;
  if (first?.selection !== undefined) {
    await select(notebook.widgets[above + 1], first.selection);
  }
}

async function select(cell: Cell | undefined, { from, to }: ISelection): Promise<void> {
  await cell?.ready;
  const editor = cell?.editor;
  const start = editor?.getPositionAt(from);
  const end = editor?.getPositionAt(to);
  if (editor && start && end) {
    editor.setSelection({ start, end });
    editor.focus();
  }
}

/** The notebook's cell in whose output a node is. */
export function cellOf(
  tracker: INotebookTracker,
  node: Element
): { panel: NotebookPanel; cell: Cell } | null {
  const panel = tracker.find(one => one.content.node.contains(node));
  const cell = panel?.content.widgets.find(one => one.node.contains(node));
  return panel && cell ? { panel, cell } : null;
}
