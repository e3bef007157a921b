// Conversations in the browser's IndexedDB. Where that is not to be had (a private window), they live until the page
// is closed.
import type { Conversation } from '../chat/message.ts';

const NAME = 'tern';
const STORE = 'conversations';

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error('IndexedDB'));
  });
}

function open(): Promise<IDBDatabase> {
  const request = indexedDB.open(NAME, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: 'id' });
  return settled(request);
}

let opened: Promise<IDBDatabase> | undefined;

async function store(mode: IDBTransactionMode): Promise<IDBObjectStore> {
  opened ??= open();
  return (await opened).transaction(STORE, mode).objectStore(STORE);
}

export async function loadConversations(): Promise<Conversation[]> {
  return (await settled((await store('readonly')).getAll())) as Conversation[];
}

export async function loadConversation(id: string): Promise<Conversation | undefined> {
  return (await settled((await store('readonly')).get(id))) as Conversation | undefined;
}

export async function saveConversation(conversation: Conversation): Promise<void> {
  await settled((await store('readwrite')).put(conversation));
}

export async function removeConversation(id: string): Promise<void> {
  await settled((await store('readwrite')).delete(id));
}
