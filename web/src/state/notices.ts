// What the page says in passing: short lines at the foot, and words for screen readers only.
import { signal } from '@preact/signals';

export interface Notice {
  id: number;
  words: string;
  undo?: () => void;
}

const SHOWN_MS = 7_000;

export const notices = signal<readonly Notice[]>([]);
export const spoken = signal('');

let lastId = 0;

export function dismiss(id: number): void {
  notices.value = notices.value.filter((notice) => notice.id !== id);
}

export function notify(words: string, undo?: () => void): void {
  const id = ++lastId;
  notices.value = [...notices.value, { id, words, ...(undo ? { undo } : {}) }];
  setTimeout(() => dismiss(id), SHOWN_MS);
}
