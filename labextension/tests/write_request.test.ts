import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Presses, WAIT_MS } from '../src/presses.js';
import { readRequest, refusal, type IHeld, type IWriteRequest } from '../src/write_request.js';
import { Clock } from './standing_clock.js';

const DATA = { version: 1, action: 'replace', cell: 'c1', text: 'x = 1', expected: '%%route\nx' };
const REPLACE: IWriteRequest = {
  write: 'replace',
  cell: 'c1',
  text: 'x = 1',
  expected: '%%route\nx'
};
const BELOW: IWriteRequest = { ...REPLACE, write: 'below', expected: '' };
const HELD: IHeld = { source: '%%route\nx', isEditable: true };

test('what the kernel asks is read, and nothing else', () => {
  assert.deepEqual(readRequest(DATA), REPLACE);
  assert.deepEqual(readRequest({ ...DATA, more: 1 }), REPLACE);
  for (const data of [
    undefined,
    null,
    'x',
    [],
    {},
    { ...DATA, version: 2 },
    { ...DATA, action: 'run' },
    { ...DATA, cell: '' },
    { ...DATA, text: 7 },
    { ...DATA, expected: undefined }
  ]) {
    assert.equal(readRequest(data), null);
  }
});

test('a cell is written for a press of its button', () => {
  assert.equal(refusal(REPLACE, HELD, 'now'), null);
  assert.equal(refusal(BELOW, HELD, 'now'), null);
  assert.match(refusal(BELOW, HELD, 'never') ?? '', /nobody pressed/);
  assert.match(refusal(BELOW, HELD, 'late') ?? '', /press again/);
});

test('a text that is too long is refused with words', () => {
  for (const write of ['below', 'copy'] as const) {
    const long = { ...BELOW, write, text: 'x'.repeat(300_001) };
    assert.ok(readRequest({ ...DATA, text: long.text }));
    assert.match(refusal(long, HELD, 'now') ?? '', /more than 300,000/);
    assert.equal(refusal({ ...long, text: 'x'.repeat(300_000) }, HELD, 'now'), null);
  }
});

test('a cell that is gone, read-only or changed is not written', () => {
  assert.match(refusal(BELOW, null, 'now') ?? '', /no longer here/);
  assert.match(refusal(BELOW, { ...HELD, isEditable: false }, 'now') ?? '', /read-only/);
  assert.match(refusal(REPLACE, { ...HELD, source: '%%route\ny' }, 'now') ?? '', /was changed/);
  assert.equal(refusal(BELOW, { ...HELD, source: 'anything' }, 'now'), null);
  assert.equal(refusal(REPLACE, { ...HELD, source: '%%route\nx\n\n' }, 'now'), null);
});

test('an answer is copied for a press alone, also when its cell has changed or is gone', () => {
  const copy: IWriteRequest = { ...BELOW, write: 'copy' };
  assert.deepEqual(readRequest({ ...DATA, action: 'copy', expected: '' }), copy);
  for (const held of [HELD, null, { ...HELD, isEditable: false }]) {
    assert.equal(refusal(copy, held, 'now'), null);
  }
  assert.match(refusal(copy, HELD, 'never') ?? '', /nobody pressed/);
  assert.match(refusal(copy, HELD, 'late') ?? '', /press again/);
});

test('a press is good for one cell, of the kind that was pressed, for a while', () => {
  const clock = new Clock();
  const presses = new Presses(clock);
  assert.equal(presses.take('c1', 'below'), 'never');
  presses.note('c1', 'below');
  assert.equal(presses.take('c1', 'replace'), 'never');
  assert.equal(presses.take('c2', 'below'), 'never');
  assert.equal(presses.take('c1', 'below'), 'now');
  assert.equal(presses.take('c1', 'below'), 'never');
  presses.note('c1', 'below');
  clock.time += WAIT_MS.below + 1;
  assert.equal(presses.take('c1', 'below'), 'late');
  assert.equal(presses.take('c1', 'below'), 'never');
  presses.note('c1', 'copy');
  clock.time += 5001;
  assert.equal(presses.take('c1', 'copy'), 'late');
});
