import type { ISessionContext } from '@jupyterlab/apputils';
import type { ICodeCellModel } from '@jupyterlab/cells';

export function isBusyKernel({ session }: ISessionContext): boolean {
  return session?.kernel?.status === 'busy';
}

/** Whether a cell runs now, in the kernel of its notebook. */
export function isRunningCell(model: ICodeCellModel, session: ISessionContext): boolean {
  const kernel = session.session?.kernel;
  if (!kernel || kernel.status === 'dead') {
    return false;
  }
  // JupyterLab before 4.3 does not tell.
  const { executionState: state } = model as { executionState?: string };
  return state === undefined
    ? isBusyKernel(session) && model.executionCount === null
    : state === 'running';
}
