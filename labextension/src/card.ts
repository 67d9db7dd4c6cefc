import type { IFacts } from './facts.js';
import {
  STATE_WORDS,
  andMore,
  figures,
  isBusy,
  label,
  length,
  notice,
  on,
  otherName,
  percent,
  sentAlong,
  whyWords
} from './wording.js';

/**
 * The card over an answer: a head line, what must be seen, and why this model.
 *
 * Built once and then changed in place, so an open "Why this model" stays open while the answer streams. Everything
 * from the notebook goes in as textContent.
 */
export class Card {
  readonly node = element('div', 'jp-llmroute-card');

  constructor(stop: () => void) {
    this.stop.type = 'button';
    this.stop.title = 'Interrupt the kernel; what has come is kept';
    this.stop.addEventListener('click', stop);
    this.stop.addEventListener('keydown', keepKeys);
    this.node.setAttribute('role', 'group');
    this.state.setAttribute('aria-live', 'polite');
    this.summary.addEventListener('keydown', keepKeys);

    const head = element('div', 'jp-llmroute-head');
    const state = element('span', 'jp-llmroute-state');
    const dot = element('span', 'jp-llmroute-dot');
    dot.setAttribute('aria-hidden', 'true');
    state.append(dot, this.state);
    this.model.append(this.modelName, this.on, this.serviceName);
    head.append(state, this.task, this.model, this.figures, this.stop);
    this.why.append(this.summary, this.sections);
    this.node.append(head, this.notice, this.why);
  }

  show(facts: IFacts): void {
    this.node.dataset.state = facts.state;
    this.node.dataset.level = facts.level ?? '';
    this.node.setAttribute('aria-label', label(facts));
    this.node.setAttribute('aria-busy', String(isBusy(facts)));
    this.stop.hidden = !isBusy(facts);
    setText(this.state, STATE_WORDS[facts.state]);
    this.showHead(facts);
    this.showNotice(facts);
    this.showWhy(facts);
  }

  private showHead(facts: IFacts): void {
    const { task, model, service } = facts;
    setText(this.task, task === null ? '' : taskWords(task));
    setText(this.modelName, model ?? '');
    setText(this.on, service === null ? '' : ' on ');
    setText(this.serviceName, service ?? '');
    setText(this.figures, figures(facts).join(' · '));
  }

  private showNotice(facts: IFacts): void {
    const said = notice(facts);
    this.notice.dataset.tone = said?.tone ?? '';
    this.redraw(this.notice, said?.lines ?? [], lines => lines.map(line => element('p', '', line)));
  }

  private showWhy(facts: IFacts): void {
    const sections = SECTIONS.map(([title, content]) => ({ title, content: content(facts) }));
    const filled = sections.filter(one => one.content.length > 0);
    this.redraw(this.sections, filled, all => all.map(one => section(one.title, one.content)));
    setText(this.summary, whyWords(facts));
    this.why.hidden = filled.length === 0;
  }

  /** Fill a node anew only if what it shows has changed. */
  private redraw<T>(node: HTMLElement, values: T[], draw: (values: T[]) => Node[]): void {
    const key = JSON.stringify(values);
    if (this.shown.get(node) !== key) {
      this.shown.set(node, key);
      node.replaceChildren(...draw(values));
    }
    node.hidden = values.length === 0;
  }

  private readonly state = element('span', 'jp-llmroute-state-text');
  private readonly task = element('span', 'jp-llmroute-task');
  private readonly model = element('span', 'jp-llmroute-model');
  private readonly modelName = element('bdi', 'jp-llmroute-model-name');
  private readonly on = element('span', 'jp-llmroute-service');
  private readonly serviceName = element('bdi', 'jp-llmroute-service');
  private readonly stop = element('button', 'jp-llmroute-stop', 'Stop');
  private readonly figures = element('span', 'jp-llmroute-figures');
  private readonly notice = element('div', 'jp-llmroute-notice');
  private readonly why = element('details', 'jp-llmroute-why');
  private readonly summary = element('summary', 'jp-llmroute-summary');
  private readonly sections = element('div', 'jp-llmroute-sections');
  private readonly shown = new Map<HTMLElement, string>();
}

/** Rows of one column are a list, of more columns a table. */
interface IRow {
  cells: string[];
  isChosen?: boolean;
}

/** What "Why this model" holds, in this order; a section with no rows is left out. */
const SECTIONS: [title: string, content: (facts: IFacts) => IRow[]][] = [
  ['Reasons', facts => facts.reasons.map(only)],
  ['Answered by', facts => [otherName(facts)].filter(one => one !== null).map(only)],
  ['Task', ({ task }) => (task === null ? [] : [taskWords(task), ...task.evidence].map(only))],
  [
    'Considered',
    facts => [
      ...facts.considered.map(one => ({
        cells: [one.model, one.service, one.verdict],
        isChosen: one.model === facts.model && one.service === facts.service
      })),
      ...[andMore(facts)].filter(one => one !== null).map(more => ({ cells: [more, '', ''] }))
    ]
  ],
  [
    'Failed attempts',
    facts => facts.attempts.map(one => ({ cells: [on(one.model, one.service), one.error] }))
  ],
  ['What was sent', facts => sentAlong(facts).map(only)],
  ['Took', facts => [length(facts)].filter(one => one !== null).map(only)]
];

const COLUMNS: Record<string, string[]> = {
  Considered: ['Model', 'Service', 'Verdict'],
  'Failed attempts': ['Asked', 'Error']
};

function only(text: string): IRow {
  return { cells: [text] };
}

function taskWords(task: NonNullable<IFacts['task']>): string {
  const sure = task.confidence === null ? '' : ` ${percent(task.confidence)}`;
  const rival = task.rival === null ? '' : `, ${task.rival} nearly as likely`;
  return `${task.name}${sure}${rival}`;
}

function section(title: string, rows: IRow[]): HTMLElement {
  const node = element('section', 'jp-llmroute-section');
  const columns = COLUMNS[title];
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

/** Enter and Space open and close; Lab would take them for the cell's. */
function keepKeys(event: KeyboardEvent): void {
  if (event.key === 'Enter' || event.key === ' ') {
    event.stopPropagation();
  }
}

function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className: string,
  text = ''
): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  return node;
}

/** Say it only when it changes: a live region is read aloud at every change; an empty one takes no room. */
function setText(node: HTMLElement, text: string): void {
  if (node.textContent !== text) {
    node.textContent = text;
  }
  node.hidden = text === '';
}
