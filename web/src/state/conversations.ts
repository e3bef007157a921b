// The conversations of this browser, and which of them is on the screen. Everything is kept in memory and written
// behind; other tabs are told.
import { computed, signal } from '@preact/signals';
import { newConversation, newId, type Conversation, type Settings } from '../chat/message.ts';
import { fromJson } from '../chat/transfer.ts';
import * as database from '../storage/database.ts';
import { defaults, lastModel } from '../storage/preferences.ts';
import { notify } from './notices.ts';

const kept = signal<ReadonlyMap<string, Conversation>>(new Map());
const shownId = signal<string | null>(null);
const draft = signal<Conversation>(newConversation(defaults.value, lastModel.value));

export const search = signal('');

// A new conversation is a draft, and not in the list, until its first message.
export const shown = computed(() => kept.value.get(shownId.value ?? '') ?? draft.value);
export const isDraft = computed(() => !kept.value.has(shown.value.id));
export const list = computed(() => [...kept.value.values()].toSorted((a, b) => b.updated - a.updated));

function matches(conversation: Conversation, words: string): boolean {
  const texts = [
    conversation.title,
    ...Object.values(conversation.messages).map((message) => message.content),
  ];
  return texts.some((text) => text.toLowerCase().includes(words));
}

export const found = computed(() => {
  const words = search.value.trim().toLowerCase();
  return words ? list.value.filter((conversation) => matches(conversation, words)) : list.value;
});

const channel = typeof BroadcastChannel === 'undefined' ? null : new BroadcastChannel('tern');

function hold(conversation: Conversation): void {
  kept.value = new Map(kept.value).set(conversation.id, conversation);
}

function release(id: string): void {
  const rest = new Map(kept.value);
  rest.delete(id);
  kept.value = rest;
}

let warned = false;
const unwritten = new Set<string>(); // newer here than in the browser's store, which could not take them

async function written(work: Promise<void>, id: string): Promise<void> {
  try {
    await work;
    unwritten.delete(id);
    channel?.postMessage(id);
  } catch {
    unwritten.add(id);
    if (!warned) notify('This browser does not keep conversations: they are lost when the page is closed.');
    warned = true;
  }
}

export const conversation = (id: string): Conversation | undefined =>
  kept.value.get(id) ?? (draft.value.id === id ? draft.value : undefined);

// Puts a changed conversation on the screen; `keep` writes it to the browser as well.
export function put(changed: Conversation, keep = true): void {
  if (changed.leaf === null) {
    draft.value = changed;
    return;
  }
  hold(changed);
  if (draft.value.id === changed.id) {
    shownId.value = changed.id;
    draft.value = newConversation(defaults.value, lastModel.value);
    history.pushState(null, '', `#${changed.id}`);
  }
  if (keep) void written(database.saveConversation(changed), changed.id);
}

export function show(id: string): void {
  if (id !== shownId.value) history.pushState(null, '', `#${id}`);
  shownId.value = id;
}

export function startNew(): void {
  draft.value = newConversation(defaults.value, lastModel.value);
  if (shownId.value !== null) history.pushState(null, '', location.pathname);
  shownId.value = null;
}

export function rename(id: string, title: string): void {
  const old = kept.value.get(id);
  if (old && title.trim()) put({ ...old, title: title.trim() });
}

export function remove(id: string): void {
  const old = kept.value.get(id);
  if (!old) return;
  if (shown.value.id === id) startNew();
  release(id);
  void written(database.removeConversation(id), id);
  notify(`Deleted “${old.title}”.`, () => put(old));
}

export function setSettings(settings: Settings): void {
  put({ ...shown.value, settings });
}

export function setModel(model: string): void {
  lastModel.value = model;
  put({ ...shown.value, model });
}

// A conversation that is here already comes in as a copy.
export function bringIn(text: string): number {
  const conversations = fromJson(text);
  for (const one of conversations) put(kept.value.has(one.id) ? { ...one, id: newId() } : one);
  return conversations.length;
}

function showAddressed(): void {
  const id = location.hash.slice(1);
  shownId.value = kept.value.has(id) ? id : null;
}

async function reread(id: string): Promise<void> {
  if (unwritten.has(id)) return;
  const other = await database.loadConversation(id);
  if (other) hold(other);
  else release(id);
}

export async function load(): Promise<void> {
  try {
    const stored = await database.loadConversations();
    kept.value = new Map(stored.map((one) => [one.id, one]));
  } catch {
    await written(Promise.reject(new Error('unavailable')), '');
  }
  showAddressed();
  addEventListener('popstate', showAddressed);
  channel?.addEventListener('message', (event: MessageEvent<string>) => void reread(event.data));
}
