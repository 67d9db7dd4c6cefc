import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { ACTIONS } from '../src/question.js';
import { DEFAULTS, readSettings } from '../src/settings.js';

interface ISchema {
  properties: Record<string, { default: unknown; properties?: object }>;
}

const SCHEMA = JSON.parse(readFileSync('schema/plugin.json', 'utf-8')) as ISchema;

test('the schema holds the same defaults, and every option there is', () => {
  const defaults = Object.entries(SCHEMA.properties).map(([name, one]) => [name, one.default]);
  assert.deepEqual(Object.fromEntries(defaults), DEFAULTS);
  assert.deepEqual(Object.keys(SCHEMA.properties.toolbarButtons?.properties ?? {}), ACTIONS);
});

test('settings are read as they are', () => {
  const changed = {
    pollSeconds: 5,
    toolbarButtons: { route: false, explain: true, problems: true, document: true, fix: false },
    codeButtons: false,
    statusBar: false,
    openLastRoute: false
  };
  assert.deepEqual(readSettings(changed), changed);
});

test('what is of another kind is the default', () => {
  const wrong = { pollSeconds: '5', toolbarButtons: 7, codeButtons: 1, statusBar: null };
  assert.deepEqual(readSettings(wrong), DEFAULTS);
  assert.deepEqual(readSettings({}), DEFAULTS);
  const one = readSettings({ toolbarButtons: { explain: true, fix: 'no' } }).toolbarButtons;
  assert.deepEqual(one, { ...DEFAULTS.toolbarButtons, explain: true });
});

test('servers are not asked more often than every two seconds, or not at all', () => {
  assert.equal(readSettings({ pollSeconds: 0.1 }).pollSeconds, 2);
  assert.equal(readSettings({ pollSeconds: 0 }).pollSeconds, 0);
  assert.equal(readSettings({ pollSeconds: -1 }).pollSeconds, 0);
});
