import type { INewCell } from './insertion.js';

/** Cell magics of IPython by the language of a code block. */
const MAGICS = new Map([
  ['bash', 'bash'],
  ['sh', 'bash'],
  ['shell', 'bash'],
  ['html', 'html'],
  ['javascript', 'javascript'],
  ['js', 'javascript'],
  ['latex', 'latex'],
  ['perl', 'perl'],
  ['ruby', 'ruby'],
  ['svg', 'svg']
]);

/** The cell that a code block becomes: another language gets its cell magic, and prose becomes text. */
export function cellOfBlock(language: string, code: string): INewCell {
  const source = code.replace(/\n+$/, '');
  const known = language.toLowerCase();
  if (known === 'markdown' || known === 'md') {
    return { source, kind: 'markdown' };
  }
  const magic = MAGICS.get(known);
  return {
    source: magic === undefined || source.startsWith('%%') ? source : `%%${magic}\n${source}`
  };
}

/** The language that a code block's class tells, as Lab's markdown renderer writes it. */
export function languageOf(className: string): string {
  return /(?:^|\s)language-([\w+#.-]{1,40})/.exec(className)?.[1] ?? '';
}
