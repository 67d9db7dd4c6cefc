import js from '@eslint/js';
import tseslint from 'typescript-eslint';

const MARKUP = ['innerHTML', 'outerHTML', 'insertAdjacentHTML', 'setHTMLUnsafe', 'srcdoc'];

export default tseslint.config(
  { ignores: ['lib/'] },
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      // A saved answer is not trusted: what it holds reaches the page as text alone.
      'no-restricted-properties': [
        'error',
        ...MARKUP.map(property => ({ property, message: 'Use textContent and createElement.' }))
      ]
    }
  },
  {
    // node:test waits for its own tests.
    files: ['tests/**'],
    rules: { '@typescript-eslint/no-floating-promises': 'off' }
  }
);
