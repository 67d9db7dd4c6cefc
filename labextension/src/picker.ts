import { Choice } from './choice.js';
import { Drawn, element, setText } from './dom.js';
import type { NextUp, Service, Task } from './generated.js';
import { choices, decisionWords, isPassedOver, scopeWords } from './panel_words.js';
import { SCOPES, pinFor, type Pins, type Scope } from './pins.js';
import type { Trans } from './trans.js';

/** What the picker shows. */
export interface IPicking {
  /** The notebook's name; null where none is open. */
  notebook: string | null;
  /** What tells it from others of that name. */
  path: string | null;
  isWritable: boolean;
  pins: Pins;
  services: readonly Service[];
  next: NextUp | null;
}

/** Who would answer, task by task, and in a notebook the wish for a model of its own. */
export class Picker {
  readonly node = element('div', 'jp-llmroute-picker');

  constructor(
    private readonly trans: Trans,
    private readonly pick: (scope: Scope, pin: string | null, path: string | null) => void
  ) {
    const list = element('div', 'jp-llmroute-picks');
    list.append(...SCOPES.map(scope => this.rows[scope].node));
    this.said.setAttribute('role', 'status');
    this.node.append(this.where, list, this.said);
    for (const scope of SCOPES) {
      this.rows[scope].name.textContent = scopeWords(scope, trans);
    }
  }

  show(picking: IPicking): void {
    const { notebook, isWritable } = picking;
    const { trans } = this;
    if (picking.path !== this.path) {
      this.path = picking.path;
      Object.values(this.choices).forEach(choice => {
        choice.drop();
      });
    }
    setText(
      this.where,
      notebook === null
        ? trans.__('Open a notebook to pin a model in it.')
        : isWritable
          ? trans.__('A model that is picked holds for %1.', notebook)
          : trans.__('%1 cannot be written, so no model can be pinned in it.', notebook)
    );
    for (const scope of SCOPES) {
      this.showRow(scope, picking);
    }
  }

  /** Say what came of a choice. */
  say(text: string, tone: 'good' | 'error'): void {
    this.said.dataset.tone = tone;
    setText(this.said, text);
  }

  private showRow(scope: Scope, picking: IPicking): void {
    const { select, now, why, node } = this.rows[scope];
    const { pins, services } = picking;
    select.disabled = !picking.isWritable;
    select.hidden = picking.notebook === null;
    node.hidden = scope === 'any' && picking.notebook === null;
    // A list that is open must not change under the pointer.
    const isKept = document.activeElement === select && select.value === (pins[scope] ?? '');
    if (!isKept && !this.choices[scope].isOpen) {
      const offered = choices(services, scope, pins, this.trans);
      this.drawn.redraw(select, offered, all => all.map(one => new Option(one.label, one.value)));
      select.value = pins[scope] ?? '';
      select.hidden = picking.notebook === null;
    }
    if (scope !== 'any') {
      this.showDecision(scope, picking, now, why);
    }
  }

  private showDecision(
    task: Task,
    { next, pins }: IPicking,
    now: HTMLElement,
    why: HTMLElement
  ): void {
    const decision = next?.tasks[task];
    setText(now, decision === undefined ? '' : decisionWords(decision, this.trans));
    now.dataset.tone = decision?.model === null ? 'error' : '';
    if (decision === undefined) {
      setText(why, '');
    } else if (decision.remarks.length > 0 || isPassedOver(decision, pins, task)) {
      const pin = pinFor(pins, task) ?? '';
      why.dataset.tone = 'warning';
      setText(
        why,
        decision.remarks[0] ?? this.trans.__('%1 is pinned, and another model would answer.', pin)
      );
    } else {
      why.dataset.tone = '';
      setText(why, decision.reasons[0] ?? '');
    }
  }

  private choice(scope: Scope): Choice {
    const { select } = this.rows[scope];
    let before = '';
    select.addEventListener('focus', () => {
      // Where the page itself was left and entered again, the choice goes on.
      if (!this.choices[scope].isOpen) {
        before = select.value;
      }
    });
    return new Choice(select, {
      choose: () => {
        before = select.value;
        this.pick(scope, select.value === '' ? null : select.value, this.path);
      },
      offer: () => {
        const offered = select.selectedOptions[0]?.label ?? '';
        this.say(this.trans.__('Enter picks %1, Escape leaves it.', offered), 'good');
      },
      leave: () => {
        select.value = before;
        this.say('', 'good');
      }
    });
  }

  /** Of the notebook that the choices are for. */
  private path: string | null = null;
  private readonly where = element('p', 'jp-llmroute-hint');
  private readonly said = element('p', 'jp-llmroute-said');
  private readonly drawn = new Drawn();
  private readonly rows = Object.fromEntries(SCOPES.map(scope => [scope, row(scope)])) as Record<
    Scope,
    IRow
  >;
  private readonly choices = Object.fromEntries(
    SCOPES.map(scope => [scope, this.choice(scope)])
  ) as Record<Scope, Choice>;
}

interface IRow {
  node: HTMLElement;
  name: HTMLElement;
  select: HTMLSelectElement;
  now: HTMLElement;
  why: HTMLElement;
}

let made = 0;

function row(scope: Scope): IRow {
  const node = element('div', 'jp-llmroute-pick');
  node.dataset.scope = scope;
  const name = element('label', 'jp-llmroute-pick-name');
  const select = element('select', 'jp-llmroute-select');
  select.id = `jp-llmroute-pick-${++made}`;
  name.htmlFor = select.id;
  const now = element('span', 'jp-llmroute-pick-now');
  const why = element('span', 'jp-llmroute-pick-why');
  node.append(name, select, now, why);
  return { node, name, select, now, why };
}
