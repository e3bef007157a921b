import type { Message } from '../chat/message.ts';
import { showBranch, siblingsOf } from '../chat/tree.ts';
import { put, shown } from '../state/conversations.ts';
import { replyIn } from '../state/replies.ts';
import { IconButton } from './icon.tsx';

// < 2 / 3 >
export function Branches({ message }: { message: Message }) {
  const siblings = siblingsOf(shown.value, message);
  if (siblings.length < 2) return null;
  const index = siblings.findIndex(({ id }) => id === message.id);
  const busy = replyIn(shown.value.id) !== undefined;
  const go = (step: number) => {
    const other = siblings[index + step];
    if (other) put(showBranch(shown.value, other.id));
  };
  return (
    <div class="branches" role="group" aria-label="Versions">
      <IconButton
        icon="left"
        label="Previous version"
        disabled={busy || index === 0}
        onClick={() => go(-1)}
      />
      <span>
        {index + 1}
        <span class="slash"> / </span>
        {siblings.length}
      </span>
      <IconButton
        icon="right"
        label="Next version"
        disabled={busy || index === siblings.length - 1}
        onClick={() => go(1)}
      />
    </div>
  );
}
