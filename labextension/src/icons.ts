import { LabIcon } from '@jupyterlab/ui-components';

import type { Action } from './question.js';

/** Pictures of 16 by 16, in the theme's own colours. */
function drawn(name: string, path: string): LabIcon {
  return new LabIcon({
    name: `llmroute:${name}`,
    svgstr:
      '<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 16 16">' +
      `<g class="jp-icon3" fill="#616161">${path}</g></svg>`
  });
}

/** One way in, three ways out: the middle one is taken. */
export const routeIcon = drawn(
  'icon',
  '<circle cx="3" cy="8" r="2"/><circle cx="13" cy="3" r="1.5"/><circle cx="13" cy="13" r="1.5"/>' +
    '<path d="M4.5 7.2h4.3l-1.6-1.6 1-1 3.4 3.4-3.4 3.4-1-1 1.6-1.6H4.5z"/>' +
    '<path d="M4 6.6 11.4 2.4l.5.9L4.6 7.5zM4 9.4l7.4 4.2.5-.9-7.3-4.2z"/>'
);

export const ACTION_ICONS: Record<Action, LabIcon> = {
  route: routeIcon,
  explain: drawn(
    'explain',
    '<path d="M2 2h12v9H7l-3.5 3v-3H2zm1.3 1.3v6.4h1.5v1.4l1.6-1.4h6.3V3.3z"/>' +
      '<path d="M5 5h6v1.1H5zm0 2.2h4.5v1.1H5z"/>'
  ),
  problems: drawn(
    'problems',
    '<path d="M7 2a5 5 0 0 1 4 8l3.2 3.2-1 1L10 11A5 5 0 1 1 7 2zm0 1.4a3.6 3.6 0 1 0 0 7.2 3.6 3.6 0 0 0 0-7.2z"/>' +
      '<path d="M6.4 4.8h1.2v2.6H6.4zm0 3.3h1.2v1.2H6.4z"/>'
  ),
  document: drawn(
    'document',
    '<path d="M3 1h7l3 3v11H3zm1.3 1.3v11.4h7.4V5H9V2.3z"/>' +
      '<path d="M5.5 7h5v1.1h-5zm0 2.2h5v1.1h-5zm0 2.2h3v1.1h-3z"/>'
  ),
  fix: drawn(
    'fix',
    '<path d="M10.6 1.6a3.8 3.8 0 0 0-3.5 5.1L1.8 12a1.6 1.6 0 0 0 2.2 2.2l5.3-5.3a3.8 3.8 0 0 0 4.9-4.8l-2.2 2.2-1.9-.4-.4-1.9 2.2-2.2a3.8 3.8 0 0 0-1.3-.2z"/>'
  )
};
