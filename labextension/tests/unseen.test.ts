import assert from 'node:assert/strict';
import { test } from 'node:test';

import { hidesSome, seen } from '../src/unseen.js';

test('what cannot be seen is a sign, and tabs and line ends stay', () => {
  assert.equal(seen('a\tb\r\nc\rd\n'), 'a\tb\nc\nd\n');
  assert.equal(hidesSome('a\tb\r\nc 😀 é'), false);
  for (const one of [
    '\0',
    '\x1b',
    '\x7f',
    '\u202e',
    '\u2066',
    '\u200b',
    '\ufeff',
    '\ud800',
    '\u{e0041}'
  ]) {
    assert.equal(seen(`a${one}b`), 'a\ufffdb');
    assert.equal(hidesSome(one), true);
  }
});
