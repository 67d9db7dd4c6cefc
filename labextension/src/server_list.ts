import { Drawn, element, setText } from './dom.js';
import type { ServedModel, Service } from './generated.js';
import { healthWords, modelCells } from './panel_words.js';
import type { Trans } from './trans.js';
import { number } from './wording.js';

// A gateway may list thousands; a person reads a few dozen.
const MOST_MODELS = 40;

/** The servers, each with its models; what the user has closed or opened stays so. */
export class ServerList {
  readonly node = element('div', 'jp-llmroute-servers');

  constructor(private readonly trans: Trans) {}

  show(services: readonly Service[]): void {
    const names = services.map(service => service.name);
    if (names.join('\n') !== [...this.known.keys()].join('\n')) {
      this.order(names);
    }
    for (const service of services) {
      this.known.get(service.name)?.show(service);
    }
  }

  private order(names: string[]): void {
    const before = new Map(this.known);
    this.known.clear();
    for (const name of names) {
      this.known.set(name, before.get(name) ?? new ServerBlock(this.trans));
    }
    this.node.replaceChildren(...[...this.known.values()].map(block => block.node));
  }

  private readonly known = new Map<string, ServerBlock>();
}

class ServerBlock {
  readonly node = element('details', 'jp-llmroute-server');

  constructor(private readonly trans: Trans) {
    const summary = element('summary', 'jp-llmroute-server-head');
    const dot = element('span', 'jp-llmroute-dot');
    dot.setAttribute('aria-hidden', 'true');
    summary.append(dot, this.name, this.health);
    this.node.open = true;
    this.node.append(summary, this.whyNot, this.where, this.models);
  }

  show(service: Service): void {
    const { product, url } = service;
    this.node.dataset.health = service.healthy ? 'well' : 'ill';
    setText(this.name, service.name);
    setText(this.health, healthWords(service, this.trans));
    setText(this.whyNot, service.why_not ?? '');
    setText(this.where, [product, url].filter(one => one !== '').join(' · '));
    this.drawn.redraw(this.models, [...service.models], models => [this.table(service, models)]);
  }

  private table(service: Service, models: ServedModel[]): HTMLElement {
    const { trans } = this;
    const table = element('table', 'jp-llmroute-table');
    table.setAttribute('aria-label', trans.__('Models of %1', service.name));
    const head = element('tr', '');
    const columns = [
      trans.__('Model'),
      trans.__('In memory'),
      trans.__('Window'),
      trans.__('Size')
    ];
    for (const column of columns) {
      const cell = element('th', '', column);
      cell.scope = 'col';
      head.append(cell);
    }
    table.createTHead().append(head);
    const body = table.createTBody();
    body.append(...models.slice(0, MOST_MODELS).map(model => this.row(model)));
    const more = models.length - MOST_MODELS;
    if (more > 0) {
      const line = element('tr', '');
      const cell = element('td', '', trans.__('and %1 more', number(more)));
      cell.colSpan = columns.length;
      line.append(cell);
      body.append(line);
    }
    return table;
  }

  private row(model: ServedModel): HTMLElement {
    const line = element('tr', model.is_usable ? '' : 'jp-mod-unusable');
    const [first, ...others] = modelCells(model, this.trans);
    const name = element('th', '', first);
    name.scope = 'row';
    if (!model.is_usable) {
      name.append(element('span', 'jp-llmroute-why-not', model.why_not ?? ''));
    }
    line.append(name, ...others.map(cell => element('td', '', cell)));
    return line;
  }

  private readonly name = element('bdi', 'jp-llmroute-server-name');
  private readonly health = element('span', 'jp-llmroute-server-health');
  private readonly whyNot = element('p', 'jp-llmroute-server-why');
  private readonly where = element('p', 'jp-llmroute-hint');
  private readonly models = element('div', 'jp-llmroute-server-models');
  private readonly drawn = new Drawn();
}
