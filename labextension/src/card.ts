import type { Life } from './answers.js';
import type { IFacts } from './facts.js';
import { Drawn, button, element, keepKeys, setText } from './dom.js';
import type { Trans } from './trans.js';
import {
  andMore,
  figures,
  isBusy,
  label,
  length,
  notice,
  on,
  otherName,
  sentAlong,
  stateWords,
  taskWords,
  whyWords
} from './wording.js';

/** What the buttons of a card do. */
export interface ICardActions {
  stop: () => void;
  /** Offer to apply the changes of project files; left out where there is no notebook to do it in. */
  apply?: () => void;
}

/**
 * The card over an answer: a head line, what must be seen, and why this model.
 *
 * Built once and then changed in place, so an open "Why this model" stays open while the answer streams. Everything
 * from the notebook goes in as textContent.
 */
export class Card {
  readonly node = element('div', 'jp-llmroute-card');

  constructor(
    private readonly actions: ICardActions,
    private readonly trans: Trans
  ) {
    this.stop = button('jp-llmroute-button jp-llmroute-stop', trans.__('Stop'), actions.stop);
    this.stop.title = trans.__('Interrupt the kernel; what has come is kept');
    this.apply = button('jp-llmroute-button jp-llmroute-apply', '', () => this.actions.apply?.());
    this.node.setAttribute('role', 'group');
    this.state.setAttribute('aria-live', 'polite');
    this.summary.addEventListener('keydown', keepKeys);

    const head = element('div', 'jp-llmroute-head');
    const state = element('span', 'jp-llmroute-state');
    const dot = element('span', 'jp-llmroute-dot');
    dot.setAttribute('aria-hidden', 'true');
    state.append(dot, this.state);
    this.model.append(this.modelName, this.on, this.serviceName);
    head.append(state, this.task, this.model, this.figures, this.apply, this.stop);
    this.why.append(this.summary, this.sections);
    this.node.append(head, this.notice, this.why);
  }

  /** Open or close "Why this model". */
  set isOpen(isOpen: boolean) {
    this.why.open = isOpen;
  }

  /** Whether more can come. "Stop" is there only while it does: it interrupts whatever the kernel runs. */
  set life(life: Life) {
    if (life !== this.lives) {
      this.lives = life;
      if (this.shown !== null) {
        this.show(this.shown);
      }
    }
  }

  show(told: IFacts): void {
    this.shown = told;
    const isSaved = isBusy(told) && this.lives === 'over';
    const facts: IFacts = isSaved ? { ...told, state: 'interrupted' } : told;
    this.isBusy = isBusy(facts);
    this.node.dataset.state = facts.state;
    this.node.dataset.level = facts.level ?? '';
    this.node.setAttribute('aria-label', label(facts, this.trans));
    this.node.setAttribute('aria-busy', String(this.isBusy));
    this.showStop();
    setText(
      this.state,
      isSaved ? this.trans.__('Interrupted when saved') : stateWords(facts.state, this.trans)
    );
    this.showHead(facts);
    this.showNotice(facts);
    this.showWhy(facts);
  }

  private showStop(): void {
    this.stop.hidden = !this.isBusy || this.lives !== 'running';
  }

  private showHead(facts: IFacts): void {
    const { task, model, service, changes } = facts;
    setText(this.task, task === null ? '' : taskWords(task, this.trans));
    setText(this.modelName, model ?? '');
    setText(this.on, service === null ? '' : this.trans.__(' on '));
    setText(this.serviceName, service ?? '');
    setText(this.figures, figures(facts, this.trans).join(' · '));
    const isOffered = changes > 0 && this.actions.apply !== undefined;
    setText(
      this.apply,
      isOffered ? this.trans._n('Apply %1 change…', 'Apply %1 changes…', changes) : ''
    );
    this.apply.title = this.trans.__(
      'Insert a cell below that applies the changes of files; nothing is run'
    );
  }

  private showNotice(facts: IFacts): void {
    const said = notice(facts, this.trans);
    this.notice.dataset.tone = said?.tone ?? '';
    this.drawn.redraw(this.notice, said?.lines ?? [], lines =>
      lines.map(line => element('p', '', line))
    );
  }

  private showWhy(facts: IFacts): void {
    const filled = sections(facts, this.trans).filter(one => one.rows.length > 0);
    this.drawn.redraw(this.sections, filled, all => all.map(drawSection));
    setText(this.summary, whyWords(facts, this.trans));
    this.why.hidden = filled.length === 0;
  }

  private isBusy = false;
  private lives: Life = 'unknown';
  private shown: IFacts | null = null;
  private readonly state = element('span', 'jp-llmroute-state-text');
  private readonly task = element('span', 'jp-llmroute-task');
  private readonly model = element('span', 'jp-llmroute-model');
  private readonly modelName = element('bdi', 'jp-llmroute-model-name');
  private readonly on = element('span', 'jp-llmroute-service');
  private readonly serviceName = element('bdi', 'jp-llmroute-service');
  private readonly apply: HTMLButtonElement;
  private readonly stop: HTMLButtonElement;
  private readonly figures = element('span', 'jp-llmroute-figures');
  private readonly notice = element('div', 'jp-llmroute-notice');
  private readonly why = element('details', 'jp-llmroute-why');
  private readonly summary = element('summary', 'jp-llmroute-summary');
  private readonly sections = element('div', 'jp-llmroute-sections');
  private readonly drawn = new Drawn();
}

interface IRow {
  cells: string[];
  isChosen?: boolean;
}

/** With columns a table, without them a list. */
interface ISection {
  title: string;
  columns?: string[];
  rows: IRow[];
}

/** What "Why this model" holds, in this order; a section with no rows is left out. */
function sections(facts: IFacts, trans: Trans): ISection[] {
  const { task } = facts;
  return [
    { title: trans.__('Reasons'), rows: facts.reasons.map(only) },
    { title: trans.__('Answered by'), rows: known(otherName(facts)) },
    {
      title: trans.__('Task'),
      rows: task === null ? [] : [taskWords(task, trans), ...task.evidence].map(only)
    },
    {
      title: trans.__('Considered'),
      columns: [trans.__('Model'), trans.__('Service'), trans.__('Verdict')],
      rows: [
        ...facts.considered.map(one => ({
          cells: [one.model, one.service, one.verdict],
          isChosen: one.model === facts.model && one.service === facts.service
        })),
        ...known(andMore(facts, trans)).map(({ cells }) => ({ cells: [...cells, '', ''] }))
      ]
    },
    {
      title: trans.__('Failed attempts'),
      columns: [trans.__('Asked'), trans.__('Error')],
      rows: facts.attempts.map(one => ({
        cells: [on(one.model, one.service, trans), one.error]
      }))
    },
    { title: trans.__('What was sent'), rows: sentAlong(facts, trans).map(only) },
    { title: trans.__('Took'), rows: known(length(facts, trans)) }
  ];
}

function only(text: string): IRow {
  return { cells: [text] };
}

function known(text: string | null): IRow[] {
  return text === null ? [] : [only(text)];
}

function drawSection({ title, columns, rows }: ISection): HTMLElement {
  const node = element('section', 'jp-llmroute-section');
  node.append(
    element('h4', 'jp-llmroute-heading', title),
    columns === undefined ? list(rows) : table(title, columns, rows)
  );
  return node;
}

function list(rows: IRow[]): HTMLElement {
  const node = element('ul', 'jp-llmroute-list');
  node.append(...rows.map(row => element('li', '', row.cells.join(' '))));
  return node;
}

function table(title: string, columns: string[], rows: IRow[]): HTMLElement {
  const node = element('table', 'jp-llmroute-table');
  node.setAttribute('aria-label', title);
  const head = element('tr', '');
  for (const column of columns) {
    const cell = element('th', '', column);
    cell.scope = 'col';
    head.append(cell);
  }
  node.createTHead().append(head);
  const body = node.createTBody();
  for (const row of rows) {
    const line = element('tr', row.isChosen === true ? 'jp-mod-chosen' : '');
    line.append(...row.cells.map(cell => element('td', '', cell)));
    body.append(line);
  }
  return node;
}
