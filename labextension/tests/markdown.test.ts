import assert from 'node:assert/strict';
import { test } from 'node:test';

import { afterLines, body, withoutDiagrams, withoutImages } from '../src/markdown.js';

function table(change: (text: string) => string, rows: [given: string, expected: string][]): void {
  for (const [given, expected] of rows) {
    assert.equal(change(given), expected, `given ${JSON.stringify(given)}`);
  }
}

test('the card is the first lines', () => {
  assert.equal(afterLines('a\nb\nc\n', 0), 'a\nb\nc\n');
  assert.equal(afterLines('a\nb\nc\n', 2), 'c\n');
  assert.equal(afterLines('a\r\nb\r\nc', 1), 'b\r\nc');
  assert.equal(afterLines('a\nb', 2), '');
  assert.equal(afterLines('a\nb', Number.MAX_SAFE_INTEGER), '');
  assert.equal(afterLines('', 1), '');
});

test('a picture becomes a link', () => {
  table(withoutImages, [
    ['see ![a plot](http://x/p.png) there', 'see [image: a plot](http://x/p.png) there'],
    ['![](http://x/p.png)', '[image: ](http://x/p.png)'],
    ['![a][ref]\n\n[ref]: http://x', '[image: a][ref]\n\n[ref]: http://x'],
    ['[![badge](http://x/b.svg)](http://x)', '[[image: badge](http://x/b.svg)](http://x)'],
    ['![two\nlines](http://x)', '[image: two\nlines](http://x)'],
    ['> - ![a](u)', '> - [image: a](u)']
  ]);
});

test('no formula makes a link, or another name for one', () => {
  table(withoutImages, [
    ['$\\href{http://x}{y}$', '$\\\u2060href{http://x}{y}$'],
    ['$\\let\\a\\href\\a{http://x}{y}$', '$\\\u2060let\\a\\\u2060href\\a{http://x}{y}$'],
    ['$\\style {color:red}{x}$', '$\\\u2060style {color:red}{x}$'],
    ['C:\\data\\default `\\let`', 'C:\\data\\default `\\let`'],
    ['~~~\n\\def\\a{}\n~~~', '~~~\n\\def\\a{}\n~~~']
  ]);
});

test('other marks of a picture are escaped, which shows them as they are', () => {
  table(withoutImages, [
    ['![ref]', '\\![ref]'],
    ['![a [b] c](u)', '\\![a [b] c](u)'],
    ['vec![1, 2]', 'vec\\![1, 2]']
  ]);
});

test('a backslash that is there counts', () => {
  table(withoutImages, [
    ['\\![a](u)', '\\![a](u)'],
    ['\\\\![a](u)', '\\\\[image: a](u)'],
    ['\\\\\\![a](u)', '\\\\\\![a](u)'],
    ['\\\\![ref]', '\\\\\\![ref]']
  ]);
});

test('tags that load become text', () => {
  table(withoutImages, [
    ['<img src=http://x onerror=alert(1)>', '&lt;img src=http://x onerror=alert(1)>'],
    ['<IMG\nsrc=http://x>', '&lt;IMG\nsrc=http://x>'],
    ['<img/src=x>', '&lt;img/src=x>'],
    ['<picture><source srcset=u></picture>', '&lt;picture>&lt;source srcset=u>&lt;/picture>'],
    ['<video poster=u></video>', '&lt;video poster=u>&lt;/video>'],
    ['<input type=image src=u>', '&lt;input type=image src=u>'],
    ['<svg><image href=u /></svg>', '&lt;svg>&lt;image href=u />&lt;/svg>'],
    ['<imgs> <br> <sub>2</sub> a < b', '<imgs> <br> <sub>2</sub> a < b']
  ]);
});

test('code is left alone', () => {
  const untouched = [
    '```html\n<img src="a.png">\n![a](b)\n```',
    '~~~\n![a](b)\n~~~',
    '````md\n```\n![a](b)\n```\n````',
    '- item\n  ```\n  ![a](b)\n  ```',
    '1. item\n\n    ```rust\n    vec![1]\n    ```',
    '> ```\n> ![a](b)\n> ```',
    '```\n![a](b), and the fence is still open',
    'a `![a](b)` b',
    'a ``![a](b) ` <img>`` b',
    'a `![a]\n(b)` b'
  ];
  table(
    withoutImages,
    untouched.map(text => [text, text])
  );
});

test('what only looks like code is not', () => {
  table(withoutImages, [
    ['```\ncode\n```\n![a](u)', '```\ncode\n```\n[image: a](u)'],
    ['```\ncode\n~~~\n![a](u)\n```\n![b](v)', '```\ncode\n~~~\n![a](u)\n```\n[image: b](v)'],
    ['`open ![a](u)', '`open [image: a](u)'],
    ['`open\n\n![a](u) `', '`open\n\n[image: a](u) `'],
    ['``open ![a](u)`', '``open [image: a](u)`'],
    ['`a` ![b](u) `c`', '`a` [image: b](u) `c`'],
    ['``` not a fence ` ![a](u)', '``` not a fence ` [image: a](u)']
  ]);
});

test('text without pictures comes back as it was', () => {
  const text =
    '# Why\n\nIt *merges*, see [docs](http://x).\r\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n\n$a<b$\n';
  assert.equal(withoutImages(text), text);
  assert.equal(withoutImages(''), '');
});

test('a diagram is shown as its source', () => {
  table(withoutDiagrams, [
    ['```mermaid\ngraph TD\n```', '```text\ngraph TD\n```'],
    ['> ~~~~ mermaid  \n> graph\n> ~~~~', '> ~~~~text\n> graph\n> ~~~~'],
    ['```Mermaid\r\ngraph\r\n```', '```text\r\ngraph\r\n```'],
    ['```python\nmermaid\n```', '```python\nmermaid\n```'],
    ['a mermaid', 'a mermaid']
  ]);
});

test('all of it together', () => {
  const card = '**coding** qwen2.5-coder\n\n';
  assert.equal(body(`${card}Look: ![a](u)\n`, 2), 'Look: [image: a](u)\n');
});

test('a long hostile text is read in one pass', () => {
  // Each would take minutes if the work grew with the square of the length.
  for (const text of [
    '`'.repeat(2e5),
    '![ '.repeat(1e5),
    '<img'.repeat(1e5),
    '` `` '.repeat(5e4)
  ]) {
    assert.ok(withoutImages(text).length >= text.length);
  }
});
