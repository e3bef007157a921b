import 'fake-indexeddb/auto';
import { expect, it } from 'vitest';
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
