import type { NotebookPanel } from '@jupyterlab/notebook';

import type { Runs } from './runs.js';

export const LOAD = '%load_ext jupyter_llmroute';

const PROBE = '%%route';
const MOST_MS = 1500;

const LOADS = /^\s*%(?:re)?load_ext\s+jupyter_llmroute\b/m;

/**
 * Whether the kernel knows the magics.
 *
 * It is asked to complete the magic's name, which runs nothing. A kernel that is busy or not there does not answer:
 * then it counts whether a cell that ran in this session loads them.
 */
export async function isLoaded(panel: NotebookPanel, runs: Runs): Promise<boolean> {
  return (await knows(panel)) ?? runs.sources(panel.content).some(source => LOADS.test(source));
}

async function knows({ sessionContext }: NotebookPanel): Promise<boolean | null> {
  const kernel = sessionContext.session?.kernel;
  if (!kernel) {
    return null;
  }
  const asked = kernel
    .requestComplete({ code: PROBE, cursor_pos: PROBE.length })
    .then(({ content }) => (content.status === 'ok' ? content.matches.includes(PROBE) : null))
    .catch(() => null);
  const late = new Promise<null>(resolve => {
    setTimeout(() => {
      resolve(null);
    }, MOST_MS);
  });
  return Promise.race([asked, late]);
}

/** Whether a notebook's code is Python, as far as anyone says. */
export function isPython({ content }: NotebookPanel): boolean {
  const { metadata } = content.model?.sharedModel ?? {};
  const language = metadata?.kernelspec?.language ?? metadata?.language_info?.name;
  return typeof language !== 'string' || language === '' || language.toLowerCase() === 'python';
}
