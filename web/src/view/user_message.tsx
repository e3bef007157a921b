import { useSignal } from '@preact/signals';
import { useLayoutEffect, useRef } from 'preact/hooks';
import type { Attachment, Message } from '../chat/message.ts';
import { shown } from '../state/conversations.ts';
import { replyIn, say } from '../state/replies.ts';
import { Branches } from './branches.tsx';
import { CopyButton } from './copy_button.tsx';
import { editing } from './intent.ts';
import { Icon, IconButton } from './icon.tsx';
import { fitHeight, isPlainEnter } from './text_area.ts';

function linesOf(text: string): string {
  if (text === '') return 'empty';
  const count = text.replace(/\n$/, '').split('\n').length;
  return count === 1 ? '1 line' : `${count} lines`;
}

export function FileChip({ file, onRemove }: { file: Attachment; onRemove?: () => void }) {
  return (
    <span class="file">
      <Icon name="file" />
      <span class="file-name">{file.name}</span>
      <span class="file-size">{linesOf(file.text)}</span>
      {onRemove && <IconButton icon="close" label={`Remove ${file.name}`} onClick={onRemove} />}
    </span>
  );
}

const close = () => (editing.value = null);

function Editor({ message }: { message: Message }) {
  const text = useSignal(message.content);
  const area = useRef<HTMLTextAreaElement>(null);
  const send = () => {
    if (!text.value.trim() || replyIn(shown.value.id)) return;
    close();
    say(text.value.trim(), message.attachments ?? [], message.parent);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.isComposing) return; // the key is the input method's
    if (event.key === 'Escape') close();
    else if (isPlainEnter(event)) send();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  useLayoutEffect(() => {
    const before = document.activeElement;
    area.current?.focus();
    area.current?.setSelectionRange(message.content.length, message.content.length);
    fitHeight(area.current);
    return () => before instanceof HTMLElement && before.focus();
  }, []);
  const onInput = (event: InputEvent & { currentTarget: HTMLTextAreaElement }) => {
    text.value = event.currentTarget.value;
    fitHeight(event.currentTarget);
  };
  return (
    <div class="editor">
      <textarea
        ref={area}
        dir="auto"
        aria-label="Edit message"
        value={text}
        onInput={onInput}
        onKeyDown={onKeyDown}
      />
      <div class="editor-buttons">
        <button type="button" class="plain" onClick={close}>
          Cancel
        </button>
        <button type="button" class="primary" disabled={!text.value.trim()} onClick={send}>
          Send
        </button>
      </div>
    </div>
  );
}

export function UserMessage({ message }: { message: Message }) {
  const busy = replyIn(shown.value.id) !== undefined;
  if (editing.value === message.id) return <Editor message={message} />;
  return (
    <article class="message user" aria-label="You">
      {message.attachments && (
        <div class="files">
          {message.attachments.map((file) => (
            <FileChip key={file.name} file={file} />
          ))}
        </div>
      )}
      {message.content && (
        <div class="bubble" dir="auto">
          {message.content}
        </div>
      )}
      <div class="actions">
        <Branches message={message} />
        <CopyButton text={message.content} label="Copy message" />
        <IconButton
          icon="edit"
          label="Edit message"
          disabled={busy}
          onClick={() => (editing.value = message.id)}
        />
      </div>
    </article>
  );
}
