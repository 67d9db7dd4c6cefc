import type { Cell } from '@jupyterlab/cells';
import type { INotebookTracker, Notebook, NotebookPanel } from '@jupyterlab/notebook';

/** A cell to write; `selected` is the part of it that is to be typed over. */
export interface INewCell {
  source: string;
  selected?: string;
  kind?: 'code' | 'markdown';
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
  if (first?.selected !== undefined) {
    await select(notebook.widgets[above + 1], first.selected);
  }
}

async function select(cell: Cell | undefined, text: string): Promise<void> {
  await cell?.ready;
  const editor = cell?.editor;
  const at = cell?.model.sharedModel.getSource().indexOf(text) ?? -1;
  const start = editor?.getPositionAt(at);
  const end = editor?.getPositionAt(at + text.length);
  if (editor && at >= 0 && start && end) {
    editor.setSelection({ start, end });
    editor.focus();
  }
}

/** The notebook's cell in whose output a node is. */
export function cellOf(
  tracker: INotebookTracker,
  node: HTMLElement
): { panel: NotebookPanel; cell: Cell } | null {
  const panel = tracker.find(one => one.content.node.contains(node));
  const cell = panel?.content.widgets.find(one => one.node.contains(node));
  return panel && cell ? { panel, cell } : null;
}
