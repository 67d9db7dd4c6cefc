import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Decision, NextUp, ServedModel, Service } from '../src/generated.js';
import {
  choices,
  healthWords,
  isPassedOver,
  modelCells,
  statusWords,
  troubleWords,
  warnings
} from '../src/panel_words.js';
import { ServerTrouble, type Trouble } from '../src/trouble.js';

const PHI: ServedModel = {
  id: 'phi4:14b',
  name: 'phi4',
  loaded: true,
  context_window: 16384,
  window_is_assumed: false,
  size_bytes: 9_100_000_000,
  is_usable: true,
  why_not: null
};
const CLOUD: ServedModel = {
  ...PHI,
  id: 'c',
  name: 'c',
  is_usable: false,
  why_not: 'leaves this machine'
};
const DESK: Service = {
  name: 'desk',
  product: 'Ollama',
  url: '',
  healthy: true,
  why_not: null,
  models: [PHI, CLOUD]
};

const PHI_ANSWERS: Decision = {
  task: null,
  model: 'phi4:14b',
  service: 'desk',
  reasons: [],
  considered: [],
  remarks: [],
  error: null
};
const NOBODY: Decision = { ...PHI_ANSWERS, model: null, service: null, error: 'no server runs' };

function next(decision: Decision, coding = decision): NextUp {
  return { tasks: { coding, reasoning: decision, analysis: decision, documentation: decision } };
}

test('a picker offers what may be asked, and keeps a pin that may not', () => {
  const said = (pins: object): string[] =>
    choices([DESK], 'coding', pins).map(one => `${one.value}: ${one.label}`);
  assert.deepEqual(said({}), [': Automatic', 'phi4:14b@desk: phi4 on desk']);
  const shared = said({ any: 'phi4:14b@desk' });
  assert.deepEqual(shared.slice(0, 2), [': As for all tasks', 'auto: Automatic']);
  assert.deepEqual(said({ coding: 'auto' }).slice(0, 2), shared.slice(0, 2));
  assert.deepEqual(said({ coding: 'gone@x' })[2], 'gone@x: gone@x (not available now)');
  assert.equal(said({ coding: 'phi4:14b@desk' }).length, 2);
});

test('a pin that somebody else answers for is noticed', () => {
  assert.equal(isPassedOver(PHI_ANSWERS, {}, 'coding'), false);
  assert.equal(isPassedOver(PHI_ANSWERS, { any: 'phi4:14b@desk' }, 'coding'), false);
  assert.equal(isPassedOver(PHI_ANSWERS, { any: 'phi4:14b' }, 'coding'), false);
  assert.equal(isPassedOver(PHI_ANSWERS, { coding: 'gone@x' }, 'coding'), true);
  assert.equal(isPassedOver(PHI_ANSWERS, { any: 'gone@x', coding: 'auto' }, 'coding'), false);
});

test('what is known of a model is in its row', () => {
  assert.deepEqual(modelCells(PHI), ['phi4', 'yes', '16,384', '9.1\u00a0GB']);
  const unknown = { ...PHI, loaded: null, context_window: null, size_bytes: null };
  assert.deepEqual(modelCells(unknown), ['phi4', 'not told', 'not told', '–']);
  const assumed = { ...PHI, loaded: false, window_is_assumed: true, size_bytes: 98_570_000 };
  assert.deepEqual(modelCells(assumed), ['phi4', 'no', '16,384, assumed', '99\u00a0MB']);
});

test('how a server is', () => {
  assert.equal(healthWords(DESK), 'well, 2 models');
  assert.equal(healthWords({ ...DESK, models: [] }), 'well, and has no model');
  assert.equal(healthWords({ ...DESK, healthy: false, why_not: 'refused' }), 'not available');
});

test('the status bar names who would answer, or who does', () => {
  assert.equal(statusWords(null, null), null);
  assert.equal(statusWords(next(PHI_ANSWERS), null)?.text, 'phi4:14b');
  const other = { ...PHI_ANSWERS, model: 'coder' };
  assert.equal(statusWords(next(PHI_ANSWERS, other), null)?.text, 'coder and 1 more');
  assert.deepEqual(statusWords(next(NOBODY), null)?.tone, 'none');
  assert.match(statusWords(next(NOBODY), null)?.title ?? '', /Coding: no server runs/);
  assert.equal(statusWords(next(NOBODY), 'phi4')?.text, 'phi4 is answering');
});

test('the status bar does not name a model of which the server says no more', () => {
  const gone = new ServerTrouble('unreachable', 'gone');
  assert.equal(statusWords(next(PHI_ANSWERS), null, gone)?.text, 'Model not known');
  assert.match(statusWords(null, null, gone)?.title ?? '', /does not answer: gone/);
  assert.equal(statusWords(next(PHI_ANSWERS), null, new ServerTrouble('missing', '')), null);
  assert.equal(statusWords(next(PHI_ANSWERS), 'phi4', gone)?.text, 'phi4 is answering');
});

test('every trouble says what to do', () => {
  for (const kind of [
    'missing',
    'refused',
    'unreachable',
    'failed',
    'version'
  ] satisfies Trouble[]) {
    assert.ok(troubleWords(new ServerTrouble(kind, 'why')).length >= 2);
  }
  assert.match(troubleWords(new ServerTrouble('missing', '')).join(' '), /server extension enable/);
  assert.match(
    troubleWords(new ServerTrouble('version', '0.2'))[0] ?? '',
    /another version \(0.2\)/
  );
});

test('the worst warnings come first, and what passes is left out', () => {
  const check = (id: string, verdict: 'pass' | 'warn' | 'fail') =>
    ({ id, title: id, verdict, evidence: '', remedy: '' }) as const;
  const checks = [check('a', 'warn'), check('b', 'pass'), check('c', 'fail')];
  assert.deepEqual(
    warnings({ checks, verdict: 'fail' }).map(one => one.id),
    ['c', 'a']
  );
});
