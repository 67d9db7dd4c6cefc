import type { Cell } from '@jupyterlab/cells';
import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import type { Kernel } from '@jupyterlab/services';

import { toClipboard } from './clipboard.js';
import { sayIfDeaf } from './deaf_buttons.js';
import { cellOf, insertBelow } from './insertion.js';
import { Presses } from './presses.js';
import type { Trans } from './trans.js';
import { hidesSome, seen } from './unseen.js';
import { TARGET, WRITES, readRequest, refusal, type IWriteRequest } from './write_request.js';

/** Of the class that the kernel gives to a button under an answer, before the name of what it writes. */
const BUTTON = 'jp-llmroute-write-';

/**
 * Write cells, or the clipboard, for the buttons that a kernel draws under its answers; nothing is run.
 *
 * A kernel may ask at any time. It gets that only for a press of that button, in this page, by a person.
 */
export function addCellWriter(tracker: INotebookTracker, trans: Trans): void {
  const presses = new Presses();
  document.addEventListener(
    'click',
    event => {
      notePress(event, tracker, presses, trans);
    },
    true
  );
  const listen = (panel: NotebookPanel): void => {
    const { sessionContext } = panel;
    const register = (kernel: Kernel.IKernelConnection | null | undefined): void => {
      kernel?.registerCommTarget(TARGET, (comm, { content }) => {
        const request = readRequest(content.data);
        const pressed = request ? presses.take(request.cell, request.write) : 'never';
        if (request === null || pressed === 'never') {
          // Another page of this kernel may be the one where the button was pressed: it must be the one that answers.
          comm.dispose();
          return;
        }
        const at = find(tracker, kernel.id, request.cell);
        const tell = (isDone: boolean, why: string): void => {
          // The kernel may have ended, or closed it, while the browser was asked.
          if (!comm.isDisposed) {
            comm.send(why === '' ? { done: isDone } : { done: isDone, why });
            comm.close();
          }
        };
        const why = refusal(request, at && held(at), pressed, trans);
        if (why !== null) {
          tell(false, why);
        } else if (request.write === 'copy') {
          void toClipboard(seen(request.text)).then(isThere => {
            const less = hidesSome(request.text)
              ? trans.__('A \ufffd is in the place of each character that cannot be seen.')
              : '';
            tell(isThere, isThere ? less : trans.__('the browser lets this page copy nothing now'));
          });
        } else {
          if (at !== null) {
            write(at, request);
          }
          tell(true, '');
        }
      });
    };
    register(sessionContext.session?.kernel);
    // A kernel that is restarted keeps its connection, and what was registered there.
    sessionContext.kernelChanged.connect((_, { newValue }) => {
      register(newValue);
    });
  };
  tracker.forEach(listen);
  tracker.widgetAdded.connect((_, panel) => {
    listen(panel);
  });
}

interface IAt {
  panel: NotebookPanel;
  cell: Cell;
}

function notePress(
  event: MouseEvent,
  tracker: INotebookTracker,
  presses: Presses,
  trans: Trans
): void {
  if (!event.isTrusted || !(event.target instanceof Element)) {
    return;
  }
  const pressed = event.target.closest('button');
  // Buttons beside one that writes are of the same row.
  const isOurs = pressed?.parentElement?.querySelector(`:scope > [class*="${BUTTON}"]`);
  const around = pressed && isOurs ? cellOf(tracker, pressed) : null;
  if (pressed && around) {
    void sayIfDeaf(around, pressed, trans);
  }
  for (const write of WRITES) {
    const button = event.target.closest<HTMLElement>(`button.${BUTTON}${write}`);
    const at = button && cellOf(tracker, button);
    if (at) {
      presses.note(at.cell.model.id, write);
    }
  }
}

function find(tracker: INotebookTracker, kernel: string, id: string): IAt | null {
  const panels: NotebookPanel[] = [];
  tracker.forEach(panel => {
    panels.push(panel);
  });
  for (const panel of panels) {
    const cell = panel.content.widgets.find(one => one.model.id === id);
    if (cell && panel.sessionContext.session?.kernel?.id === kernel) {
      return { panel, cell };
    }
  }
  return null;
}

function held({ panel, cell }: IAt): { source: string; isEditable: boolean } {
  return {
    source: cell.model.sharedModel.getSource(),
    isEditable:
      panel.content.model?.readOnly === false && cell.model.getMetadata('editable') !== false
  };
}

function write({ panel, cell }: IAt, { write: where, text }: IWriteRequest): void {
  if (where === 'replace') {
    cell.model.sharedModel.setSource(text);
  } else {
    void insertBelow(panel.content, cell, [{ source: text }]);
  }
}
