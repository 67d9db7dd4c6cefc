import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';

import { addAnswerRenderer } from './renderer.js';

const plugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-llmroute:plugin',
  description: 'Draws a routed answer: which model gave it, why, and what was sent.',
  autoStart: true,
  requires: [IRenderMimeRegistry],
  activate: (app: JupyterFrontEnd, registry: IRenderMimeRegistry) => {
    // Through the kernel's interrupt: while a cell runs, the kernel hears nothing else. A click in an output makes
    // its notebook the current one, whose kernel the command interrupts.
    addAnswerRenderer(registry, () => void app.commands.execute('notebook:interrupt-kernel'));
    lookUpNoLinks();
  }
};

/**
 * Keep the browser from looking up the hosts of links before anyone clicks.
 *
 * Browsers do so on pages served over plain http, as a local Lab is; a host's name in an answer could carry the
 * prompt to a name server.
 */
function lookUpNoLinks(): void {
  const meta = document.createElement('meta');
  meta.httpEquiv = 'x-dns-prefetch-control';
  meta.content = 'off';
  document.head.append(meta);
}

export default plugin;
