/** The few ways in which pages are made here: everything from outside goes in as textContent. */

export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className: string,
  text = ''
): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  return node;
}

/** A button that does something when it is clicked, or when Enter or Space is pressed on it. */
export function button(className: string, text: string, run: () => void): HTMLButtonElement {
  const node = element('button', className, text);
  node.type = 'button';
  node.addEventListener('click', run);
  node.addEventListener('keydown', keepKeys);
  return node;
}

/** Say it only when it changes: a live region is read aloud at every change; an empty one takes no room. */
export function setText(node: HTMLElement, text: string): void {
  if (node.textContent !== text) {
    node.textContent = text;
  }
  node.hidden = text === '';
}

/** Enter and Space press what has the focus; Lab would take them for the cell's. */
export function keepKeys(event: KeyboardEvent): void {
  if (event.key === 'Enter' || event.key === ' ') {
    event.stopPropagation();
  }
}

/** Draws a node anew only if what it shows has changed, so that nothing under the pointer or the focus goes away. */
export class Drawn {
  redraw<T>(node: HTMLElement, values: T[], draw: (values: T[]) => Node[]): void {
    const key = JSON.stringify(values);
    if (this.shown.get(node) !== key) {
      this.shown.set(node, key);
      node.replaceChildren(...draw(values));
    }
    node.hidden = values.length === 0;
  }

  private readonly shown = new WeakMap<HTMLElement, string>();
}
