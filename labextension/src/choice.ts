/** Keys that open the list of a select: what is chosen in an open list is meant. */
function opens({ key, altKey }: KeyboardEvent): boolean {
  return key === ' ' || key === 'F4' || (altKey && key.startsWith('Arrow'));
}

/**
 * The choice in a select.
 *
 * In a closed one, arrow keys and letters change it with every press. Such a choice is only meant once Enter is
 * pressed or the focus goes elsewhere; Escape takes it back.
 */
export class Choice {
  constructor(
    select: HTMLSelectElement,
    private readonly does: { choose: () => void; offer: () => void; leave: () => void },
    private readonly page: { hasFocus: () => boolean } = document
  ) {
    select.addEventListener('pointerdown', () => {
      this.isByKey = false;
    });
    select.addEventListener('keydown', this.press);
    select.addEventListener('change', () => {
      this.open = this.isByKey;
      (this.open ? does.offer : does.choose)();
    });
    select.addEventListener('blur', () => {
      // Somebody who looks at another window has chosen nothing by that.
      if (this.page.hasFocus()) {
        this.settle();
      }
    });
  }

  /** Whether what the select shows is not chosen yet. */
  get isOpen(): boolean {
    return this.open;
  }

  /** Forget what is not chosen yet. */
  drop(): void {
    this.open = false;
  }

  private readonly press = (event: KeyboardEvent): void => {
    this.isByKey = event.key !== 'Enter' && !opens(event);
    if (!this.open) {
      return;
    }
    if (event.key === 'Enter') {
      event.preventDefault();
      event.stopPropagation();
      this.settle();
    } else if (event.key === 'Escape') {
      event.stopPropagation();
      this.open = false;
      this.does.leave();
    }
  };

  private readonly settle = (): void => {
    if (this.open) {
      this.open = false;
      this.does.choose();
    }
  };

  private open = false;
  private isByKey = false;
}
