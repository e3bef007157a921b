import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { Message, Usage } from '../chat/message.ts';
import { shown } from '../state/conversations.ts';
import { continueAnswer, regenerate, replyIn, type Reply } from '../state/replies.ts';
import { wantsKey } from '../state/server.ts';
import { Branches } from './branches.tsx';
import { CopyButton } from './copy_button.tsx';
import { Icon, IconButton } from './icon.tsx';
import { Markdown } from './markdown.tsx';
import { secondsOf, speedOf } from './numbers.ts';

// The time, every second, while a component shows it.
function useClock(): number {
  const now = useSignal(Date.now());
  useEffect(() => {
    const timer = setInterval(() => (now.value = Date.now()), 1_000);
    return () => clearInterval(timer);
  }, []);
  return now.value;
}

function Thinking({ message, going }: { message: Message; going: boolean }) {
  if (!message.reasoning) return null;
  const time = secondsOf(message.thoughtMs ?? 0);
  return (
    <details class="thinking">
      <summary>
        <Icon name="right" />
        <span class={going ? 'shimmer' : ''}>{going ? 'Thinking…' : `Thought for ${time}`}</span>
      </summary>
      <div class="thoughts">
        <Markdown text={message.reasoning} growing={going} />
      </div>
    </details>
  );
}

function Waiting({ reply }: { reply: Reply }) {
  const now = useClock();
  const { retryAt } = reply;
  if (retryAt.value !== null) {
    const seconds = Math.max(0, Math.ceil((retryAt.value - now) / 1000));
    return (
      <p class="waiting">
        The server is busy. Trying again in {seconds} s.{' '}
        <button type="button" class="link" onClick={() => reply.hurry()}>
          Try now
        </button>
      </p>
    );
  }
  const waited = Math.floor((now - reply.began) / 1000);
  return (
    <p class="waiting">
      <span class="dots" aria-hidden="true">
        <i />
        <i />
        <i />
      </span>
      {waited >= 3 && <span>Waiting for the first word… {waited} s</span>}
    </p>
  );
}

function Numbers({ usage }: { usage: Usage }) {
  const speed = usage.generationMs > 0 ? ((usage.tokens - 1) * 1000) / usage.generationMs : 0;
  const prompt = usage.promptTokens ? `${usage.promptTokens} tokens read` : '';
  const cached = usage.cachedTokens ? `, ${usage.cachedTokens} of them remembered` : '';
  const title = `First token after ${secondsOf(usage.firstTokenMs)}${prompt ? `; ${prompt}${cached}` : ''}`;
  return (
    <span class="numbers" title={title}>
      {usage.tokens} tokens
      {speed > 0 && ` · ${speedOf(speed)}`}
      <span class="wide-only"> · first after {secondsOf(usage.firstTokenMs)}</span>
    </span>
  );
}

function whyEnded(message: Message): string | null {
  switch (message.ending) {
    case 'failed':
      return message.failure?.words ?? 'The answer is not complete.';
    case 'length':
      return 'The answer reached its length limit.';
    case 'stopped':
      return message.content ? null : 'Stopped.';
    default:
      return null;
  }
}

function Ended({ message }: { message: Message }) {
  const words = whyEnded(message);
  const begun = message.content !== '';
  const offersContinuing = begun && message.ending !== 'stop' && message.ending !== undefined;
  const failed = message.ending === 'failed';
  if (!words && !offersContinuing) return null;
  return (
    <div class={failed ? 'ended failed' : 'ended'}>
      {failed && <Icon name="warn" />}
      {words && <span>{words}</span>}
      {offersContinuing && (
        <button type="button" class="plain" onClick={() => continueAnswer(message)}>
          Continue
        </button>
      )}
      {failed && message.failure?.kind === 'unauthorized' && (
        <button type="button" class="plain" onClick={() => (wantsKey.value = true)}>
          Enter the key
        </button>
      )}
      {!begun && (
        <button type="button" class="plain" onClick={() => regenerate(message)}>
          Try again
        </button>
      )}
    </div>
  );
}

interface Props {
  message: Message;
  reply: Reply | undefined;
  last: boolean;
}

export function AssistantMessage({ message: kept, reply, last }: Props) {
  const message = reply?.message.value ?? kept;
  const going = reply !== undefined;
  const waits = going && !message.content && !message.reasoning;
  const busy = replyIn(shown.value.id) !== undefined;
  return (
    <article class="message assistant" aria-label={message.model ?? 'Answer'} aria-busy={going}>
      <Thinking message={message} going={going && !message.content} />
      {waits && <Waiting reply={reply} />}
      {message.content && <Markdown text={message.content} growing={going} />}
      {!going && last && <Ended message={message} />}
      {!going && (
        <div class={last ? 'actions always' : 'actions'}>
          <Branches message={message} />
          {message.content && <CopyButton text={message.content} label="Copy answer" />}
          <IconButton icon="again" label="Answer again" disabled={busy} onClick={() => regenerate(message)} />
          {message.usage && <Numbers usage={message.usage} />}
        </div>
      )}
    </article>
  );
}
