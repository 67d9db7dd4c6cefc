import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';

/** What markdown makes, and a few harmless tags that models write by hand. */
const TAGS = (
  'a abbr b blockquote br code dd del details dl dt em h1 h2 h3 h4 h5 h6 hr i input ins kbd li mark ol p pre q s ' +
  'samp small span strong sub summary sup table tbody td tfoot th thead tr u ul var wbr'
).split(' ');

const CELL = ['align', 'colspan', 'rowspan'];

const ATTRIBUTES: Record<string, string[]> = {
  '*': ['dir', 'lang', 'title'],
  a: ['href', 'rel', 'target'],
  code: ['class'],
  details: ['open'],
  input: ['checked', 'disabled', 'type'],
  ol: ['start'],
  pre: ['class'],
  span: ['class'],
  td: CELL,
  th: CELL
};

/**
 * Lab's sanitizer with a shorter allow-list.
 *
 * Lab's own lets through what loads by itself (img, audio, video, a style with url(…)) and buttons that run a command
 * of Lab when clicked. A notebook's author may want those; the text of a model may not have them.
 */
export function strict(lab: IRenderMime.ISanitizer): IRenderMime.ISanitizer {
  return {
    sanitize: dirty =>
      lab.sanitize(dirty, { allowedTags: TAGS, allowedAttributes: ATTRIBUTES, allowedStyles: {} }),
    getAutolink: () => lab.getAutolink?.() ?? true,
    allowNamedProperties: false,
    allowCommandLinker: false
  };
}
