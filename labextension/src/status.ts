import { Signal } from '@lumino/signaling';
import { Widget } from '@lumino/widgets';

import { isComing } from './answers.js';
import { button, setText } from './dom.js';
import type { NotebookState } from './notebook_state.js';
import type { Overview } from './overview.js';
import { statusWords } from './panel_words.js';
import type { Trans } from './trans.js';

/** In the status bar: who would answer, or who is answering; a click opens the panel. */
export class RouteStatus extends Widget {
  /** It is to be shown now, or no longer. */
  readonly isWantedChanged = new Signal<this, void>(this);

  constructor(
    private readonly overview: Overview,
    private readonly notebook: NotebookState,
    open: () => void,
    private readonly trans: Trans
  ) {
    const node = button('jp-llmroute-status', '', open);
    super({ node });
    overview.changed.connect(this.draw);
    notebook.changed.connect(this.draw);
    this.draw();
  }

  get isWanted(): boolean {
    return this.wanted;
  }

  set isWanted(isWanted: boolean) {
    if (isWanted !== this.wanted) {
      this.wanted = isWanted;
      this.isWantedChanged.emit();
    }
  }

  override dispose(): void {
    this.overview.changed.disconnect(this.draw);
    this.notebook.changed.disconnect(this.draw);
    super.dispose();
  }

  private readonly draw = (): void => {
    const { next } = this.overview;
    const trouble = this.overview.trouble ?? this.overview.troubleOf('next');
    const route = this.notebook.lastRoute;
    const busy = isComing(route) ? (route?.facts.model ?? this.trans.__('A model')) : null;
    const said = statusWords(next, busy, trouble, this.trans);
    setText(this.node, said?.text ?? '');
    this.node.title = said?.title ?? '';
    this.node.dataset.tone = said?.tone ?? 'none';
    if (said !== null) {
      this.node.setAttribute('aria-label', this.trans.__('LLM route: %1', said.text));
    }
  };

  private wanted = false;
}
