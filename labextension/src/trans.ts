import type { TranslationBundle } from '@jupyterlab/translation';

/**
 * What says a sentence in the user's language: Lab's bundle of this extension, or plain English.
 *
 * `%1` is the first value put in, in `_n` the number itself. A doubled `%` becomes one, so magics are put in as values.
 */
export type Trans = Pick<TranslationBundle, '__' | '_n'>;

export const DOMAIN = 'jupyter_llmroute';

export const ENGLISH: Trans = {
  __: (sentence: string, ...values: unknown[]) => filled(sentence, values),
  _n: (one: string, many: string, number: number, ...values: unknown[]) =>
    filled(number === 1 ? one : many, [number, ...values])
};

function filled(sentence: string, values: unknown[]): string {
  return sentence.replace(/%(\d)/g, (_, place: string) => String(values[Number(place) - 1]));
}
