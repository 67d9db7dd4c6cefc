import type { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import { Panel, Widget } from '@lumino/widgets';

import { Card } from './card.js';
import { ANSWER_MIME, readFacts } from './facts.js';
import { body } from './markdown.js';
import { Pace } from './pace.js';
import { strict } from './sanitizer.js';
import { isBusy } from './wording.js';

const MARKDOWN = 'text/markdown';

// Before text/html (50) and text/markdown (60), which the same bundle holds.
const RANK = 40;

/** Draws an answer: a card made of the facts, then the answer's text as markdown. */
export class AnswerRenderer extends Panel implements IRenderMime.IRenderer {
  constructor(
    options: IRenderMime.IRendererOptions,
    registry: IRenderMimeRegistry,
    stop: () => void
  ) {
    super();
    this.addClass('jp-llmroute-answer');
    this.card = new Card(stop);
    this.cardHolder = new Widget({ node: this.card.node });
    const text = markdownFactory(registry).createRenderer({
      ...options,
      mimeType: MARKDOWN,
      sanitizer: strict(options.sanitizer)
    });
    text.addClass('jp-llmroute-text');
    this.addWidget(this.cardHolder);
    this.addWidget(text);
    this.pace = new Pace(async source => {
      text.setHidden(source === '');
      // Never trusted, in a trusted notebook neither: the text is a model's, not the author's.
      await text.renderModel(
        registry.createModel({ data: { [MARKDOWN]: source }, trusted: false })
      );
    });
  }

  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    const facts = readFacts(model.data[ANSWER_MIME]);
    this.cardHolder.setHidden(!facts.readable);
    this.card.show(facts);
    const markdown = model.data[MARKDOWN];
    const source = body(
      typeof markdown === 'string' ? markdown : '',
      facts.readable ? facts.cardLines : 0
    );
    if (isBusy(facts)) {
      this.pace.soon(source);
    } else {
      await this.pace.now(source);
    }
  }

  override dispose(): void {
    this.pace.dispose();
    super.dispose();
  }

  private readonly card: Card;
  private readonly cardHolder: Widget;
  private readonly pace: Pace;
}

/** Make the registry draw answers with this renderer; `stop` is what the button of a running answer does. */
export function addAnswerRenderer(registry: IRenderMimeRegistry, stop: () => void): void {
  registry.addFactory({
    safe: true,
    mimeTypes: [ANSWER_MIME],
    defaultRank: RANK,
    createRenderer: options => new AnswerRenderer(options, registry, stop)
  });
}

function markdownFactory(registry: IRenderMimeRegistry): IRenderMime.IRendererFactory {
  const factory = registry.getFactory(MARKDOWN);
  if (factory === undefined) {
    throw new Error(
      `An answer cannot be drawn: no renderer is registered for ${MARKDOWN}. ` +
        'Enable the plugin "@jupyterlab/rendermime-extension:plugin".'
    );
  }
  return factory;
}
