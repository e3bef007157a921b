// The tree of messages. Editing or regenerating adds a sibling; nothing that was said is lost. All functions return
// new objects.
import type { Conversation, Message } from './message.ts';

// From the first message to the one on the screen last.
export function pathOf(conversation: Conversation): Message[] {
  const path: Message[] = [];
  const seen = new Set<string>(); // an imported tree may have been tampered with
  for (let id = conversation.leaf; id !== null && !seen.has(id);) {
    seen.add(id);
    const message = conversation.messages[id];
    if (!message) break;
    path.push(message);
    id = message.parent;
  }
  return path.toReversed();
}

function childrenOf(conversation: Conversation, parent: string | null): Message[] {
  const all = Object.values(conversation.messages);
  return all.filter((message) => message.parent === parent).toSorted((a, b) => a.created - b.created);
}

// The message and the others that answer the same parent, oldest first.
export function siblingsOf(conversation: Conversation, message: Message): Message[] {
  return childrenOf(conversation, message.parent);
}

// Puts the branch through `id` on the screen: down to its end, by the newest message at each fork.
export function showBranch(conversation: Conversation, id: string): Conversation {
  const seen = new Set<string>();
  let leaf = id;
  while (!seen.has(leaf)) {
    seen.add(leaf);
    leaf = childrenOf(conversation, leaf).at(-1)?.id ?? leaf;
  }
  return { ...conversation, leaf };
}

// Adds a message, or replaces the one with its id, and ends the path on the screen with it.
export function withLeaf(conversation: Conversation, message: Message): Conversation {
  return { ...withMessage(conversation, message), leaf: message.id };
}

export function withMessage(conversation: Conversation, message: Message): Conversation {
  return {
    ...conversation,
    messages: { ...conversation.messages, [message.id]: message },
    updated: Date.now(),
  };
}
