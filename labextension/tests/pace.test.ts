import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Pace } from '../src/pace.js';
import { Clock, settle } from './standing_clock.js';

function page(cost: number): { clock: Clock; drawn: string[]; pace: Pace } {
  const clock = new Clock();
  const drawn: string[] = [];
  const pace = new Pace(text => {
    clock.time += cost;
    drawn.push(text);
    return Promise.resolve();
  }, clock);
  return { clock, drawn, pace };
}

test('the first text is drawn at once', async () => {
  const { clock, drawn, pace } = page(10);
  pace.soon('a');
  await clock.pass(0);
  assert.deepEqual(drawn, ['a']);
});

test('drawing takes at most a fifth of the time', async () => {
  const { clock, drawn, pace } = page(10);
  for (let tick = 0; tick < 100; tick++) {
    pace.soon(`text ${tick}`);
    await clock.pass(10);
  }
  assert.ok(drawn.length * 10 <= clock.time / 5 + 10, `${drawn.length} drawn in ${clock.time} ms`);
  assert.ok(drawn.length * 10 >= clock.time / 10, `${drawn.length} drawn in ${clock.time} ms`);
});

test('the newest text comes in the end, though nothing follows it', async () => {
  const { clock, drawn, pace } = page(10);
  for (const text of ['a', 'b', 'c']) {
    pace.soon(text);
    await clock.pass(1);
  }
  await clock.pass(100);
  assert.deepEqual(drawn, ['a', 'c']);
  assert.equal(clock.waiting, 0);
});

test('the last text does not wait', async () => {
  const { clock, drawn, pace } = page(10);
  pace.soon('a');
  await clock.pass(0);
  pace.soon('b');
  await pace.now('c');
  await clock.pass(1000);
  assert.deepEqual(drawn, ['a', 'c']);
});

test('a text that comes while another is drawn lands after it', async () => {
  const clock = new Clock();
  const drawn: string[] = [];
  const ends: (() => void)[] = [];
  const pace = new Pace(
    text =>
      new Promise(resolve => {
        ends.push(() => {
          drawn.push(text);
          resolve();
        });
      }),
    clock
  );
  pace.soon('older');
  await clock.pass(0);
  pace.soon('passed over');
  const last = pace.now('newest');
  ends.shift()?.();
  await settle();
  ends.shift()?.();
  await last;
  assert.deepEqual(drawn, ['older', 'newest']);
});

test('the same text is drawn once', async () => {
  const { clock, drawn, pace } = page(1);
  pace.soon('a');
  await clock.pass(100);
  pace.soon('a');
  await clock.pass(100);
  await pace.now('a');
  assert.deepEqual(drawn, ['a']);
});

test('after a failure the next text is drawn', async () => {
  let fails = true;
  const drawn: string[] = [];
  const pace = new Pace(text => {
    if (fails) {
      return Promise.reject(new Error('no'));
    }
    drawn.push(text);
    return Promise.resolve();
  }, new Clock());
  await assert.rejects(pace.now('a'), /no/);
  fails = false;
  await pace.now('a');
  assert.deepEqual(drawn, ['a']);
});

test('nothing is drawn once disposed', async () => {
  const { clock, drawn, pace } = page(1);
  pace.soon('a');
  pace.dispose();
  pace.soon('b');
  await pace.now('c');
  await clock.pass(100);
  assert.deepEqual(drawn, []);
  assert.equal(clock.waiting, 0);
});
