import type { Doctor, NextUp, Services } from './generated.js';
import type { Pins } from './pins.js';

/** Why the server extension did not answer. */
export type Trouble =
  'missing' | 'refused' | 'unreachable' | 'slow' | 'failed' | 'version' | 'unreadable';

export class ServerTrouble extends Error {
  constructor(
    readonly kind: Trouble,
    message: string
  ) {
    super(message);
  }

  /** Whether nothing else would be answered either. */
  get isOfAll(): boolean {
    return this.kind === 'missing' || this.kind === 'unreachable';
  }
}

/** What is asked of the server extension here. */
export interface IRouteServer {
  services(refresh: boolean): Promise<Services>;
  next(pins: Pins): Promise<NextUp>;
  doctor(): Promise<Doctor>;
}
