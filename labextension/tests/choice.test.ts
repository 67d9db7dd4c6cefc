import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Choice } from '../src/choice.js';

interface IPage {
  select: EventTarget;
  choice: Choice;
  did: string[];
  page: { isFocused: boolean; hasFocus: () => boolean };
}

/** A select as far as its events go. */
function page(): IPage {
  const select = new EventTarget();
  const did: string[] = [];
  const note = (what: string) => (): void => {
    did.push(what);
  };
  const page = {
    isFocused: true,
    hasFocus(): boolean {
      return this.isFocused;
    }
  };
  const does = { choose: note('choose'), offer: note('offer'), leave: note('leave') };
  return { select, choice: new Choice(select as HTMLSelectElement, does, page), did, page };
}

function press(select: EventTarget, key: string): void {
  select.dispatchEvent(Object.assign(new Event('keydown'), { key, altKey: false }));
}

function offer(select: EventTarget): void {
  press(select, 'ArrowDown');
  select.dispatchEvent(new Event('change'));
}

test('what arrow keys offer is chosen with Enter, or when the focus goes elsewhere in the page', () => {
  const { select, did } = page();
  offer(select);
  assert.deepEqual(did, ['offer']);
  press(select, 'Enter');
  assert.deepEqual(did, ['offer', 'choose']);
  offer(select);
  select.dispatchEvent(new Event('blur'));
  assert.deepEqual(did.slice(2), ['offer', 'choose']);
});

test('a look at another window chooses nothing, and the choice goes on afterwards', () => {
  const { select, choice, did, page: shown } = page();
  offer(select);
  shown.isFocused = false;
  select.dispatchEvent(new Event('blur'));
  assert.deepEqual(did, ['offer']);
  assert.equal(choice.isOpen, true);
  shown.isFocused = true;
  press(select, 'Escape');
  assert.deepEqual(did, ['offer', 'leave']);
});

test('what was dropped is not chosen any more', () => {
  const { select, choice, did } = page();
  offer(select);
  choice.drop();
  select.dispatchEvent(new Event('blur'));
  assert.deepEqual(did, ['offer']);
});
