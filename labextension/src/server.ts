import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import type { Check } from './check.js';
import type { Doctor, NextUp, Services } from './generated.js';
import { VERSION, isDoctor, isNextUp, isServices } from './generated_checks.js';
import type { Pins } from './pins.js';
import { versionOf } from './shapes.js';
import { ServerTrouble, type IRouteServer } from './trouble.js';

// Looking at servers that do not answer takes a few seconds, the doctor somewhat longer.
const MOST_MS = 60_000;

const DESCRIPTION = 'openapi.json';

/** The server extension in the Jupyter server; token and XSRF go along as Lab does it. */
export class RouteServer implements IRouteServer {
  constructor(
    private readonly settings: ServerConnection.ISettings,
    private readonly mostMs = MOST_MS
  ) {}

  services(refresh: boolean): Promise<Services> {
    return this.get('services', isServices, refresh ? { refresh: '1' } : {});
  }

  next(pins: Pins): Promise<NextUp> {
    const query = Object.keys(pins).length > 0 ? { pins: JSON.stringify(pins) } : undefined;
    return this.get('next', isNextUp, query);
  }

  doctor(): Promise<Doctor> {
    return this.get('doctor', isDoctor);
  }

  private async get<T>(
    path: string,
    check: Check<T>,
    query: Record<string, string> = {}
  ): Promise<T> {
    const said = await this.json(path, query);
    if (!check(said)) {
      const version = await this.version();
      throw version === VERSION
        ? new ServerTrouble('unreadable', path)
        : new ServerTrouble('version', version);
    }
    return said;
  }

  /** Asked once: it stays the same until the server was away. */
  private async version(): Promise<string> {
    this.known ??= await this.json(DESCRIPTION, {}).then(versionOf, () => null);
    return this.known ?? '';
  }

  private async json(path: string, query: Record<string, string>): Promise<unknown> {
    const url = this.url(path) + URLExt.objectToQueryString(query);
    const response = await this.response(url);
    if (response.status === 404) {
      const isMissing = path === DESCRIPTION || (await this.isMissing());
      throw new ServerTrouble(isMissing ? 'missing' : 'failed', await message(response));
    }
    if (response.status === 401 || response.status === 403) {
      throw new ServerTrouble('refused', await message(response));
    }
    if (!response.ok) {
      throw new ServerTrouble('failed', await message(response));
    }
    return response.json().catch(() => null);
  }

  /** Whether nothing of the extension is there: one path alone may be what another version does not have. */
  private async isMissing(): Promise<boolean> {
    return (await this.response(this.url(DESCRIPTION))).status === 404;
  }

  private url(path: string): string {
    return URLExt.join(this.settings.baseUrl, 'jupyter_llmroute', path);
  }

  private async response(url: string): Promise<Response> {
    const signal = AbortSignal.timeout(this.mostMs);
    try {
      return await ServerConnection.makeRequest(url, { signal }, this.settings);
    } catch (error) {
      if (signal.aborted) {
        throw new ServerTrouble('slow', String(this.mostMs / 1000));
      }
      this.known = null;
      throw new ServerTrouble('unreachable', String(error));
    }
  }

  private known: string | null = null;
}

async function message(response: Response): Promise<string> {
  const said: unknown = await response.json().catch(() => null);
  const known = typeof said === 'object' && said !== null && 'message' in said ? said.message : '';
  return typeof known === 'string' && known !== ''
    ? known
    : `${response.status} ${response.statusText}`;
}
