/** Control, direction and tag characters, as `jupyter_llmroute/inert.py` has them: tab and line end are none. */
const UNSEEN =
  // eslint-disable-next-line no-control-regex
  /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\p{Cs}\u{e0000}-\u{e007f}]/gu;

const LINE_END = /\r\n?/g;

/** A text as it is shown: a sign in the place of each character that nobody sees, and that could hide what it says. */
export function seen(text: string): string {
  return text.replace(LINE_END, '\n').replace(UNSEEN, '\ufffd');
}

/** Whether a text holds such characters. */
export function hidesSome(text: string): boolean {
  return seen(text) !== text.replace(LINE_END, '\n');
}
