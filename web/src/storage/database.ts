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

// A write has happened when its transaction has: that the disk is full is often found only then.
function committed(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error ?? new Error('IndexedDB'));
  });
}

let opened: Promise<IDBDatabase> | undefined;

// What failed, or the browser closed, is opened anew the next time.
const forget = (): void => void (opened = undefined);

async function open(): Promise<IDBDatabase> {
  const request = indexedDB.open(NAME, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: 'id' });
  const database = await settled(request);
  database.onclose = forget;
  return database;
}

async function store(mode: IDBTransactionMode): Promise<IDBObjectStore> {
  if (!opened) {
    opened = open();
    opened.catch(forget);
  }
  return (await opened).transaction(STORE, mode).objectStore(STORE);
}

async function change(make: (conversations: IDBObjectStore) => IDBRequest): Promise<void> {
  const conversations = await store('readwrite');
  make(conversations);
  await committed(conversations.transaction);
}

export async function loadConversations(): Promise<Conversation[]> {
  return (await settled((await store('readonly')).getAll())) as Conversation[];
}

export async function loadConversation(id: string): Promise<Conversation | undefined> {
  return (await settled((await store('readonly')).get(id))) as Conversation | undefined;
}

export async function saveConversation(conversation: Conversation): Promise<void> {
  await change((conversations) => conversations.put(conversation));
}

export async function removeConversation(id: string): Promise<void> {
  await change((conversations) => conversations.delete(id));
}
