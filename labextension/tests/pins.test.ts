import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { pinFor, readPins, withPin } from '../src/pins.js';

test('pins of known tasks are read, and nothing else', () => {
  const held = { any: 'a@s', coding: 'b', poetry: 'c@s', reasoning: 7, analysis: '' };
  assert.deepEqual(readPins({ pins: held }), { any: 'a@s', coding: 'b' });
});

test('pins are read as the kernel reads them', () => {
  const file = new URL('../../../tests/pins.json', import.meta.url);
  const table = JSON.parse(readFileSync(file, 'utf-8')) as { held: unknown; read: object }[];
  for (const { held, read } of table) {
    assert.deepEqual(readPins({ pins: held }), read, JSON.stringify(held));
  }
  const longest = '\u{1f600}'.repeat(300);
  assert.deepEqual(readPins({ pins: { any: longest } }), { any: longest });
  assert.deepEqual(readPins({ pins: { any: `${longest}a` } }), {});
});

test('whatever the metadata hold, reading them ends well', () => {
  for (const held of [
    undefined,
    null,
    1,
    'x',
    [],
    { pins: null },
    { pins: [] },
    { pins: { any: {} } }
  ]) {
    assert.deepEqual(readPins(held), {});
  }
  assert.deepEqual(readPins({ pins: { any: 'a'.repeat(301) } }), {});
});

test('a pin is set beside what else is kept there', () => {
  assert.deepEqual(withPin(undefined, 'coding', 'a@s'), { pins: { coding: 'a@s' } });
  assert.deepEqual(withPin({ other: 1, pins: { any: 'b@s' } }, 'coding', 'a@s'), {
    other: 1,
    pins: { any: 'b@s', coding: 'a@s' }
  });
});

test('the last pin that goes leaves nothing behind', () => {
  assert.equal(withPin({ pins: { coding: 'a@s' } }, 'coding', null), null);
  assert.deepEqual(withPin({ other: 1, pins: { coding: 'a@s' } }, 'coding', null), { other: 1 });
  assert.equal(withPin(undefined, 'any', null), null);
});

test("a task's own pin goes before that of all tasks", () => {
  assert.equal(pinFor({ any: 'a', coding: 'b' }, 'coding'), 'b');
  assert.equal(pinFor({ any: 'a' }, 'coding'), 'a');
  assert.equal(pinFor({}, 'coding'), null);
});
