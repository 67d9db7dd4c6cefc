import { ENGLISH, type Trans } from './trans.js';
import { number } from './wording.js';

/** The comm by which a kernel asks for a cell or the clipboard to be written, when one of its buttons was pressed. */
export const TARGET = 'jupyter_llmroute.cell';

/** A new cell, the cell that asked, the clipboard. */
export const WRITES = ['below', 'replace', 'copy'] as const;

export type Write = (typeof WRITES)[number];

export interface IWriteRequest {
  write: Write;
  /** The id of the cell that asked. */
  cell: string;
  text: string;
  /** What the cell that is to be replaced must still hold. */
  expected: string;
}

/** The cell that asked, as it is now. */
export interface IHeld {
  source: string;
  isEditable: boolean;
}

/** Whether somebody pressed the button in this page: "late" is too long ago for a cell to appear by surprise. */
export type Pressed = 'now' | 'late' | 'never';

/** Of a text, UTF-16 units. */
export const MOST_CHARACTERS = 300_000;

/** Read what a comm was opened with: any JSON at all. */
export function readRequest(data: unknown): IWriteRequest | null {
  const it = (typeof data === 'object' && data !== null ? data : {}) as Record<string, unknown>;
  const write = WRITES.find(known => known === it.action);
  const { version, cell, text, expected } = it;
  return version === 1 && write && isText(cell) && cell !== '' && isText(text) && isText(expected)
    ? { write, cell, text, expected }
    : null;
}

/** Why a cell is not written; null where it may be. */
export function refusal(
  request: IWriteRequest,
  held: IHeld | null,
  pressed: Pressed,
  trans: Trans = ENGLISH
): string | null {
  if (pressed === 'never') {
    return trans.__('nobody pressed its button in this page');
  }
  if (pressed === 'late') {
    return trans.__('the kernel was busy for long after the click; press again');
  }
  if (request.text.length > MOST_CHARACTERS) {
    return trans.__('the text has more than %1 characters', number(MOST_CHARACTERS));
  }
  if (request.write === 'copy') {
    return null; // nothing of the notebook is touched
  }
  if (held === null) {
    return trans.__('the cell that asked is no longer here');
  }
  if (!held.isEditable) {
    return trans.__('the notebook or the cell is read-only');
  }
  if (request.write === 'replace' && bare(held.source) !== bare(request.expected)) {
    return trans.__('the cell was changed since it asked');
  }
  return null;
}

/** IPython's history has no line ends at the end of a cell. */
function bare(source: string): string {
  return source.replace(/\n+$/, '');
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}
