import 'fake-indexeddb/auto';
import { expect, it, vi } from 'vitest';
import { newConversation, NO_SETTINGS } from '../../../web/src/chat/message.ts';
import * as database from '../../../web/src/storage/database.ts';

it('keeps conversations, changes and removes them', async () => {
  const [one, two] = [newConversation(NO_SETTINGS, null), newConversation(NO_SETTINGS, 'm')];
  await database.saveConversation(one);
  await database.saveConversation(two);
  await database.saveConversation({ ...one, title: 'Changed' });
  expect(await database.loadConversation(one.id)).toEqual({ ...one, title: 'Changed' });
  await database.removeConversation(two.id);
  expect(await database.loadConversations()).toEqual([{ ...one, title: 'Changed' }]);
  expect(await database.loadConversation(two.id)).toBeUndefined();
});

// As a browser does whose disk is full: the request succeeds, the transaction does not.
function failNextPut(): void {
  const store = IDBObjectStore.prototype;
  const put = store.put;
  store.put = function (this: IDBObjectStore, value: unknown) {
    store.put = put;
    const request = put.call(this, value);
    request.addEventListener('success', () => this.transaction.abort());
    return request;
  };
}

it('fails where the transaction does, and only then', async () => {
  const one = newConversation(NO_SETTINGS, null);
  failNextPut();
  await expect(database.saveConversation(one)).rejects.toThrow();
  expect(await database.loadConversation(one.id)).toBeUndefined();
  await database.saveConversation(one);
  expect(await database.loadConversation(one.id)).toEqual(one);
});

it('opens anew what could not be opened', async () => {
  vi.resetModules();
  const anew = await import('../../../web/src/storage/database.ts');
  const open = vi.spyOn(indexedDB, 'open').mockImplementationOnce(() => {
    const request = { error: new Error('no') } as unknown as IDBOpenDBRequest;
    queueMicrotask(() => request.onerror?.(new Event('error')));
    return request;
  });
  await expect(anew.loadConversations()).rejects.toThrow('no');
  open.mockRestore();
  expect(await anew.loadConversations()).not.toEqual([]);
});
