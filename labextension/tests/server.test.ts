import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ServerConnection } from '@jupyterlab/services';

import { VERSION } from '../src/generated_checks.js';
import { RouteServer } from '../src/server.js';
import { ServerTrouble } from '../src/trouble.js';

const DOCTOR = { checks: [], verdict: 'pass' };
const DESCRIPTION = { info: { version: VERSION } };

type Answers = Record<string, (() => Response) | undefined>;

const json = (value: unknown) => (): Response => new Response(JSON.stringify(value));

/** A server that has these paths alone, and writes down which were asked for. */
function served(answers: Answers, mostMs?: number): { server: RouteServer; asked: string[] } {
  const asked: string[] = [];
  const settings = ServerConnection.makeSettings({
    baseUrl: 'http://127.0.0.1/',
    fetch: request => {
      const name = new URL((request as Request).url).pathname.split('/').at(-1) ?? '';
      asked.push(name);
      return Promise.resolve(answers[name]?.() ?? new Response('{}', { status: 404 }));
    }
  });
  return { server: new RouteServer(settings, mostMs), asked };
}

async function trouble(server: RouteServer): Promise<[string, string]> {
  try {
    await server.doctor();
  } catch (error) {
    assert.ok(error instanceof ServerTrouble);
    return [error.kind, error.message];
  }
  return ['none', ''];
}

test('an answer is taken', async () => {
  const { server, asked } = served({ doctor: json(DOCTOR) });
  assert.deepEqual(await server.doctor(), DOCTOR);
  assert.deepEqual(asked, ['doctor']);
});

test('the extension is missing where its description is missing too', async () => {
  assert.equal((await trouble(served({}).server))[0], 'missing');
  const { server } = served({ 'openapi.json': json(DESCRIPTION) });
  const [kind, message] = await trouble(server);
  assert.equal(kind, 'failed');
  assert.match(message, /404/);
});

test('an answer of the wrong shape is of another version only where the version differs', async () => {
  const same = served({ doctor: json({}), 'openapi.json': json(DESCRIPTION) });
  assert.deepEqual(await trouble(same.server), ['unreadable', 'doctor']);
  const other = served({ doctor: json({}), 'openapi.json': json({ info: { version: '9' } }) });
  assert.deepEqual(await trouble(other.server), ['version', '9']);
  const silent = served({ doctor: json({}) });
  assert.deepEqual(await trouble(silent.server), ['version', '']);
  const noJson = served({ doctor: () => new Response('<p>'), 'openapi.json': json(DESCRIPTION) });
  assert.deepEqual(await trouble(noJson.server), ['unreadable', 'doctor']);
});

test('the version is asked for once, and again after the server was away', async () => {
  let isAway = false;
  const { server, asked } = served({
    doctor: () => {
      if (isAway) {
        throw new TypeError('gone');
      }
      return json({})();
    },
    'openapi.json': json(DESCRIPTION)
  });
  const descriptions = (): number => asked.filter(name => name === 'openapi.json').length;
  await trouble(server);
  await trouble(server);
  assert.equal(descriptions(), 1);
  isAway = true;
  assert.equal((await trouble(server))[0], 'unreachable');
  isAway = false;
  await trouble(server);
  assert.equal(descriptions(), 2);
});

test('an answer that does not come in time is the trouble of that request alone', async () => {
  const settings = ServerConnection.makeSettings({
    baseUrl: 'http://127.0.0.1/',
    fetch: request =>
      new Promise((_, reject) => {
        (request as Request).signal.addEventListener('abort', () => {
          reject(new DOMException('over', 'TimeoutError'));
        });
      })
  });
  const alive = setInterval(() => undefined, 1000);
  const [kind] = await trouble(new RouteServer(settings, 1));
  clearInterval(alive);
  assert.equal(kind, 'slow');
  assert.equal(new ServerTrouble('slow', '60').isOfAll, false);
});
