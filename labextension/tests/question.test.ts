import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ACTIONS, canAsk, question, type IAskedCell, type IQuestion } from '../src/question.js';

const RAN: IAskedCell = {
  kind: 'code',
  source: 'x = 1',
  number: 3,
  error: null,
  isLastFailure: false
};
const FAILED: IAskedCell = {
  ...RAN,
  error: '\u001b[31mNameError\u001b[0m: y',
  isLastFailure: true
};

function selected({ source, selection }: IQuestion): string {
  return source.slice(selection.from, selection.to);
}

test('a cell that ran goes along by its number', () => {
  for (const action of ACTIONS.filter(one => one !== 'fix')) {
    const asked = question(action, RAN);
    assert.match(asked.source, /^%%route --cells 3\n/);
    assert.equal(asked.source, `%%route --cells 3\n${selected(asked)}`);
    assert.equal(selected(asked).includes('In[3]'), action !== 'route');
  }
});

test('a cell that the kernel does not know stands in the question', () => {
  const asked = question('explain', { ...RAN, number: null });
  assert.equal(asked.source, `%%route\n${selected(asked)}\n\n\`\`\`\nx = 1\n\`\`\``);
  assert.match(selected(asked), /^Explain this code/);
});

test('what is asked by "Route This Cell" is left to the user, on a line of its own', () => {
  assert.deepEqual(question('route', RAN).selection, { from: 18, to: 18 });
  const { source, selection } = question('route', { ...RAN, number: null });
  assert.equal(source, '%%route\n\n\n```\nx = 1\n```');
  assert.deepEqual(selection, { from: 8, to: 8 });
});

test('code that holds fences is fenced by a longer one', () => {
  const { source } = question('explain', { ...RAN, number: null, source: '"""\n````\n"""' });
  assert.ok(source.endsWith('\n\n`````\n"""\n````\n"""\n`````'));
});

test('the last error is asked about by its option, and in words that can be seen', () => {
  const asked = question('fix', FAILED);
  assert.equal(asked.source, '%%route --fix\nFix this error.');
  assert.equal(selected(asked), 'Fix this error.');
});

test('an earlier error is asked about in full', () => {
  const { source } = question('fix', { ...FAILED, isLastFailure: false });
  assert.match(source, /^%%route\nFix the error/);
  assert.ok(source.endsWith('```\nNameError: y\n```'));
});

test('of a long traceback the end is kept', () => {
  const error = `${'frame\n'.repeat(5000)}KeyError: 7`;
  const { source } = question('fix', { ...FAILED, isLastFailure: false, error });
  assert.ok(source.length < 5000);
  assert.ok(source.includes('KeyError: 7'));
});

test('a text cell is the question', () => {
  const { source } = question('route', { ...RAN, kind: 'markdown', source: ' Why?\n' });
  assert.equal(source, '%%route\nWhy?');
});

test('what can be asked of which cell', () => {
  const can = (cell: IAskedCell): string => ACTIONS.filter(one => canAsk(one, cell)).join(' ');
  assert.equal(can(RAN), 'route explain problems document');
  assert.equal(can(FAILED), 'route explain problems document fix');
  assert.equal(can({ ...RAN, kind: 'markdown' }), 'route');
  assert.equal(can({ ...RAN, source: ' \n' }), '');
  for (const source of ['%%route\nwhy?', '%route why?', '%llm_why', '%%ask x']) {
    assert.equal(can({ ...RAN, source }), '');
  }
  assert.equal(can({ ...RAN, source: '%%routes' }), 'route explain problems document');
});
