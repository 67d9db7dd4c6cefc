import assert from 'node:assert/strict';
import { test } from 'node:test';

import { readFacts, STATES } from '../src/facts.js';

const WHOLE = {
  version: 1,
  state: 'complete',
  card_lines: 3,
  task: { name: 'coding', confidence: 0.92, evidence: ['a traceback'], rival: 'analysis' },
  model: 'qwen2.5-coder:7b',
  service: 'ollama',
  answered_by: 'qwen2.5-coder-7b-instruct',
  reasons: ['best coding score of three'],
  considered: [{ model: 'phi-4', service: 'lmstudio', verdict: 'window too small' }],
  more: 3136,
  level: 'fallback models',
  fallback: 'fallback models: llama3.1 on vllm, which was wanted first, did not answer',
  waiting: 'loading, 12 s',
  attempts: [{ model: 'llama3.1', service: 'vllm', error: 'connection refused' }],
  context: ['cell 3'],
  left_out: ['cell 1'],
  remarks: ['a note'],
  prompt_tokens: 312,
  prompt_tokens_exact: true,
  context_window: 8192,
  window_is_assumed: true,
  completion_tokens: 842,
  time_to_first_token_s: 0.31,
  tokens_per_second: 57.2,
  elapsed_s: 14.9,
  finish_reason: 'stop',
  error: null,
  changes: 2
};

test('a whole answer is read as it is', () => {
  assert.deepEqual(readFacts(WHOLE), {
    readable: true,
    state: 'complete',
    cardLines: 3,
    task: WHOLE.task,
    model: WHOLE.model,
    service: WHOLE.service,
    answeredBy: 'qwen2.5-coder-7b-instruct',
    reasons: WHOLE.reasons,
    considered: WHOLE.considered,
    more: 3136,
    level: 'fallback models',
    fallback: WHOLE.fallback,
    waiting: 'loading, 12 s',
    attempts: WHOLE.attempts,
    context: WHOLE.context,
    leftOut: ['cell 1'],
    remarks: ['a note'],
    promptTokens: 312,
    promptTokensExact: true,
    contextWindow: 8192,
    windowIsAssumed: true,
    completionTokens: 842,
    timeToFirstTokenS: 0.31,
    tokensPerSecond: 57.2,
    elapsedS: 14.9,
    finishReason: 'stop',
    error: null,
    changes: 2
  });
});

test('every known state is kept', () => {
  for (const state of STATES) {
    assert.equal(readFacts({ state }).state, state);
  }
});

const NOTHING = {
  state: 'unknown',
  cardLines: 0,
  task: null,
  model: null,
  service: null,
  answeredBy: null,
  reasons: [],
  considered: [],
  more: 0,
  level: null,
  fallback: null,
  waiting: null,
  attempts: [],
  context: [],
  leftOut: [],
  remarks: [],
  promptTokens: null,
  promptTokensExact: false,
  contextWindow: null,
  windowIsAssumed: false,
  completionTokens: null,
  timeToFirstTokenS: null,
  tokensPerSecond: null,
  elapsedS: null,
  finishReason: null,
  error: null,
  changes: 0
};

test('missing fields read as nothing', () => {
  assert.deepEqual(readFacts({ version: 1 }), { readable: true, ...NOTHING });
  assert.deepEqual(readFacts({}), { readable: true, ...NOTHING });
});

test('what is no object, or of another version, is not readable', () => {
  for (const json of [undefined, null, 7, 'text', true, [], [WHOLE], () => 1]) {
    assert.deepEqual(readFacts(json), { readable: false, ...NOTHING });
  }
  for (const version of [2, '1', null, [1], {}]) {
    assert.equal(readFacts({ ...WHOLE, version }).readable, false);
  }
});

const WRONG = [
  null,
  true,
  -1,
  0.5,
  NaN,
  Infinity,
  1e300,
  2 ** 60,
  'x',
  '',
  [],
  {},
  [[]],
  [null],
  { a: 1 }
];

test('any value in any place is borne', () => {
  for (const field of Object.keys(WHOLE)) {
    for (const value of WRONG) {
      const facts = readFacts({ ...WHOLE, [field]: value });
      assert.ok(Number.isSafeInteger(facts.cardLines) && facts.cardLines >= 0);
      assert.ok(Array.isArray(facts.reasons));
      assert.ok(facts.model === null || typeof facts.model === 'string');
    }
  }
});

test('a field of the wrong type is as good as missing', () => {
  const facts = readFacts({
    state: 'toString',
    card_lines: 1.5,
    task: { name: 3 },
    model: { toString: 'x' },
    reasons: [1, 'kept', null, ''],
    considered: ['x', null, { model: 5 }],
    prompt_tokens: -3,
    prompt_tokens_exact: 'yes',
    elapsed_s: '12',
    error: ['boom']
  });
  assert.deepEqual(facts, {
    readable: true,
    ...NOTHING,
    reasons: ['kept'],
    considered: [{ model: '?', service: '?', verdict: '' }]
  });
});

test('a confidence outside 0 to 1 is not shown', () => {
  const confidence = (value: unknown): unknown =>
    readFacts({ task: { name: 'coding', confidence: value } }).task?.confidence;
  assert.deepEqual([0, 1, 1.01, -0.1, '1'].map(confidence), [0, 1, null, null, null]);
});

test('huge values are cut', () => {
  const facts = readFacts({ model: 'm'.repeat(1e6), reasons: Array(1e5).fill('why') });
  assert.equal(facts.model?.length, 2001);
  assert.equal(facts.reasons.length, 100);
});
