import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { isDoctor, isNextUp, isServices } from '../src/generated_checks.js';
import { versionOf } from '../src/shapes.js';

/** Made by the server's own shapes: each null and each member of an enum is in one of them. */
const ANSWERS = JSON.parse(
  readFileSync(new URL('../../../tests/answers.json', import.meta.url), 'utf8')
) as Record<'Services' | 'NextUp' | 'Doctor', unknown[]>;

const KINDS = [
  [isServices, ANSWERS.Services],
  [isNextUp, ANSWERS.NextUp],
  [isDoctor, ANSWERS.Doctor]
] as const;

test('whatever the server may answer is taken, and what a newer one adds does not matter', () => {
  for (const [is, answers] of KINDS) {
    assert.ok(answers.length > 0);
    for (const answer of answers) {
      assert.ok(is(answer), JSON.stringify(answer));
      assert.ok(is({ ...(answer as object), more: 1 }));
    }
  }
});

test('an answer that lacks something, or has another kind of it, is not taken, wherever that is', () => {
  for (const [is, answers] of KINDS) {
    for (const answer of answers) {
      for (const path of paths(answer)) {
        assert.equal(is(changed(answer, path)), false, path.join('.'));
        assert.equal(is(changed(answer, path, { strange: 1 })), false, path.join('.'));
      }
    }
  }
  for (const value of [undefined, null, 1, 'x', [], {}]) {
    assert.deepEqual([isServices(value), isNextUp(value), isDoctor(value)], [false, false, false]);
  }
});

test('a verdict or a task that is not known is not taken', () => {
  const check = { id: 'a', title: 'A', verdict: 'pass', evidence: '', remedy: '' };
  assert.ok(isDoctor({ checks: [check], verdict: 'warn' }));
  assert.equal(isDoctor({ checks: [check], verdict: 'word' }), false);
  assert.equal(isDoctor({ checks: [{ ...check, verdict: '' }], verdict: 'warn' }), false);
});

test('a version is read from a description, where there is one', () => {
  assert.equal(versionOf({ openapi: '3.1', info: { version: '0.2' } }), '0.2');
  for (const value of [null, {}, { info: null }, { info: { version: 2 } }]) {
    assert.equal(versionOf(value), '');
  }
});

/** Of all fields, at any depth. */
function* paths(value: unknown, before: string[] = []): Generator<string[]> {
  if (typeof value !== 'object' || value === null) {
    return;
  }
  for (const [name, inner] of Object.entries(value)) {
    const path = [...before, name];
    if (!Array.isArray(value)) {
      yield path;
    }
    yield* paths(inner, path);
  }
}

/** The same with another value at one place, or without that place. */
function changed(value: unknown, [first, ...others]: string[], to?: unknown): unknown {
  if (Array.isArray(value)) {
    return value.map((one: unknown, at) => (String(at) === first ? changed(one, others, to) : one));
  }
  return Object.fromEntries(
    Object.entries(value as object)
      .filter(([name]) => name !== first || others.length > 0 || to !== undefined)
      .map(([name, inner]) => [
        name,
        name !== first ? (inner as unknown) : others.length > 0 ? changed(inner, others, to) : to
      ])
  );
}
