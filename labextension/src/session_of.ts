/** A widget, as far as finding its kernel goes. */
export interface IPlaced<S> {
  readonly parent: IPlaced<S> | null;
  /** Of a notebook and of a console. */
  readonly sessionContext?: S;
  /** Of an output area: its outputs. */
  readonly model?: unknown;
}

/** A notebook, as far as its kernel and the outputs of its cells go. */
export interface IHolder<S> {
  readonly sessionContext: S;
  readonly outputs: Iterable<object>;
}

/**
 * The session in which an output came about; null where nobody can tell.
 *
 * A new view of an output is in no notebook, and shows the same outputs as the cell of one.
 */
export function sessionOf<S>(widget: IPlaced<S>, notebooks: () => Iterable<IHolder<S>>): S | null {
  for (let at = widget.parent; at !== null; at = at.parent) {
    const found = at.sessionContext ?? sessionOfOutputs(at.model, notebooks);
    if (found !== null) {
      return found;
    }
  }
  return null;
}

function sessionOfOutputs<S>(model: unknown, notebooks: () => Iterable<IHolder<S>>): S | null {
  if (typeof model !== 'object' || model === null) {
    return null;
  }
  for (const { sessionContext, outputs } of notebooks()) {
    for (const one of outputs) {
      if (one === model) {
        return sessionContext;
      }
    }
  }
  return null;
}
