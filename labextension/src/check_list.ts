import { Drawn, element, setText } from './dom.js';
import type { Check, Doctor } from './generated.js';
import { allWellWords, warnings } from './panel_words.js';
import type { Trans } from './trans.js';

/** What the doctor warns of, and what to do about it. */
export class CheckList {
  readonly node = element('div', 'jp-llmroute-checks');

  constructor(private readonly trans: Trans) {
    this.node.append(this.summary, this.list);
  }

  show(doctor: Doctor): void {
    const found = warnings(doctor);
    setText(this.summary, found.length === 0 ? allWellWords(doctor, this.trans) : '');
    this.drawn.redraw(this.list, found, all => all.map(check => this.item(check)));
  }

  private item(check: Check): HTMLElement {
    const item = element('li', 'jp-llmroute-check');
    item.dataset.verdict = check.verdict;
    const verdict = check.verdict === 'fail' ? this.trans.__('Fails') : this.trans.__('Warning');
    const head = element('p', 'jp-llmroute-check-head');
    head.append(element('strong', '', verdict), ` ${check.title}`);
    item.append(head);
    if (check.evidence !== '') {
      item.append(element('p', 'jp-llmroute-hint', check.evidence));
    }
    if (check.remedy !== '') {
      item.append(element('p', '', this.trans.__('What to do: %1', check.remedy)));
    }
    return item;
  }

  private readonly summary = element('p', 'jp-llmroute-hint');
  private readonly list = element('ul', 'jp-llmroute-list');
  private readonly drawn = new Drawn();
}
