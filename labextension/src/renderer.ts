import type { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import { Panel, Widget } from '@lumino/widgets';

import type { Life } from './answers.js';
import { Card } from './card.js';
import { addCodeButtons, type ICodeActions } from './code_buttons.js';
import { ANSWER_MIME, readFacts } from './facts.js';
import { body } from './markdown.js';
import { Pace } from './pace.js';
import { strict } from './sanitizer.js';
import { ENGLISH, type Trans } from './trans.js';
import { isBusy } from './wording.js';

const MARKDOWN = 'text/markdown';

// Before text/html (50) and text/markdown (60), which the same bundle holds.
const RANK = 40;

/** What the page does for an answer; `output` and `node` tell in which cell it is. */
export interface IAnswerActions {
  stop: (output: Widget) => void;
  /** Whether more of the answer can come. */
  life: (output: Widget) => Life;
  /** Call back when that may have changed; returns what ends it. */
  watch: (output: Widget, look: () => void) => () => void;
  copy: ICodeActions['copy'];
  /** The next two are left out where there are no notebooks. */
  insert?: (node: HTMLElement, language: string, code: string) => void;
  apply?: (node: HTMLElement) => void;
}

/** Draws an answer: a card made of the facts, then the answer's text as markdown. */
export class AnswerRenderer extends Panel implements IRenderMime.IRenderer {
  constructor(
    options: IRenderMime.IRendererOptions,
    registry: IRenderMimeRegistry,
    private readonly actions: IAnswerActions,
    private readonly trans: Trans
  ) {
    super();
    this.addClass('jp-llmroute-answer');
    const { apply } = actions;
    this.card = new Card(
      {
        stop: () => {
          actions.stop(this);
        },
        ...(apply && {
          apply: () => {
            apply(this.node);
          }
        })
      },
      trans
    );
    this.cardHolder = new Widget({ node: this.card.node });
    this.text = markdownFactory(registry).createRenderer({
      ...options,
      mimeType: MARKDOWN,
      sanitizer: strict(options.sanitizer)
    });
    this.text.addClass('jp-llmroute-text');
    this.addWidget(this.cardHolder);
    this.addWidget(this.text);
    this.pace = new Pace(async source => {
      this.text.setHidden(source === '');
      // Never trusted, in a trusted notebook neither: the text is a model's, not the author's.
      await this.text.renderModel(
        registry.createModel({ data: { [MARKDOWN]: source }, trusted: false })
      );
    });
  }

  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    const facts = readFacts(model.data[ANSWER_MIME]);
    // What is told anew in this page is coming, also where no cell runs: a button has asked again.
    this.isComing = this.isAttached && isBusy(facts);
    this.cardHolder.setHidden(!facts.readable);
    this.look();
    this.card.show(facts);
    const markdown = model.data[MARKDOWN];
    const source = body(
      typeof markdown === 'string' ? markdown : '',
      facts.readable ? facts.cardLines : 0
    );
    if (isBusy(facts)) {
      this.pace.soon(source);
      return;
    }
    await this.pace.now(source);
    // Not before: while more is to come, all is drawn anew again and again, and a button would go under the pointer.
    if (!this.isDisposed) {
      addCodeButtons(this.text.node, this.codeActions(), this.trans);
    }
  }

  /** Only now it can be told whose output this is. */
  protected override onAfterAttach(): void {
    this.leave();
    this.leave = this.actions.watch(this, this.look);
    this.look();
  }

  protected override onBeforeDetach(): void {
    this.leave();
  }

  private readonly look = (): void => {
    if (this.isAttached) {
      const life = this.actions.life(this);
      this.card.life = life === 'unknown' && this.isComing ? 'running' : life;
    }
  };

  override dispose(): void {
    this.leave();
    this.pace.dispose();
    super.dispose();
  }

  private codeActions(): ICodeActions {
    const { copy, insert } = this.actions;
    return {
      copy,
      ...(insert && {
        insert: (language: string, code: string) => {
          insert(this.node, language, code);
        }
      })
    };
  }

  private isComing = false;
  private leave: () => void = () => undefined;
  private readonly card: Card;
  private readonly cardHolder: Widget;
  private readonly text: IRenderMime.IRenderer;
  private readonly pace: Pace;
}

/** Make the registry draw answers with this renderer. */
export function addAnswerRenderer(
  registry: IRenderMimeRegistry,
  actions: IAnswerActions,
  trans: Trans = ENGLISH
): void {
  registry.addFactory({
    safe: true,
    mimeTypes: [ANSWER_MIME],
    defaultRank: RANK,
    createRenderer: options => new AnswerRenderer(options, registry, actions, trans)
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
