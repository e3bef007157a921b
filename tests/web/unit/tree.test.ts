import { describe, expect, it } from 'vitest';
import {
  newConversation,
  NO_SETTINGS,
  titleFrom,
  type Conversation,
  type Message,
} from '../../../web/src/chat/message.ts';
import { pathOf, showBranch, siblingsOf, withLeaf, withMessage } from '../../../web/src/chat/tree.ts';

function message(id: string, parent: string | null, created: number): Message {
  return { id, parent, created, role: created % 2 ? 'user' : 'assistant', content: id };
}

// a - b - c - d, and e beside b with f under it
function grown(): Conversation {
  const nodes: [string, string | null][] = [
    ['a', null],
    ['b', 'a'],
    ['c', 'b'],
    ['d', 'c'],
    ['e', 'a'],
    ['f', 'e'],
  ];
  return nodes.reduce(
    (conversation, [id, parent], index) => withLeaf(conversation, message(id, parent, index)),
    newConversation(NO_SETTINGS, null),
  );
}

const ids = (messages: Message[]) => messages.map(({ id }) => id).join('');

describe('the tree of messages', () => {
  it('shows the path to its leaf', () => {
    expect(ids(pathOf(grown()))).toBe('aef');
    expect(pathOf(newConversation(NO_SETTINGS, null))).toEqual([]);
  });

  it('knows the versions of a message, oldest first', () => {
    const tree = grown();
    expect(ids(siblingsOf(tree, message('e', 'a', 4)))).toBe('be');
    expect(ids(siblingsOf(tree, message('a', null, 0)))).toBe('a');
  });

  it('shows a branch down to its end', () => {
    expect(ids(pathOf(showBranch(grown(), 'b')))).toBe('abcd');
    expect(ids(pathOf(showBranch(grown(), 'e')))).toBe('aef');
  });

  it('takes the newest message at each fork', () => {
    const forked = withMessage(grown(), message('g', 'b', 9));
    expect(ids(pathOf(showBranch(forked, 'b')))).toBe('abg');
  });

  it('leaves the old tree as it was', () => {
    const tree = grown();
    withLeaf(tree, message('z', 'f', 10));
    expect(Object.keys(tree.messages)).toHaveLength(6);
    expect(tree.leaf).toBe('f');
  });

  it('comes to an end in a tree that bites its tail', () => {
    const tree = { ...grown(), leaf: 'x' };
    tree.messages = { x: message('x', 'y', 0), y: message('y', 'x', 1) };
    expect(pathOf(tree)).toHaveLength(2);
    expect(showBranch(tree, 'x').leaf).toMatch(/[xy]/);
  });
});

describe('a title', () => {
  it('is the first words, cut between two', () => {
    expect(titleFrom('  Why is\nthe sky blue? ')).toBe('Why is the sky blue?');
    expect(titleFrom('word '.repeat(40))).toMatch(/^(word ){11}word…$/);
    expect(titleFrom('w'.repeat(100))).toHaveLength(61);
  });
});
