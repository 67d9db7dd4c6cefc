import type { ISessionContext } from '@jupyterlab/apputils';
import { isCodeCellModel } from '@jupyterlab/cells';
import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import { Signal } from '@lumino/signaling';

import {
  isComing,
  LastRun,
  lastRoute,
  lifeOf,
  type IAnswered,
  type ILastRoute,
  type Life
} from './answers.js';
import { METADATA_KEY, readPins, withPin, type Pins, type Scope } from './pins.js';
import { isBusyKernel, isRunningCell } from './running.js';
import { Soon } from './soon.js';

// Of an answer that streams, a few looks a second are enough here.
const LOOK_MS = 300;

/** What of the current notebook concerns the panel and the status bar: its pins and its newest answer. */
export class NotebookState {
  /** Something of it changed, or another notebook is the current one. */
  readonly changed = new Signal<this, undefined>(this);
  /** Pins changed, or another notebook is the current one. */
  readonly pinsChanged = new Signal<this, undefined>(this);
  /** An answer is complete. */
  readonly answered = new Signal<this, undefined>(this);

  constructor(tracker: INotebookTracker | null) {
    tracker?.currentChanged.connect((_, panel) => {
      this.follow(panel);
    });
    this.follow(tracker?.currentWidget ?? null);
  }

  get lastRoute(): ILastRoute | null {
    return this.newest;
  }

  /** Whether more of that answer can come. */
  get life(): Life {
    const { newest, session } = this;
    return newest && session ? lifeOf(newest, isBusyKernel(session)) : 'over';
  }

  get pins(): Pins {
    return readPins(this.panel?.content.model?.getMetadata(METADATA_KEY));
  }

  /** The notebook's name; null where none is open. */
  get name(): string | null {
    return this.panel?.context.contentsModel?.name ?? this.panel?.title.label ?? null;
  }

  /** Where the notebook is; null where none is open. */
  get path(): string | null {
    return this.panel?.context.path ?? null;
  }

  get isWritable(): boolean {
    return this.panel?.context.contentsModel?.writable === true;
  }

  /** Pin a model, or with null none, and save the notebook: the kernel reads its file. */
  async pin(scope: Scope, pin: string | null): Promise<void> {
    const { panel } = this;
    const model = panel?.content.model;
    if (!panel || !model) {
      return;
    }
    const changed = withPin(model.getMetadata(METADATA_KEY), scope, pin);
    if (changed === null) {
      model.deleteMetadata(METADATA_KEY);
    } else {
      model.setMetadata(METADATA_KEY, changed);
    }
    await panel.context.save();
  }

  /** The session of its kernel. */
  get session(): ISessionContext | null {
    return this.panel?.sessionContext ?? null;
  }

  private follow(panel: NotebookPanel | null): void {
    if (panel === this.panel) {
      return;
    }
    this.leave();
    this.panel = panel;
    this.lastRun = new LastRun();
    if (panel !== null) {
      this.listen(panel);
    }
    this.look();
    this.pinsChanged.emit(undefined);
  }

  private listen(panel: NotebookPanel): void {
    const { context, sessionContext } = panel;
    const look = this.soon.call;
    const lookAtMetadata = (_: unknown, { key }: { key: string }): void => {
      if (key === METADATA_KEY) {
        this.pinsChanged.emit(undefined);
      }
    };
    const { model } = context;
    const begin = (): void => {
      look();
      this.pinsChanged.emit(undefined);
    };
    model.contentChanged.connect(look);
    model.metadataChanged.connect(lookAtMetadata);
    sessionContext.statusChanged.connect(look);
    context.pathChanged.connect(look);
    void context.ready.then(() => {
      if (this.panel === panel) {
        begin();
      }
    });
    const gone = (): void => {
      this.follow(null);
    };
    panel.disposed.connect(gone);
    this.leave = () => {
      model.contentChanged.disconnect(look);
      model.metadataChanged.disconnect(lookAtMetadata);
      sessionContext.statusChanged.disconnect(look);
      context.pathChanged.disconnect(look);
      panel.disposed.disconnect(gone);
    };
  }

  private look(): void {
    const wasComing = isComing(this.newest);
    const cells = this.panel === null ? [] : [...answered(this.panel)];
    this.newest = lastRoute(cells, this.lastRun.among(cells));
    this.changed.emit(undefined);
    if (wasComing && !isComing(this.newest)) {
      this.answered.emit(undefined);
    }
  }

  private panel: NotebookPanel | null = null;
  private newest: ILastRoute | null = null;
  private lastRun = new LastRun();
  private leave: () => void = () => undefined;
  private readonly soon = new Soon(() => {
    this.look();
  }, LOOK_MS);
}

function* answered(panel: NotebookPanel): Generator<IAnswered> {
  for (const { model } of panel.content.widgets) {
    if (isCodeCellModel(model) && model.outputs.length > 0) {
      const { outputs, executionCount: number } = model;
      const bundles = Array.from({ length: outputs.length }, (_, at) => outputs.get(at).data);
      yield {
        cell: model.id,
        bundles,
        number,
        isRunning: isRunningCell(model, panel.sessionContext)
      };
    }
  }
}
