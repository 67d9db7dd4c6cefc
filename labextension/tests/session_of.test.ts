import assert from 'node:assert/strict';
import { test } from 'node:test';

import { sessionOf, type IHolder, type IPlaced } from '../src/session_of.js';

const [MINE, YOURS] = [{ outputs: 1 }, { outputs: 2 }];
const NOTEBOOKS: IHolder<string>[] = [
  { sessionContext: 'mine', outputs: [{}, MINE] },
  { sessionContext: 'yours', outputs: [YOURS] }
];

function within(...around: Omit<IPlaced<string>, 'parent'>[]): IPlaced<string> {
  const parent = around.reduceRight<IPlaced<string> | null>(
    (outer, one) => ({ ...one, parent: outer }),
    null
  );
  return { parent };
}

function found(widget: IPlaced<string>): string | null {
  return sessionOf(widget, () => NOTEBOOKS);
}

test("an output's session is that of the notebook or console that it is in", () => {
  assert.equal(found(within({}, { model: {} }, { sessionContext: 'console' }, {})), 'console');
  assert.equal(found(within({ model: YOURS }, { sessionContext: 'yours' })), 'yours');
});

test("a new view of an output has the session of the notebook whose cell's outputs it shows", () => {
  assert.equal(found(within({ model: YOURS }, {})), 'yours');
  assert.equal(found(within({ model: MINE }, {})), 'mine');
});

test('of an output that is in no notebook nobody can tell', () => {
  assert.equal(found(within()), null);
  assert.equal(found(within({ model: {} }, { model: null }, {})), null);
});
