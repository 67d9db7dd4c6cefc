import { Widget } from '@lumino/widgets';

import { isComing } from './answers.js';
import { button, setText } from './dom.js';
import type { NotebookState } from './notebook_state.js';
import type { Overview } from './overview.js';
import { statusWords } from './panel_words.js';
import type { Trans } from './trans.js';

/** In the status bar: who would answer, or who is answering; a click opens the panel. */
export class RouteStatus extends Widget {
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

  private readonly draw = (): void => {
    const route = this.notebook.lastRoute;
    const busy = isComing(route) ? (route?.facts.model ?? this.trans.__('A model')) : null;
    const said = statusWords(this.overview.next, busy, this.trans);
    setText(this.node, said?.text ?? '');
    this.node.title = said?.title ?? '';
    this.node.dataset.tone = said?.tone ?? 'none';
    if (said !== null) {
      this.node.setAttribute('aria-label', this.trans.__('LLM route: %1', said.text));
    }
  };
}
