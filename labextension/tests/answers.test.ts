import assert from 'node:assert/strict';
import { test } from 'node:test';

import { isComing, LastRun, lastRoute, lifeOf, type IAnswered } from '../src/answers.js';
import { ANSWER_MIME } from '../src/facts.js';

function cell(
  model: string,
  number: number | null,
  state = 'complete',
  isRunning = false
): IAnswered {
  return {
    cell: model,
    bundles: [{ 'text/plain': '' }, { [ANSWER_MIME]: { model, state } }],
    number,
    isRunning
  };
}

test('the answer with the highest number is the newest, the lower one of two', () => {
  assert.equal(lastRoute([]), null);
  assert.equal(lastRoute([{ cell: 'x', bundles: [{}], number: 1, isRunning: false }]), null);
  assert.equal(lastRoute([cell('a', 7), cell('b', 3)])?.facts.model, 'a');
  assert.equal(lastRoute([cell('a', 3), cell('b', 3)])?.facts.model, 'b');
  assert.equal(lastRoute([cell('a', null), cell('b', 1)])?.facts.model, 'b');
});

test('what ran last is the newest, also where a new kernel counts from one again', () => {
  const runs = new LastRun();
  assert.equal(runs.among([]), null);
  const opened = [cell('a', 14), cell('b', 9)];
  assert.equal(runs.among(opened), null);
  const ran = [cell('a', 14), cell('b', 2)];
  assert.equal(lastRoute(ran, runs.among(ran))?.facts.model, 'b');
  const printed = [...ran, { cell: 'c', bundles: [{}], number: 3, isRunning: false }];
  assert.equal(lastRoute(printed, runs.among(printed))?.facts.model, 'b');
  const more = [...printed, cell('d', 4)];
  assert.equal(lastRoute(more, runs.among(more))?.facts.model, 'd');
});

test('an answer that is coming goes before all', () => {
  const route = lastRoute([cell('a', null, 'streaming', true), cell('b', 9)]);
  assert.equal(route?.facts.model, 'a');
  assert.equal(isComing(route), true);
});

test('what was saved in the middle of an answer is not coming any more', () => {
  const route = lastRoute([cell('a', null, 'streaming'), cell('b', 9)]);
  assert.equal(route?.facts.model, 'b');
  assert.equal(isComing(lastRoute([cell('a', 1, 'streaming')])), false);
  assert.equal(isComing(null), false);
});

test('more can come while the cell runs, and perhaps where one that ran has a busy kernel', () => {
  assert.equal(lifeOf({ isRunning: true, number: null }, true), 'running');
  assert.equal(lifeOf({ isRunning: false, number: null }, true), 'over');
  assert.equal(lifeOf({ isRunning: false, number: 3 }, true), 'unknown');
  assert.equal(lifeOf({ isRunning: false, number: 3 }, false), 'over');
});

test('what is not readable is passed over', () => {
  const strange: IAnswered = {
    cell: 'strange',
    bundles: [{ [ANSWER_MIME]: { version: 2 } }],
    number: 9,
    isRunning: false
  };
  assert.equal(lastRoute([cell('a', 1), strange])?.facts.model, 'a');
});
