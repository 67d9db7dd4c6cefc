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
  details: ['open'],
  input: ['checked', 'disabled', 'type'],
  ol: ['start'],
  td: CELL,
  th: CELL
};

/** Languages of code, and the colours that Lab's editor gives it; another class of Lab's could cover the page. */
const CLASSES: Record<string, (string | RegExp)[]> = {
  code: ['language-*'],
  pre: [],
  span: [/^(?:ͼ|cm-)\w*$/]
};

/** A bare "#" is a folder to Lab. */
const ELSEWHERE = /^(?:https?:\/\/|mailto:|#.)/i;

interface ITag {
  tagName: string;
  attribs: Record<string, string>;
}

/** Leave out an address that is none of the web: on Lab's own server it would carry the user's cookie. */
function link(tagName: string, { href, ...others }: Record<string, string>): ITag {
  const isElsewhere = href !== undefined && ELSEWHERE.test(href);
  return { tagName, attribs: isElsewhere ? { href, ...others } : others };
}

/** Of sanitize-html, to which Lab's sanitizer hands all options. */
const OPTIONS = {
  allowedTags: TAGS,
  allowedAttributes: ATTRIBUTES,
  allowedStyles: {},
  allowedClasses: CLASSES,
  transformTags: { a: link }
};

/**
 * Lab's sanitizer with a shorter allow-list.
 *
 * Lab's own lets through what loads by itself (img, audio, video, a style with url(…)) and buttons that run a command
 * of Lab when clicked. A notebook's author may want those; the text of a model may not have them.
 */
export function strict(lab: IRenderMime.ISanitizer): IRenderMime.ISanitizer {
  return {
    sanitize: dirty => lab.sanitize(dirty, OPTIONS),
    // Markdown has made links of the addresses in prose; Lab would make some of those in code, of data: too.
    getAutolink: () => false,
    allowNamedProperties: false,
    allowCommandLinker: false
  };
}
