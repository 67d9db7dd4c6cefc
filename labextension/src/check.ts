/** Whether a value is what it should be: what another program says is not believed. */
export type Check<T> = (value: unknown) => value is T;

export const text: Check<string> = (value): value is string => typeof value === 'string';

export const amount: Check<number> = (value): value is number => typeof value === 'number';

export const flag: Check<boolean> = (value): value is boolean => typeof value === 'boolean';

export function oneOf<const T extends string>(...known: T[]): Check<T> {
  return (value): value is T => known.some(one => one === value);
}

export function orNull<T>(check: Check<T>): Check<T | null> {
  return (value): value is T | null => value === null || check(value);
}

export function list<T>(check: Check<T>): Check<T[]> {
  return (value): value is T[] => Array.isArray(value) && value.every(check);
}

/** With at least these fields, each of its kind. */
export function fields<T extends object>(checks: { [K in keyof T]-?: Check<T[K]> }): Check<T> {
  const all = Object.entries<Check<unknown>>(checks);
  return (value): value is T => {
    const held = typeof value === 'object' && value !== null ? value : {};
    const said = new Map<string, unknown>(Object.entries(held));
    return all.every(([name, check]) => check(said.get(name)));
  };
}
