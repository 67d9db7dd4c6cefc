import { Signal } from '@lumino/signaling';

import { PAGE, type IClock } from './clock.js';
import type { Doctor, NextUp, Services } from './generated.js';
import type { Pins } from './pins.js';
import { ServerTrouble, type IRouteServer } from './trouble.js';

/** What can be asked for, in the order in which it is. "refresh" is "services" with a new look at all of them. */
const PARTS = ['refresh', 'services', 'next', 'doctor'] as const;

export type Part = (typeof PARTS)[number];

/** What comes of the parts. */
export type Resource = Exclude<Part, 'refresh'>;

/** How soon the servers are asked for again while they are being looked at. */
const LOOKING_MS = 1000;

/**
 * What the server extension said last, and when it is asked again.
 *
 * One request at a time, and none by itself unless somebody watches.
 */
export class Overview {
  readonly changed = new Signal<this, undefined>(this);

  services: Services | null = null;
  next: NextUp | null = null;
  doctor: Doctor | null = null;
  /** Why no request at all can come to anything now. */
  trouble: ServerTrouble | null = null;

  constructor(
    private readonly server: IRouteServer,
    private readonly pins: () => Pins,
    private readonly clock: IClock = PAGE
  ) {}

  /** Whether something is being asked for. */
  get isAsking(): boolean {
    return this.asking;
  }

  /** Why the newest request for this one came to nothing, where others may do better. */
  troubleOf(resource: Resource): ServerTrouble | null {
    return this.troubles.get(resource) ?? null;
  }

  /** Ask for these parts; what is asked for twice before its turn comes is asked once. */
  want(...parts: Part[]): void {
    for (const part of parts) {
      this.wanted.add(part);
    }
    if (!this.asking && !this.disposed) {
      void this.ask();
    }
  }

  /** Whether somebody looks: then servers and decisions are asked for again and again. */
  set isWatched(isWatched: boolean) {
    if (isWatched !== this.watched) {
      this.watched = isWatched;
      this.schedule();
    }
  }

  /** Pause between two rounds; 0 asks for nothing by itself. */
  set everyMs(ms: number) {
    this.interval = ms;
    this.schedule();
  }

  dispose(): void {
    this.disposed = true;
    this.cancel();
    Signal.clearData(this);
  }

  private async ask(): Promise<void> {
    this.cancel();
    this.asking = true;
    this.changed.emit(undefined);
    for (let part = this.take(); part !== null; part = this.take()) {
      await this.attempt(part);
      this.changed.emit(undefined);
    }
    this.asking = false;
    this.changed.emit(undefined);
    this.schedule();
  }

  private async attempt(part: Part): Promise<void> {
    const resource = part === 'refresh' ? 'services' : part;
    let trouble: ServerTrouble | null = null;
    try {
      await this.get(part);
    } catch (error) {
      trouble = error instanceof ServerTrouble ? error : new ServerTrouble('failed', String(error));
    }
    if (trouble?.isOfAll === true) {
      this.trouble = trouble;
      this.troubles.clear();
      this.wanted.clear();
      return;
    }
    this.trouble = null;
    if (trouble === null) {
      this.troubles.delete(resource);
    } else {
      this.troubles.set(resource, trouble);
    }
  }

  private take(): Part | null {
    const part = PARTS.find(one => this.wanted.has(one)) ?? null;
    if (part === null || this.disposed) {
      return null;
    }
    this.wanted.delete(part);
    if (part === 'refresh') {
      this.wanted.delete('services');
    }
    return part;
  }

  private async get(part: Part): Promise<void> {
    switch (part) {
      case 'refresh':
      case 'services':
        this.services = await this.server.services(part === 'refresh');
        break;
      case 'next':
        this.next = await this.server.next(this.pins());
        break;
      case 'doctor':
        this.doctor = await this.server.doctor();
        break;
    }
  }

  private schedule(): void {
    this.cancel();
    // A server that has no such extension will not get one without being restarted.
    const isHopeless = this.trouble?.kind === 'missing';
    if (!this.watched || this.asking || this.disposed || this.interval <= 0 || isHopeless) {
      return;
    }
    const isTold = this.trouble === null && this.troubleOf('services') === null;
    const isLooking = isTold && this.services?.is_looking === true;
    const ms = isLooking ? Math.min(LOOKING_MS, this.interval) : this.interval;
    this.stop = this.clock.after(ms, () => {
      this.want('services', 'next');
    });
  }

  private cancel(): void {
    this.stop?.();
    this.stop = null;
  }

  private readonly troubles = new Map<Resource, ServerTrouble>();
  private readonly wanted = new Set<Part>();
  private asking = false;
  private watched = false;
  private disposed = false;
  private interval = 0;
  private stop: (() => void) | null = null;
}
