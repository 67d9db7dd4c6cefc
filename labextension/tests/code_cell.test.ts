import assert from 'node:assert/strict';
import { test } from 'node:test';

import { cellOfBlock, languageOf } from '../src/code_cell.js';
import { ENGLISH } from '../src/trans.js';

test('code becomes a cell of its language', () => {
  assert.deepEqual(cellOfBlock('python', 'x = 1\n\n'), { source: 'x = 1' });
  assert.deepEqual(cellOfBlock('', 'x'), { source: 'x' });
  assert.deepEqual(cellOfBlock('Bash', 'ls'), { source: '%%bash\nls' });
  assert.deepEqual(cellOfBlock('sh', '%%bash\nls'), { source: '%%bash\nls' });
  assert.deepEqual(cellOfBlock('md', '# Title'), { source: '# Title', kind: 'markdown' });
  assert.deepEqual(cellOfBlock('constructor', 'x'), { source: 'x' });
});

test('the language is read from the class, whatever else is in it', () => {
  assert.equal(languageOf('language-python'), 'python');
  assert.equal(languageOf('hljs language-c++ wide'), 'c++');
  assert.equal(languageOf('xlanguage-a'), '');
  assert.equal(languageOf(`language-${'a'.repeat(60)}`).length, 40);
});

test('sentences take their values, and numbers their form', () => {
  assert.equal(ENGLISH.__('%2 on %1', 'a', 'b'), 'b on a');
  assert.equal(ENGLISH.__('%1 of %2', '%2', '7'), '%2 of 7');
  assert.equal(ENGLISH._n('%1 model', '%1 models', 1), '1 model');
  assert.equal(ENGLISH._n('%2 model', '%2 models', 2000, '2,000'), '2,000 models');
});
