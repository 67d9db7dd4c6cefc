import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import type { Check } from './check.js';
import type { Doctor, NextUp, Services } from './generated.js';
import type { Pins } from './pins.js';
import { isDoctor, isNextUp, isServices, versionOf } from './shapes.js';
import { ServerTrouble, type IRouteServer } from './trouble.js';

// Looking at servers that do not answer takes a few seconds, the doctor somewhat longer.
const MOST_MS = 60_000;

/** The server extension in the Jupyter server; token and XSRF go along as Lab does it. */
export class RouteServer implements IRouteServer {
  constructor(private readonly settings: ServerConnection.ISettings) {}

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
      throw new ServerTrouble('version', await this.version());
    }
    return said;
  }

  private version(): Promise<string> {
    return this.json('openapi.json', {}).then(versionOf, () => '');
  }

  private async json(path: string, query: Record<string, string>): Promise<unknown> {
    const url =
      URLExt.join(this.settings.baseUrl, 'jupyter_llmroute', path) +
      URLExt.objectToQueryString(query);
    const response = await this.response(url);
    if (response.status === 404) {
      throw new ServerTrouble('missing', url);
    }
    if (response.status === 401 || response.status === 403) {
      throw new ServerTrouble('refused', await message(response));
    }
    if (!response.ok) {
      throw new ServerTrouble('failed', await message(response));
    }
    return response.json();
  }

  private async response(url: string): Promise<Response> {
    try {
      const init = { signal: AbortSignal.timeout(MOST_MS) };
      return await ServerConnection.makeRequest(url, init, this.settings);
    } catch (error) {
      throw new ServerTrouble('unreachable', String(error));
    }
  }
}

async function message(response: Response): Promise<string> {
  const said: unknown = await response.json().catch(() => null);
  const known = typeof said === 'object' && said !== null && 'message' in said ? said.message : '';
  return typeof known === 'string' && known !== ''
    ? known
    : `${response.status} ${response.statusText}`;
}
