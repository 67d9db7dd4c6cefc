/**
 * What of a bundle's text/markdown is drawn, and how it is made harmless before Lab's renderer sees it.
 *
 * An answer is a model's output: a picture in it would be fetched as soon as it is drawn, and its address can carry
 * the prompt away. The functions here turn pictures into links, which wait for a click. They read markdown only
 * roughly; what they miss is removed by the allow-list in sanitizer.ts.
 */

const LOADING_TAG =
  /<(?=\/?(?:img|image|picture|source|audio|video|track|svg|iframe|frame|embed|object|input|link|style|base|meta)\b)/gi;

/** A backslash before the mark already makes it text, unless that backslash is itself escaped. */
const IMAGE = /(\\*)!\[(?:([^[\]]*)\](?=[([]))?/g;

const CONTAINERS = /^(?:[ \t]|>|[-*+][ \t]|\d{1,9}[.)][ \t])*/;

const DIAGRAM = /(`{3,}|~{3,})[^\S\r\n]*mermaid[^\S\r\n]*$/gim;

/**
 * Of MathJax: they make links and styles, or give these another name, for every later formula of the page too. The
 * kernel's `inert.py` has the same; a forged notebook has not been there.
 */
const MACRO = new RegExp(
  String.raw`\\(?=(?:style|class|data)\s*[{[%]|(?:href|url|includegraphics|html(?:Class|Data|Id|Style)|cssId|` +
    String.raw`mmlToken|require|bbox|[egx]?def|let|futurelet|csname|(?:new|renew|provide)(?:command|environment)|` +
    String.raw`DeclareMathOperator)(?![A-Za-z]))`,
  'g'
);

/** The part of an answer's markdown that the markdown renderer gets. */
export function body(markdown: string, cardLines: number): string {
  return withoutImages(withoutDiagrams(afterLines(markdown, cardLines)));
}

/** Everything after the first so many lines. */
export function afterLines(markdown: string, lines: number): string {
  let at = 0;
  for (let line = 0; line < lines; line++) {
    const end = markdown.indexOf('\n', at);
    if (end < 0) {
      return '';
    }
    at = end + 1;
  }
  return markdown.slice(at);
}

/** Show a diagram's source: drawing one fetches the pictures it names, before any sanitizer is asked. */
export function withoutDiagrams(markdown: string): string {
  return markdown.replace(DIAGRAM, '$1text');
}

/** Turn pictures into links, and tags that load something into text; code is left as it is. */
export function withoutImages(markdown: string): string {
  return blocks(markdown)
    .map(block => (block.isCode ? block.text : outsideSpans(block.text, harmless)))
    .join('\n');
}

function harmless(text: string): string {
  return text
    .replace(LOADING_TAG, '&lt;')
    .replace(MACRO, '\\\u2060')
    .replace(IMAGE, (all: string, escapes: string, label?: string) => {
      if (escapes.length % 2 === 1) {
        return all;
      }
      return label === undefined ? `${escapes}\\![` : `${escapes}[image: ${label}]`;
    });
}

interface IBlock {
  isCode: boolean;
  text: string;
}

/** Cut markdown into fenced code and paragraphs. */
function blocks(markdown: string): IBlock[] {
  const found: IBlock[] = [];
  let lines: string[] = [];
  let fence: string | null = null;

  const close = (isCode: boolean): void => {
    if (lines.length > 0) {
      found.push({ isCode, text: lines.join('\n') });
    }
    lines = [];
  };

  for (const line of markdown.split('\n')) {
    const content = line.replace(CONTAINERS, '');
    if (fence !== null) {
      lines.push(line);
      if (closes(content, fence)) {
        close(true);
        fence = null;
      }
    } else if ((fence = opening(content)) !== null) {
      close(false);
      lines.push(line);
    } else {
      lines.push(line);
      if (content === '') {
        close(false);
      }
    }
  }
  close(fence !== null);
  return found;
}

function opening(content: string): string | null {
  const match = /^(?:(`{3,})[^`]*|(~{3,}).*)$/.exec(content);
  return match === null ? null : (match[1] ?? match[2] ?? null);
}

function closes(content: string, fence: string): boolean {
  const marks = content.trim();
  return marks.startsWith(fence) && marks === fence.charAt(0).repeat(marks.length);
}

/** Apply `change` to all of one paragraph but its `code spans`: a run of backticks up to the next run as long. */
function outsideSpans(paragraph: string, change: (text: string) => string): string {
  const runs: IRun[] = [...paragraph.matchAll(/`+/g)].map(run => ({
    at: run.index,
    ticks: run[0].length
  }));
  // Without this a text of many open runs would be searched to its end for each of them.
  const unclosed = new Set<number>();
  let changed = '';
  let done = 0;
  for (const [index, open] of runs.entries()) {
    if (open.at < done || unclosed.has(open.ticks)) {
      continue;
    }
    const end = nextAsLong(runs, index);
    if (end === undefined) {
      unclosed.add(open.ticks);
      continue;
    }
    const after = end.at + end.ticks;
    changed += change(paragraph.slice(done, open.at)) + paragraph.slice(open.at, after);
    done = after;
  }
  return changed + change(paragraph.slice(done));
}

interface IRun {
  at: number;
  ticks: number;
}

function nextAsLong(runs: IRun[], index: number): IRun | undefined {
  const ticks = runs[index]?.ticks;
  for (let later = index + 1; later < runs.length; later++) {
    if (runs[later]?.ticks === ticks) {
      return runs[later];
    }
  }
  return undefined;
}
