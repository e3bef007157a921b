import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { defineConfig, type Plugin } from 'vite';

const here = import.meta.dirname;
const modules = join(here, 'node_modules');

// What the built page depends on; dist/SOURCES.sha256 has the hash of each, in the form of sha256sum.
const SOURCES = [
  'index.html',
  'package.json',
  'package-lock.json',
  'public',
  'src',
  'tsconfig.json',
  'vite.config.ts',
];

function filesUnder(path: string): string[] {
  if (!existsSync(path)) return [];
  const entries = readdirSync(path, { withFileTypes: true, recursive: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

export function hashSources(root: string): string {
  const named = SOURCES.map((name) => join(root, name));
  const files = named.flatMap((path) => (/\.\w+$/.test(path) ? [path] : filesUnder(path)));
  const line = (path: string) =>
    `${createHash('sha256').update(readFileSync(path)).digest('hex')}  ${relative(root, path)}\n`;
  return files.toSorted().map(line).join('');
}

function writeSourceHash(): Plugin {
  return {
    name: 'source-hash',
    generateBundle() {
      this.emitFile({ type: 'asset', fileName: 'SOURCES.sha256', source: hashSources(here) });
    },
  };
}

// The licences of what is bundled: the run-time dependencies, with theirs.
function licenceOf(name: string): string {
  const folder = join(modules, name);
  const { version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Record<
    string,
    string
  >;
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  const text = file ? readFileSync(join(folder, file), 'utf8') : '';
  const tidy = text
    .replaceAll('\t', '    ')
    .replaceAll(/[ \r]+$/gm, '')
    .trim();
  return `${name} ${version} (${license})\n\n${tidy}\n`;
}

function writeLicences(): Plugin {
  const bundled = new Set<string>();
  return {
    name: 'licences',
    moduleParsed({ id }) {
      const inModules = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(id);
      if (inModules?.[1]) bundled.add(inModules[1]);
    },
    generateBundle() {
      const rule = `\n${'-'.repeat(80)}\n\n`;
      const head = 'The page of tern (Apache-2.0) contains the following packages.\n';
      const source = [head, ...[...bundled].toSorted().map(licenceOf)].join(rule);
      this.emitFile({ type: 'asset', fileName: 'LICENSES.txt', source });
    },
  };
}

// Every browser that can run the page reads woff2; the other formats would only swell the program.
function onlyWoff2(): Plugin {
  return {
    name: 'only-woff2',
    enforce: 'pre',
    transform(code, id) {
      if (!id.includes('katex') || !id.endsWith('.css')) return null;
      return {
        code: code.replaceAll(/,\s*url\([^)]*\.(?:woff|ttf)\)\s*format\(["'][^"']*["']\)/g, ''),
        map: null,
      };
    },
  };
}

export default defineConfig({
  base: './',
  plugins: [onlyWoff2(), writeLicences(), writeSourceHash()],
  build: {
    target: ['chrome123', 'firefox121', 'safari17.5'],
    assetsInlineLimit: 0, // the Content-Security-Policy allows no data: fonts
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 400,
  },
  server: { proxy: { '/v1': 'http://127.0.0.1:8080', '/props': 'http://127.0.0.1:8080' } },
});
