import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { readFacts } from '../src/facts.js';
import {
  andMore,
  figures,
  isBusy,
  label,
  length,
  notice,
  otherName,
  seconds,
  sentAlong,
  whyWords
} from '../src/wording.js';

const A = { model: 'a', service: 's1', error: 'refused' };
const B = { model: 'b', service: 's2', error: 'timed out' };

test('figures name what is known and no more', () => {
  const said = (json: object): string => figures(readFacts(json)).join(' · ');
  assert.equal(said({}), '');
  assert.equal(
    said({
      prompt_tokens: 312,
      prompt_tokens_exact: true,
      time_to_first_token_s: 0.306,
      tokens_per_second: 57.2
    }),
    '312 tokens sent · first token 0.31 s · 57 tokens/s'
  );
  assert.equal(said({ prompt_tokens: 12431 }), 'about 12,431 tokens sent');
  assert.equal(said({ prompt_tokens: 1, prompt_tokens_exact: true }), '1 token sent');
  assert.equal(said({ tokens_per_second: 4.25 }), '4.3 tokens/s');
});

test('seconds have the digits that matter', () => {
  assert.deepEqual([0, 0.306, 14.92, 99.96, 100, 3725].map(seconds), [
    '0.00 s',
    '0.31 s',
    '14.9 s',
    '100.0 s',
    '1 min 40 s',
    '62 min 5 s'
  ]);
});

test('the length of an answer', () => {
  assert.equal(length(readFacts({})), null);
  assert.equal(length(readFacts({ completion_tokens: 842 })), '842 tokens');
  assert.equal(length(readFacts({ elapsed_s: 14.9 })), '14.9 s');
  assert.equal(
    length(readFacts({ completion_tokens: 842, elapsed_s: 14.9 })),
    '842 tokens in 14.9 s'
  );
});

test('who answered is named where it is not the model that was asked', () => {
  assert.equal(otherName(readFacts({})), null);
  assert.equal(otherName(readFacts({ model: 'a' })), null);
  assert.equal(otherName(readFacts({ model: 'a', answered_by: 'a' })), null);
  assert.equal(otherName(readFacts({ model: 'a', answered_by: 'b' })), 'b');
  assert.equal(otherName(readFacts({ answered_by: 'b' })), 'b');
});

test('what was sent ends with what did not fit', () => {
  const said = (json: object): string[] => sentAlong(readFacts(json));
  assert.deepEqual(said({ context: ['In[1]'], left_out: ['In[2]'], remarks: ['so'] }), [
    'In[1]',
    'Left out: In[2]',
    'so'
  ]);
  assert.deepEqual(said({}), []);
  assert.deepEqual(said({ context: ['In[3]'] }), ['In[3]']);
  assert.deepEqual(said({ left_out: ['In[1]'] }), ['Left out: In[1]']);
  assert.deepEqual(said({ context: ['In[3]'], left_out: ['In[1]', 'In[2]'] }), [
    'In[3]',
    'Left out: In[1], In[2]'
  ]);
});

test('nothing to notice in a plain answer', () => {
  for (const state of ['routing', 'waiting', 'streaming', 'complete', 'no such state']) {
    assert.equal(notice(readFacts({ state })), null);
  }
});

test('a fallback is always said', () => {
  const said = (json: object): unknown => notice(readFacts(json));
  assert.deepEqual(said({ state: 'streaming', attempts: [A] }), {
    tone: 'warning',
    lines: ['1 attempt failed before this one: a on s1.']
  });
  assert.deepEqual(said({ state: 'complete', attempts: [A, B, A, B] }), {
    tone: 'warning',
    lines: ['4 attempts failed before this one: a on s1, b on s2, a on s1, ….']
  });
});

test('how far it fell back is said in the words that came with the facts', () => {
  const fallback = 'fallback models: a on s1, which was wanted first, did not answer';
  const said = (state: string): unknown =>
    notice(readFacts({ state, attempts: [A], fallback }))?.lines;
  assert.deepEqual(said('complete'), [fallback]);
});

test('what is waited for is said while it is waited for', () => {
  const said = (state: string): string[] =>
    figures(readFacts({ state, waiting: 'loading, 12 s', prompt_tokens: 42 }));
  assert.deepEqual(said('waiting'), ['loading, 12 s', 'about 42 tokens sent']);
  assert.deepEqual(said('interrupted'), ['about 42 tokens sent']);
});

test('how many others there are is counted', () => {
  assert.equal(andMore(readFacts({})), null);
  assert.equal(andMore(readFacts({ more: 3136 })), 'and 3,136 more');
});

interface IWords {
  facts: object;
  figures: string;
}

test('the page says what all other viewers are told', () => {
  // The tests are compiled into lib/checked/tests.
  const file = new URL('../../../tests/words.json', import.meta.url);
  const words = JSON.parse(readFileSync(file, 'utf8')) as IWords[];
  assert.ok(words.length > 5);
  for (const one of words) {
    assert.equal(figures(readFacts(one.facts)).join(' · '), one.figures);
  }
});

test('a failure says what happened, or that nobody wrote it down', () => {
  const lines = (json: object): unknown => notice(readFacts({ state: 'failed', ...json }));
  assert.deepEqual(lines({ attempts: [A, B], error: 'No model answered.' }), {
    tone: 'error',
    lines: ['2 attempts failed: a on s1, b on s2.', 'No model answered.']
  });
  assert.deepEqual(lines({}), {
    tone: 'error',
    lines: ['No model answered, and no error was recorded. Run the cell again.']
  });
});

test('an answer that reached its limit of tokens is said to be cut', () => {
  const cut = readFacts({ state: 'complete', finish_reason: 'length' });
  assert.deepEqual(notice(cut)?.lines, ['The answer was cut: it reached its limit of tokens.']);
  assert.equal(notice(readFacts({ state: 'complete', finish_reason: 'stop' })), null);
});

test('an interrupted answer is said to be incomplete', () => {
  assert.deepEqual(notice(readFacts({ state: 'interrupted' })), {
    tone: 'warning',
    lines: ['The answer is not complete.']
  });
});

test('a failed answer has no model to explain', () => {
  assert.equal(whyWords(readFacts({ state: 'failed' })), 'Why no model answered');
  assert.equal(whyWords(readFacts({ state: 'complete' })), 'Why this model');
});

test('busy while more is to come', () => {
  const busy = ['routing', 'waiting', 'streaming', 'complete', 'interrupted', 'failed', 'x'].filter(
    state => isBusy(readFacts({ state }))
  );
  assert.deepEqual(busy, ['routing', 'waiting', 'streaming']);
});

test('the card is called after the model', () => {
  assert.equal(label(readFacts({})), 'Answer');
  assert.equal(label(readFacts({ model: 'a' })), 'Answer of a');
  assert.equal(label(readFacts({ model: 'a', service: 's' })), 'Answer of a on s');
});
