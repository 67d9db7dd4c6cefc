import type { ISelection } from './insertion.js';
import { ENGLISH, type Trans } from './trans.js';

/** What can be asked about a cell with one click. */
export const ACTIONS = ['route', 'explain', 'problems', 'document', 'fix'] as const;

export type Action = (typeof ACTIONS)[number];

/** A cell to ask about. */
export interface IAskedCell {
  kind: 'code' | 'markdown' | 'raw';
  source: string;
  /** Its number among the inputs of this kernel session, if it ran there as it stands. */
  number: number | null;
  /** The traceback in its output. */
  error: string | null;
  /** Whether it is what `%%route --fix` would take. */
  isLastFailure: boolean;
}

/** A cell to insert: its question is selected, to be typed over; where it has none yet, that is the place to type. */
export interface IQuestion {
  source: string;
  selection: ISelection;
}

const OURS = /^\s*%%?(?:route|ask|llm_\w+)\b/;

/** Whether a cell is itself a question, or another of the magics. */
export function isOurs(source: string): boolean {
  return OURS.test(source);
}

export function canAsk(action: Action, cell: IAskedCell): boolean {
  if (cell.source.trim() === '' || isOurs(cell.source)) {
    return false;
  }
  return action === 'route' || (cell.kind === 'code' && (action !== 'fix' || cell.error !== null));
}

/**
 * The cell that asks about another one.
 *
 * A cell that ran in this session goes along by its number, with what it showed. The kernel knows no others, so they
 * stand in the question as they are. A text cell is a question itself. All words that are sent are in the cell, and
 * the user may change them. They are chosen so that the classifier takes each question for its proper task:
 * "Explain" and "Document" for documentation, "Find problems" for analysis, "Fix error" for coding.
 */
export function question(action: Action, cell: IAskedCell, trans: Trans = ENGLISH): IQuestion {
  if (cell.kind !== 'code') {
    return asked('%%route', cell.source.trim(), []);
  }
  if (action === 'fix') {
    return cell.isLastFailure
      ? asked('%%route --fix', trans.__('Fix this error.'), [])
      : asked('%%route', words(action, null, trans), [cell.source, tail(cell.error ?? '')]);
  }
  return cell.number === null
    ? asked('%%route', words(action, null, trans), [cell.source])
    : asked(`%%route --cells ${cell.number}`, words(action, cell.number, trans), []);
}

function words(action: Action, number: number | null, trans: Trans): string {
  const what = number === null ? trans.__('this code') : `In[${number}]`;
  const sentences: Record<Action, string> = {
    // What is asked is the user's.
    route: '',
    explain: trans.__('Explain %1 to a reader of this notebook: what it does, and how.', what),
    problems: trans.__('Review %1: what is wrong, or goes wrong with unusual input?', what),
    document: trans.__('Write docstrings and comments for %1, and change nothing else.', what),
    fix: trans.__('Fix the error of %1.', what)
  };
  return sentences[action];
}

function asked(head: string, sentence: string, blocks: string[]): IQuestion {
  const from = head.length + 1;
  return {
    source: [`${head}\n${sentence}`, ...blocks.map(fenced)].join('\n\n'),
    selection: { from, to: from + sentence.length }
  };
}

function fenced(text: string): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = '`'.repeat(longest + 1);
  return `${fence}\n${text.trim()}\n${fence}`;
}

const MOST_OF_TRACEBACK = 4000;

// Escape sequences of colours, as tracebacks have them.
// eslint-disable-next-line no-control-regex
const COLOUR = /\u001b\[[0-9;]*m/g;

/** The end of a traceback, where it says what failed. */
function tail(traceback: string): string {
  const plain = traceback.replace(COLOUR, '');
  return plain.length > MOST_OF_TRACEBACK ? `…${plain.slice(-MOST_OF_TRACEBACK)}` : plain;
}
