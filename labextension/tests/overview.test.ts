import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Doctor, NextUp, Services } from '../src/generated.js';
import { Overview } from '../src/overview.js';
import type { Pins } from '../src/pins.js';
import { ServerTrouble, type IRouteServer } from '../src/trouble.js';
import { Clock, settle } from './standing_clock.js';

const SERVICES: Services = { services: [], looked_at: null, is_looking: false, remarks: [] };
const NEXT = { tasks: {} } as NextUp;
const DOCTOR: Doctor = { checks: [], verdict: 'pass' };

/** A server that answers when it is told to, and writes down what it was asked. */
class Server implements IRouteServer {
  asked: string[] = [];
  waiting: (() => void)[] = [];
  most = 0;
  trouble: ServerTrouble | null = null;
  /** What of it comes to nothing; all of it where it does not say. */
  troubled: string | null = null;
  found: Services = SERVICES;

  services(refresh: boolean): Promise<Services> {
    return this.answer(refresh ? 'refresh' : 'services', this.found);
  }

  next(pins: Pins): Promise<NextUp> {
    return this.answer(`next ${JSON.stringify(pins)}`, NEXT);
  }

  doctor(): Promise<Doctor> {
    return this.answer('doctor', DOCTOR);
  }

  async go(): Promise<void> {
    while (this.waiting.length > 0) {
      this.waiting.shift()?.();
      await settle();
    }
  }

  private answer<T>(name: string, value: T): Promise<T> {
    this.asked.push(name);
    return new Promise((resolve, reject) => {
      this.waiting.push(() => {
        if (this.trouble === null || !name.startsWith(this.troubled ?? '')) {
          resolve(value);
        } else {
          reject(this.trouble);
        }
      });
      this.most = Math.max(this.most, this.waiting.length);
    });
  }
}

function page(): { server: Server; clock: Clock; overview: Overview } {
  const [server, clock] = [new Server(), new Clock()];
  const overview = new Overview(server, () => ({ coding: 'a@s' }), clock);
  return { server, clock, overview };
}

test('one request is under way at a time, and what is wanted twice is asked once', async () => {
  const { server, overview } = page();
  overview.want('services', 'next');
  overview.want('next', 'doctor');
  overview.want('next', 'doctor');
  await server.go();
  assert.deepEqual(server.asked, ['services', 'next {"coding":"a@s"}', 'doctor']);
  assert.equal(server.most, 1);
  assert.equal(overview.doctor, DOCTOR);
  assert.equal(overview.isAsking, false);
});

test('a new look takes the place of an old one', async () => {
  const { server, overview } = page();
  overview.want('next');
  overview.want('services', 'refresh');
  await server.go();
  assert.deepEqual(server.asked.slice(1), ['refresh']);
});

test('it asks by itself only while somebody watches', async () => {
  const { server, clock, overview } = page();
  overview.everyMs = 30;
  await clock.pass(100);
  assert.deepEqual(server.asked, []);
  overview.isWatched = true;
  await clock.pass(30);
  await server.go();
  assert.deepEqual(server.asked, ['services', 'next {"coding":"a@s"}']);
  await clock.pass(20);
  overview.isWatched = false;
  await clock.pass(100);
  assert.equal(server.asked.length, 2);
  assert.equal(clock.waiting, 0);
});

test('a pause of nothing asks for nothing by itself', async () => {
  const { server, clock, overview } = page();
  overview.isWatched = true;
  overview.everyMs = 0;
  await clock.pass(100);
  assert.deepEqual(server.asked, []);
});

test('while servers are looked at, it asks again soon', async () => {
  const { server, clock, overview } = page();
  server.found = { ...SERVICES, is_looking: true };
  overview.everyMs = 30_000;
  overview.isWatched = true;
  overview.want('services');
  await server.go();
  await clock.pass(1000);
  await server.go();
  assert.equal(server.asked.filter(one => one === 'services').length, 2);
});

test('trouble is kept until an answer comes, and what waited is dropped', async () => {
  const { server, overview } = page();
  server.trouble = new ServerTrouble('unreachable', 'gone');
  overview.want('services', 'next');
  await server.go();
  assert.deepEqual(server.asked, ['services']);
  assert.equal(overview.trouble?.kind, 'unreachable');
  server.trouble = null;
  overview.want('next');
  await server.go();
  assert.equal(overview.trouble, null);
});

test('what one part is refused, the others still get', async () => {
  const { server, overview } = page();
  for (const kind of ['refused', 'slow', 'failed', 'version', 'unreadable'] as const) {
    [server.trouble, server.troubled] = [new ServerTrouble(kind, 'no'), 'services'];
    overview.want('services', 'next', 'doctor');
    await server.go();
    assert.equal(overview.troubleOf('services')?.kind, kind);
    assert.deepEqual([overview.troubleOf('next'), overview.troubleOf('doctor')], [null, null]);
    assert.deepEqual([overview.trouble, overview.services], [null, null]);
    assert.deepEqual([overview.next, overview.doctor], [NEXT, DOCTOR]);
  }
  server.trouble = null;
  overview.want('refresh');
  await server.go();
  assert.equal(overview.troubleOf('services'), null);
});

test('a server without the extension is not asked again by itself', async () => {
  const { server, clock, overview } = page();
  overview.everyMs = 30;
  overview.isWatched = true;
  server.trouble = new ServerTrouble('missing', 'x');
  overview.want('services');
  await server.go();
  await clock.pass(500);
  assert.deepEqual(server.asked, ['services']);
});

test('nothing is asked once it is over', async () => {
  const { server, clock, overview } = page();
  overview.everyMs = 30;
  overview.isWatched = true;
  overview.dispose();
  overview.want('next');
  await clock.pass(100);
  assert.deepEqual(server.asked, []);
});
