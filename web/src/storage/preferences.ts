// Small things that the browser keeps: the theme, the model chosen last, settings for new conversations, the API key.
import { signal, type Signal } from '@preact/signals';
import type { Settings } from '../chat/message.ts';
import { settingsIn } from '../chat/transfer.ts';
import { asObject, asString, parseJson } from '../server/json.ts';

export type Theme = 'system' | 'light' | 'dark';

const prefix = 'tern.';

function read(name: string): string {
  try {
    return localStorage.getItem(prefix + name) ?? '';
  } catch {
    return ''; // storage is forbidden: everything works, nothing is kept
  }
}

function write(name: string, value: string): void {
  try {
    if (value) localStorage.setItem(prefix + name, value);
    else localStorage.removeItem(prefix + name);
  } catch {
    // full or forbidden: the value holds until the page is closed
  }
}

// A signal that is kept in the browser from one visit to the next.
function kept<T>(name: string, decode: (text: string) => T, encode: (value: T) => string): Signal<T> {
  const value = signal(decode(read(name)));
  value.subscribe((now) => write(name, encode(now)));
  return value;
}

const themeOf = (text: string): Theme => (text === 'light' || text === 'dark' ? text : 'system');

export const theme = kept<Theme>('theme', themeOf, (value) => (value === 'system' ? '' : value));
export const apiKey = kept<string>('key', asString, asString);
export const lastModel = kept<string | null>(
  'model',
  (text) => text || null,
  (value) => value ?? '',
);
export const defaults = kept<Settings>(
  'defaults',
  (text) => settingsIn(asObject(parseJson(text))),
  (value) => JSON.stringify(value),
);

theme.subscribe((value) => {
  if (value === 'system') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = value;
});
