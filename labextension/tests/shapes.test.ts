import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Doctor, NextUp, Services } from '../src/generated.js';
import { isDoctor, isNextUp, isServices, versionOf } from '../src/shapes.js';

const SERVICES: Services = {
  services: [
    {
      name: 'desk',
      product: 'Ollama',
      url: '',
      healthy: true,
      why_not: null,
      models: [
        {
          id: 'm',
          name: 'm',
          loaded: null,
          context_window: 4096,
          window_is_assumed: true,
          size_bytes: null,
          is_usable: true,
          why_not: null
        }
      ]
    }
  ],
  looked_at: null,
  is_looking: false,
  remarks: []
};
const NOBODY = {
  task: { name: 'coding', confidence: 0.5, evidence: [], rival: null },
  model: null,
  service: null,
  reasons: [],
  considered: [{ model: null, service: 's', verdict: 'v' }],
  remarks: [],
  error: null
} as const;
const NEXT = {
  tasks: { coding: NOBODY, reasoning: NOBODY, analysis: NOBODY, documentation: NOBODY }
};
const DOCTOR: Doctor = {
  checks: [{ id: 'a', title: 'A', verdict: 'warn', evidence: '', remedy: '' }],
  verdict: 'warn'
};

test('what this version answers is taken, and what a newer one adds does not matter', () => {
  assert.ok(isServices(SERVICES));
  assert.ok(isServices({ ...SERVICES, more: 1 }));
  assert.ok(isNextUp(NEXT satisfies { tasks: Record<keyof NextUp['tasks'], unknown> }));
  assert.ok(isDoctor(DOCTOR));
});

test('an answer that lacks something is of another version, wherever it lacks it', () => {
  for (const value of [SERVICES, NEXT, DOCTOR]) {
    for (const path of paths(value)) {
      const lacking = without(value, path);
      const is = value === SERVICES ? isServices : value === NEXT ? isNextUp : isDoctor;
      assert.equal(is(lacking), false, path.join('.'));
    }
  }
  for (const value of [undefined, null, 1, 'x', [], {}]) {
    assert.deepEqual([isServices(value), isNextUp(value), isDoctor(value)], [false, false, false]);
  }
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

function without(value: unknown, [first, ...others]: string[]): unknown {
  if (Array.isArray(value)) {
    return value.map((one: unknown) => without(one, others));
  }
  return Object.fromEntries(
    Object.entries(value as object)
      .filter(([name]) => name !== first || others.length > 0)
      .map(([name, inner]) => [name, name === first ? without(inner, others) : (inner as unknown)])
  );
}
