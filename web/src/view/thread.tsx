// The path of messages that is on the screen, and the place where one reads: it follows an answer as long as its end is
// in sight.
import { useSignal } from '@preact/signals';
import type { RefObject } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';
import { pathOf } from '../chat/tree.ts';
import { shown } from '../state/conversations.ts';
import { replyIn } from '../state/replies.ts';
import { AssistantMessage } from './assistant_message.tsx';
import { IconButton } from './icon.tsx';
import { UserMessage } from './user_message.tsx';
import { Welcome } from './welcome.tsx';

const NEAR_END = 48; // pixels
const AT_END = 4; // whoever scrolls up is not to be pulled back

function useFollowing(scroller: RefObject<HTMLElement | null>, conversationId: string) {
  const atEnd = useSignal(true);
  const lastTop = useRef(0);
  const toEnd = () => {
    atEnd.value = true;
    const box = scroller.current;
    if (!box) return;
    box.scrollTop = box.scrollHeight;
    lastTop.current = box.scrollTop;
  };
  // More may have come since the scrolling that is told of: only going up leaves the end.
  const onScroll = () => {
    const box = scroller.current;
    if (!box) return;
    const goesUp = box.scrollTop < lastTop.current;
    lastTop.current = box.scrollTop;
    const left = box.scrollHeight - box.scrollTop - box.clientHeight;
    atEnd.value = goesUp ? left < AT_END : atEnd.value || left < NEAR_END;
  };
  useLayoutEffect(() => {
    const box = scroller.current;
    if (!box?.firstElementChild) return undefined;
    const observer = new ResizeObserver(() => atEnd.value && toEnd());
    observer.observe(box.firstElementChild);
    observer.observe(box);
    return () => observer.disconnect();
  }, []);
  useLayoutEffect(toEnd, [conversationId]);
  return { atEnd, toEnd, onScroll };
}

export function Thread() {
  const conversation = shown.value;
  const reply = replyIn(conversation.id);
  const path = pathOf(conversation);
  const scroller = useRef<HTMLElement>(null);
  const { atEnd, toEnd, onScroll } = useFollowing(scroller, conversation.id);
  const replyId = reply?.id;
  useLayoutEffect(() => {
    if (replyId) toEnd();
  }, [replyId]);
  return (
    <div class="thread-frame">
      <main class="thread" ref={scroller} onScroll={onScroll} tabIndex={-1}>
        <div class="messages">
          {path.length === 0 && <Welcome />}
          {path.map((message, index) =>
            message.role === 'user' ? (
              <UserMessage key={message.id} message={message} />
            ) : (
              <AssistantMessage
                key={message.id}
                message={message}
                reply={replyId === message.id ? reply : undefined}
                last={index === path.length - 1}
              />
            ),
          )}
        </div>
      </main>
      {!atEnd.value && <IconButton class="to-end" icon="down" label="To the end" onClick={toEnd} />}
    </div>
  );
}
