import { languageOf } from './code_cell.js';
import { button, element } from './dom.js';
import type { Trans } from './trans.js';

/** What the buttons of a code block do. */
export interface ICodeActions {
  /** Resolves to whether it is on the clipboard now. */
  copy: (code: string) => Promise<boolean>;
  /** Left out where there are no cells to insert into. */
  insert?: (language: string, code: string) => void;
}

const SAID_MS = 2000;

const BAR = 'jp-llmroute-code-bar';

/**
 * Put a bar of buttons above each code block of a drawn answer, in place of older ones.
 *
 * The bars are made here, after the answer's own markup was made harmless; the allow-list lets no button through.
 */
export function addCodeButtons(node: HTMLElement, actions: ICodeActions, trans: Trans): void {
  for (const old of node.querySelectorAll(`.${BAR}`)) {
    old.remove();
  }
  const blocks = [...node.querySelectorAll('pre')].filter(pre => pre.textContent.trim() !== '');
  for (const [at, pre] of blocks.entries()) {
    const name =
      blocks.length === 1 ? trans.__('Code') : trans.__('Code %1 of %2', at + 1, blocks.length);
    pre.before(bar(pre, name, actions, trans));
  }
}

function bar(pre: HTMLElement, name: string, actions: ICodeActions, trans: Trans): HTMLElement {
  const language = languageOf(pre.querySelector('code')?.className ?? '');
  const code = (): string => pre.textContent;
  const node = element('div', BAR);
  node.setAttribute('role', 'group');
  node.setAttribute('aria-label', name);
  const said = element('span', 'jp-llmroute-code-said');
  said.setAttribute('role', 'status');
  const say = (words: string): void => {
    said.textContent = words;
    setTimeout(() => {
      said.textContent = '';
    }, SAID_MS);
  };
  const copy = button('jp-llmroute-button', trans.__('Copy'), () => {
    void actions.copy(code()).then(isThere => {
      say(isThere ? trans.__('Copied') : trans.__('Not copied: the browser does not allow it'));
    });
  });
  copy.setAttribute('aria-label', trans.__('Copy: %1', name));
  node.append(element('span', 'jp-llmroute-code-language', language), said, copy);
  const { insert } = actions;
  if (insert !== undefined) {
    const below = button('jp-llmroute-button jp-llmroute-insert', trans.__('Insert below'), () => {
      insert(language, code());
    });
    below.setAttribute('aria-label', trans.__('Insert below: %1', name));
    below.title = trans.__('Insert this code into a new cell below; it is not run');
    node.append(below);
  }
  return node;
}
