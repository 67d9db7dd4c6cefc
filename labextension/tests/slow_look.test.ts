import assert from 'node:assert/strict';
import { mock, test } from 'node:test';

import { SlowLook } from '../src/slow_look.js';
import { settle } from './standing_clock.js';

test('it looks once a minute while that is needed, and no more once it is over', async () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    let looks = 0;
    let isNeeded = true;
    const slowly = new SlowLook(
      () => {
        looks++;
      },
      () => isNeeded
    );
    const minutes = async (many: number): Promise<void> => {
      for (let minute = 0; minute < many; minute++) {
        for (let part = 0; part < 4; part++) {
          mock.timers.tick(15_000);
          await settle();
          await settle();
        }
      }
    };
    await settle();
    const first = looks;
    await minutes(3);
    assert.equal(looks, first + 3);
    isNeeded = false;
    await minutes(3);
    assert.equal(looks, first + 3);
    isNeeded = true;
    await minutes(2);
    assert.equal(looks, first + 5);
    slowly.dispose();
    await minutes(2);
    assert.equal(looks, first + 5);
  } finally {
    mock.timers.reset();
  }
});
