import { fields, text } from './check.js';

const isApiDescription = fields<{ info: { version: string } }>({
  info: fields<{ version: string }>({ version: text })
});

/** The version of the server extension, as it describes itself; empty where it does not say. */
export function versionOf(description: unknown): string {
  return isApiDescription(description) ? description.info.version : '';
}
