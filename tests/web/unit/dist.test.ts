import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { hashSources } from '../../../web/vite.config.ts';

const WEB = fileURLToPath(new URL('../../../web/', import.meta.url));
const MAX_BYTES = 1_000_000;

// The files under a folder, by their path in it.
function filesOf(folder: string): Map<string, Buffer> {
  const entries = readdirSync(folder, { withFileTypes: true, recursive: true }).filter((entry) =>
    entry.isFile(),
  );
  const paths = entries.map((entry) => join(entry.parentPath, entry.name)).toSorted();
  return new Map(paths.map((path) => [relative(folder, path), readFileSync(path)]));
}

const dist = filesOf(`${WEB}dist`);

it('is the page that was built from these sources; if not: npm run build', () => {
  expect(dist.get('SOURCES.sha256')?.toString()).toBe(hashSources(WEB));
});

it('is what a build gives', () => {
  const out = fileURLToPath(new URL('../../../build/web/dist', import.meta.url));
  const vite = `${WEB}node_modules/vite/bin/vite.js`;
  const options = ['--outDir', out, '--emptyOutDir', '--logLevel', 'error'];
  execFileSync(process.execPath, [vite, 'build', ...options], {
    cwd: WEB,
    env: { ...process.env, NODE_ENV: '' },
  });
  const built = filesOf(out);
  expect([...built.keys()]).toEqual([...dist.keys()]);
  for (const [name, content] of built) expect(dist.get(name)?.equals(content), name).toBe(true);
});

it('is small', () => {
  const total = [...dist.values()].reduce((bytes, content) => bytes + content.length, 0);
  expect(total).toBeLessThan(MAX_BYTES);
});

it('names no place to load anything from', () => {
  for (const [name, content] of dist) {
    if (!/\.(?:html|css|svg)$/.test(name)) continue;
    const addresses = content.toString().match(/(?:src|href|url)[=(]\s*["']?(?:https?:)?\/\/[^"')]*/g);
    expect(addresses, name).toBeNull();
  }
});
