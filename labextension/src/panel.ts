import { Widget } from '@lumino/widgets';

import { Card } from './card.js';
import { CheckList } from './check_list.js';
import { Drawn, button, element, setText } from './dom.js';
import { routeIcon } from './icons.js';
import type { NotebookState } from './notebook_state.js';
import type { Overview, Resource } from './overview.js';
import { scopeWords, troubleWords } from './panel_words.js';
import { Picker } from './picker.js';
import type { Scope } from './pins.js';
import { ServerList } from './server_list.js';
import type { ISettings } from './settings.js';
import type { Trans } from './trans.js';

export const PANEL_ID = 'llmroute-panel';

/** Servers and models, who would answer, who did last and why, and what the doctor warns of. */
export class RoutePanel extends Widget {
  constructor(
    private readonly overview: Overview,
    private readonly notebook: NotebookState,
    stop: () => void,
    private readonly trans: Trans
  ) {
    super();
    this.id = PANEL_ID;
    this.addClass('jp-llmroute-panel');
    this.title.icon = routeIcon;
    this.title.caption = trans.__('LLM route');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', trans.__('LLM route'));
    this.node.tabIndex = -1;

    this.picker = new Picker(trans, (scope, pin, path) => void this.pick(scope, pin, path));
    this.lastRoute = new Card({ stop }, trans);
    this.lastRoute.isOpen = true;
    this.servers = new ServerList(trans);
    this.checks = new CheckList(trans);
    this.refresh = button('jp-llmroute-button', trans.__('Refresh'), () => {
      if (!overview.isAsking) {
        overview.want('refresh', 'next', 'doctor');
      }
    });
    this.compose();

    overview.changed.connect(this.draw);
    notebook.changed.connect(this.draw);
    notebook.pinsChanged.connect(this.draw);
    document.addEventListener('visibilitychange', this.watch);
    this.draw();
  }

  take(settings: ISettings): void {
    this.lastRoute.isOpen = settings.openLastRoute;
  }

  override dispose(): void {
    const { overview, notebook } = this;
    overview.changed.disconnect(this.draw);
    notebook.changed.disconnect(this.draw);
    notebook.pinsChanged.disconnect(this.draw);
    document.removeEventListener('visibilitychange', this.watch);
    overview.isWatched = false;
    super.dispose();
  }

  protected override onActivateRequest(): void {
    this.refresh.focus();
  }

  protected override onAfterShow(): void {
    this.watch();
  }

  protected override onAfterHide(): void {
    this.watch();
  }

  protected override onAfterAttach(): void {
    this.watch();
  }

  /** Ask for more only while somebody can see it. */
  private readonly watch = (): void => {
    const isSeen = this.isVisible && document.visibilityState === 'visible';
    this.overview.isWatched = isSeen;
    if (isSeen) {
      this.draw();
      this.overview.want('services', 'next');
      if (this.overview.doctor === null) {
        this.overview.want('doctor');
      }
    }
  };

  private compose(): void {
    const { trans } = this;
    const head = element('header', 'jp-llmroute-panel-head');
    head.append(element('h2', 'jp-llmroute-panel-title', trans.__('LLM route')), this.refresh);
    for (const notice of [this.notice, ...Object.values(this.troubles)]) {
      notice.setAttribute('role', 'status');
    }
    const { next, services, doctor } = this.troubles;
    this.models.append(element('h3', '', trans.__('Who would answer')), next, this.picker.node);
    this.last.append(
      element('h3', '', trans.__('Last answer of this notebook')),
      this.lastCell,
      this.noRoute,
      this.lastRoute.node
    );
    this.noRoute.textContent = trans.__('No cell of it holds a routed answer yet.');
    this.running.append(
      element('h3', '', trans.__('Servers and models')),
      services,
      this.remarks,
      this.servers.node
    );
    this.warned.append(element('h3', '', trans.__('Checks')), doctor, this.checks.node);
    this.node.append(head, this.notice, this.models, this.last, this.running, this.warned);
  }

  private readonly draw = (): void => {
    // What nobody sees is drawn when it is shown.
    if (!this.isVisible && this.isAttached) {
      return;
    }
    const { overview, notebook } = this;
    const { services, next, doctor, trouble } = overview;
    // Not disabled: that would take the focus away from it.
    this.refresh.setAttribute('aria-disabled', String(overview.isAsking));
    this.node.setAttribute('aria-busy', String(overview.isAsking));
    this.notice.dataset.tone = trouble === null ? '' : 'error';
    this.drawn.redraw(this.notice, this.noticeLines(), lines =>
      lines.map(line => element('p', '', line))
    );
    this.showTroubles();
    const { troubles } = this;
    this.models.hidden = next === null && services === null && troubles.next.hidden;
    this.picker.show({
      notebook: notebook.name,
      path: notebook.path,
      isWritable: notebook.isWritable,
      pins: notebook.pins,
      services: services?.services ?? [],
      next
    });
    this.last.hidden = notebook.name === null;
    const route = notebook.lastRoute;
    this.noRoute.hidden = route !== null;
    this.lastRoute.node.hidden = route === null;
    setText(this.lastCell, typeof route?.number === 'number' ? `In[${route.number}]` : '');
    if (route !== null) {
      this.lastRoute.life = notebook.life;
      this.lastRoute.show(route.facts);
    }
    this.running.hidden = services === null && troubles.services.hidden;
    this.servers.show(services?.services ?? []);
    this.drawn.redraw(this.remarks, [...(services?.remarks ?? [])], lines =>
      lines.map(line => element('p', '', line))
    );
    this.warned.hidden = doctor === null && troubles.doctor.hidden;
    this.checks.node.hidden = doctor === null;
    if (doctor !== null) {
      this.checks.show(doctor);
    }
  };

  /** Say what stands in the way where it does; what all parts suffer from is said once. */
  private showTroubles(): void {
    const said = new Set<string>();
    for (const resource of ['next', 'services', 'doctor'] as const) {
      const trouble = this.overview.troubleOf(resource);
      const words = trouble === null ? [] : troubleWords(trouble, this.trans);
      const lines = said.has(words.join('\n')) ? [] : words;
      said.add(words.join('\n'));
      this.drawn.redraw(this.troubles[resource], lines, all =>
        all.map(line => element('p', '', line))
      );
    }
  }

  private noticeLines(): string[] {
    const { trouble, services, isAsking } = this.overview;
    if (trouble !== null) {
      return troubleWords(trouble, this.trans);
    }
    if (services === null) {
      return [isAsking ? this.trans.__('Looking for servers …') : ''].filter(line => line !== '');
    }
    if (services.is_looking) {
      return [this.trans.__('Looking for servers …')];
    }
    return services.services.length === 0
      ? [
          this.trans.__(
            'No server was found. Start one, or name it in llmroute.yaml; then refresh.'
          )
        ]
      : [];
  }

  private async pick(scope: Scope, pin: string | null, path: string | null): Promise<void> {
    const { trans } = this;
    const task = scopeWords(scope, trans);
    const { name } = this.notebook;
    if (path !== this.notebook.path) {
      // Chosen for the notebook before this one, which the panel had no time to show.
      this.draw();
      return;
    }
    try {
      await this.notebook.pin(scope, pin);
      const done = pin === null ? trans.__('automatic', task) : pin;
      this.picker.say(trans.__('Saved in %1: %2: %3.', name, task, done), 'good');
    } catch (error) {
      this.picker.say(
        trans.__(
          '%1 could not be saved, so the kernel does not know of it: %2',
          name,
          String(error)
        ),
        'error'
      );
    }
  }

  private readonly notice = element('div', 'jp-llmroute-notice');
  private readonly troubles: Record<Resource, HTMLElement> = {
    next: troubleNode(),
    services: troubleNode(),
    doctor: troubleNode()
  };
  private readonly models = element('section', 'jp-llmroute-part');
  private readonly last = element('section', 'jp-llmroute-part');
  private readonly running = element('section', 'jp-llmroute-part');
  private readonly warned = element('section', 'jp-llmroute-part');
  private readonly remarks = element('div', 'jp-llmroute-hint');
  private readonly lastCell = element('p', 'jp-llmroute-hint');
  private readonly noRoute = element('p', 'jp-llmroute-hint');
  private readonly refresh: HTMLButtonElement;
  private readonly picker: Picker;
  private readonly lastRoute: Card;
  private readonly servers: ServerList;
  private readonly checks: CheckList;
  private readonly drawn = new Drawn();
}

function troubleNode(): HTMLElement {
  const node = element('div', 'jp-llmroute-notice');
  node.dataset.tone = 'error';
  return node;
}
