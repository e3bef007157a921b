import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

// The tests lie outside this folder and use its packages.
const here = import.meta.dirname;
const modules = join(here, 'node_modules');

export default defineConfig({
  root: join(here, '..'),
  cacheDir: join(modules, '.vite'),
  resolve: {
    alias: [
      {
        find: /^(vitest|playwright-core|axe-core|jsdom|fake-indexeddb)(\/.*)?$/,
        replacement: `${modules}/$1$2`,
      },
    ],
  },
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  test: {
    dir: join(here, '../tests/web'),
    testTimeout: 240_000,
    hookTimeout: 240_000,
    expect: { poll: { timeout: 20_000 } }, // as long as the browser's own waiting
    maxWorkers: 2,
  },
});
