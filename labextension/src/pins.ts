/** The models that a notebook asks for, by task, as its metadata holds them. */
export const METADATA_KEY = 'llmroute';

/** "any" holds for every task without a pin of its own. */
export const SCOPES = ['any', 'coding', 'reasoning', 'analysis', 'documentation'] as const;

export type Scope = (typeof SCOPES)[number];

/** For one task: no model, whatever is pinned for all. */
export const AUTO = 'auto';

/** "model@service", "model" alone, or AUTO. */
export type Pins = Partial<Record<Scope, string>>;

/** Code points, as Python counts. */
const MOST_CHARACTERS = 300;

type Fields = Record<string, unknown>;

/** Read the pins out of what the metadata holds under the key: any JSON at all, by anyone. */
export function readPins(value: unknown): Pins {
  const held = fields(fields(value).pins);
  const pins: Pins = {};
  for (const scope of SCOPES) {
    const pin = held[scope];
    if (typeof pin === 'string' && isPin(pin)) {
      pins[scope] = pin.trim();
    }
  }
  return pins;
}

/** What the metadata is to hold under the key once a pin is set, or taken away; null where nothing is left. */
export function withPin(value: unknown, scope: Scope, pin: string | null): Fields | null {
  const others = without(fields(value), 'pins');
  const kept = without(readPins(value), scope);
  const pins: Pins = pin === null ? kept : { ...kept, [scope]: pin };
  const changed = Object.keys(pins).length === 0 ? others : { ...others, pins };
  return Object.keys(changed).length === 0 ? null : changed;
}

export function pinOf(model: string, service: string): string {
  return `${model}@${service}`;
}

/** The pin that holds for a task. */
export function pinFor(pins: Pins, scope: Scope): string | null {
  return pins[scope] ?? pins.any ?? null;
}

/** What cannot be seen, or not told apart: controls, turns of direction, lone surrogates, separators but the space. */
const UNSEEN = /[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/u;

/** As `jupyter_llmroute/core/pins.py` reads it; tests/pins.json holds both to it. */
function isPin(pin: string): boolean {
  return pin.trim() !== '' && Array.from(pin).length <= MOST_CHARACTERS && !UNSEEN.test(pin);
}

function without<T extends object>(value: T, name: string): T {
  return Object.fromEntries(Object.entries(value).filter(([key]) => key !== name)) as T;
}

function fields(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Fields)
    : {};
}
