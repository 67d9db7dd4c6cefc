import { isCodeCellModel, type Cell, type CodeCell, type ICodeCellModel } from '@jupyterlab/cells';
import type { NotebookPanel } from '@jupyterlab/notebook';
import type { Kernel } from '@jupyterlab/services';

import { element, setText } from './dom.js';
import type { Trans } from './trans.js';

const VIEW = 'application/vnd.jupyter.widget-view+json';
const SAID = 'jp-llmroute-said';

interface IAt {
  panel: NotebookPanel;
  cell: Cell;
}

/**
 * Say it under a row of buttons when the kernel does not hear them.
 *
 * A kernel that was started anew knows them no longer; and every other page of the kernel that has no such widgets
 * closes them for all. The page that shows them is not told of either.
 *
 * To be called before the press itself is handled. The kernel's answer is complete once the page has handled all that
 * the kernel sent before it; so a row that goes away at the press is gone by then.
 */
export async function sayIfDeaf({ panel, cell }: IAt, button: Node, trans: Trans): Promise<void> {
  const shown = shownAround(cell, button);
  if (shown === null || (await isHeard(panel.sessionContext.session?.kernel, shown.widget))) {
    return;
  }
  // Buttons that went away at the press have been heard.
  if (shownAround(cell, button)?.widget !== shown.widget) {
    return;
  }
  const note = shown.node.querySelector<HTMLElement>(`.${SAID}`) ?? element('p', SAID);
  note.setAttribute('role', 'status');
  note.dataset.tone = 'error';
  shown.node.append(note);
  const { outputs } = shown;
  const leave = (): void => {
    outputs.changed.disconnect(leave);
    note.remove();
  };
  outputs.changed.connect(leave);
  setText(
    note,
    trans.__(
      'The kernel does not hear these buttons: it was started anew, or another page of it closed them. Run the cell again.'
    )
  );
}

interface IShown {
  node: HTMLElement;
  widget: string;
  outputs: ICodeCellModel['outputs'];
}

/** The output that a button is in, and the widget that it shows. */
function shownAround(cell: Cell, button: Node): IShown | null {
  if (!isCodeCellModel(cell.model)) {
    return null;
  }
  const { outputs } = cell.model;
  const { widgets } = (cell as CodeCell).outputArea;
  for (const [at, { node }] of widgets.entries()) {
    const view = at < outputs.length && node.contains(button) ? outputs.get(at).data[VIEW] : null;
    const held = new Map<string, unknown>(Object.entries(view ?? {}));
    const widget = held.get('model_id');
    if (typeof widget === 'string') {
      return { node, widget, outputs };
    }
  }
  return null;
}

async function isHeard(
  kernel: Kernel.IKernelConnection | null | undefined,
  widget: string
): Promise<boolean> {
  if (!kernel) {
    return false;
  }
  try {
    const { content } = await kernel.requestCommInfo({});
    return content.status !== 'ok' || widget in content.comms;
  } catch {
    // The kernel ended meanwhile, or the page goes.
    return kernel.isDisposed;
  }
}
