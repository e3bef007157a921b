import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { hashSources } from '../../../web/vite.config.ts';

const WEB = fileURLToPath(new URL('../../../web/', import.meta.url));
const MAX_BYTES = 1_000_000;

const files = readdirSync(`${WEB}dist`, { withFileTypes: true, recursive: true }).filter((entry) =>
  entry.isFile(),
);
const read = (entry: (typeof files)[number]) => readFileSync(`${entry.parentPath}/${entry.name}`);

it('is the page that was built from these sources; if not: npm run build', () => {
  expect(readFileSync(`${WEB}dist/SOURCES.sha256`, 'utf8')).toBe(hashSources(WEB));
});

it('is small', () => {
  const total = files.reduce((bytes, entry) => bytes + read(entry).length, 0);
  expect(total).toBeLessThan(MAX_BYTES);
});

it('names no place to load anything from', () => {
  for (const entry of files.filter(({ name }) => /\.(?:html|css|svg)$/.test(name))) {
    const addresses = read(entry)
      .toString()
      .match(/(?:src|href|url)[=(]\s*["']?(?:https?:)?\/\/[^"')]*/g);
    expect(addresses, entry.name).toBeNull();
  }
});
