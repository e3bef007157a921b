import { useSignal, useSignalEffect } from '@preact/signals';
import { useLayoutEffect, useRef } from 'preact/hooks';
import { LONG_PASTE, MAX_FILES, readTextFile } from '../chat/attachment.ts';
import type { Attachment } from '../chat/message.ts';
import { pathOf } from '../chat/tree.ts';
import { shown } from '../state/conversations.ts';
import { notify } from '../state/notices.ts';
import { replyIn, say, stop } from '../state/replies.ts';
import { facts } from '../state/server.ts';
import { Icon, IconButton } from './icon.tsx';
import { dropped, editing, suggested } from './intent.ts';
import { countOf, speedOf } from './numbers.ts';
import { fitHeight, isPlainEnter } from './text_area.ts';
import { FileChip } from './user_message.tsx';

function editLast(): boolean {
  const last = pathOf(shown.value).findLast((message) => message.role === 'user');
  if (!last || replyIn(shown.value.id)) return false;
  editing.value = last.id;
  return true;
}

function useFiles() {
  const files = useSignal<readonly Attachment[]>([]);
  const add = async (given: readonly File[]) => {
    for (const file of given) {
      if (files.value.length >= MAX_FILES) {
        notify(`At most ${MAX_FILES} files go with one message.`);
        return;
      }
      try {
        files.value = [...files.value, await readTextFile(file)];
      } catch (error) {
        notify(error instanceof Error ? error.message : String(error));
      }
    }
  };
  const remove = (gone: Attachment) => (files.value = files.value.filter((file) => file !== gone));
  useSignalEffect(() => {
    const given = dropped.value;
    if (given.length === 0) return;
    dropped.value = [];
    void add(given);
  });
  return { files, add, remove };
}

// How much of the model's context is used, and how fast words come.
function Meter() {
  const reply = replyIn(shown.value.id);
  const usage = pathOf(shown.value).findLast((message) => message.usage?.promptTokens)?.usage;
  const most = facts.value?.contextLength;
  const used = usage ? usage.promptTokens + usage.tokens : 0;
  if (reply && reply.tokens.value > 0) {
    return (
      <span class="meter">{`${countOf(reply.tokens.value)} tokens · ${speedOf(reply.speed.value)}`}</span>
    );
  }
  if (!most || !used) return null;
  return (
    <span class="meter">
      <progress max={most} value={Math.min(used, most)} aria-label="Context used" />
      {countOf(used)} of {countOf(most)} tokens
    </span>
  );
}

function SendButton({ ready, onSend }: { ready: boolean; onSend: () => void }) {
  const { id } = shown.value;
  if (replyIn(id))
    return <IconButton class="send stopping" icon="stop" label="Stop" onClick={() => stop(id)} />;
  return <IconButton class="send" icon="send" label="Send" disabled={!ready} onClick={onSend} />;
}

function AttachButton({ onFiles }: { onFiles: (files: readonly File[]) => void }) {
  const input = useRef<HTMLInputElement>(null);
  const onChange = () => {
    onFiles([...(input.current?.files ?? [])]);
    if (input.current) input.current.value = '';
  };
  return (
    <>
      <input ref={input} type="file" multiple hidden onChange={onChange} aria-label="Text files" />
      <IconButton icon="clip" label="Attach text files" onClick={() => input.current?.click()} />
    </>
  );
}

// What is being written, and the files beside it.
function useDraft() {
  const text = useSignal('');
  const area = useRef<HTMLTextAreaElement>(null);
  const { files, add, remove } = useFiles();
  const ready = text.value.trim() !== '' || files.value.length > 0;
  const send = () => {
    if (!ready || replyIn(shown.value.id)) return;
    say(text.value.trim(), [...files.value]);
    text.value = '';
    files.value = [];
    area.current?.focus();
  };
  useSignalEffect(() => {
    if (!suggested.value) return;
    text.value = suggested.value;
    suggested.value = '';
    area.current?.focus();
  });
  useLayoutEffect(() => area.current?.focus(), [shown.value.id]);
  useLayoutEffect(() => fitHeight(area.current), [text.value]);
  return { text, area, files, add, remove, ready, send };
}

// A picture beside words is what a spreadsheet makes of cells; another file beside words is a file, and its name.
function pastedFiles(data: DataTransfer | null): File[] {
  const words = data?.getData('text/plain') ?? '';
  const files = [...(data?.files ?? [])].filter(({ type }) => words === '' || !/^image\/(?!svg)/.test(type));
  return words.length > LONG_PASTE ? [...files, new File([words], 'pasted.txt')] : files;
}

export function Composer() {
  const { text, area, files, add, remove, ready, send } = useDraft();
  const onKeyDown = (event: KeyboardEvent) => {
    if (isPlainEnter(event)) send();
    else if (event.key !== 'ArrowUp' || text.value !== '' || !editLast()) return;
    event.preventDefault();
  };
  const onPaste = (event: ClipboardEvent) => {
    const pasted = pastedFiles(event.clipboardData);
    if (pasted.length === 0) return;
    event.preventDefault();
    void add(pasted);
  };
  return (
    <form class="composer" aria-label="Message" onSubmit={(event) => event.preventDefault()}>
      <div class="box">
        {files.value.length > 0 && (
          <div class="files">
            {files.value.map((file) => (
              <FileChip key={file.name} file={file} onRemove={() => remove(file)} />
            ))}
          </div>
        )}
        <textarea
          ref={area}
          rows={1}
          dir="auto"
          aria-label="Message"
          placeholder="Ask anything"
          value={text}
          onInput={(event) => (text.value = event.currentTarget.value)}
          onKeyDown={onKeyDown}
          onPaste={onPaste}
        />
        <div class="box-buttons">
          <AttachButton onFiles={(given) => void add(given)} />
          <Meter />
          <SendButton ready={ready} onSend={send} />
        </div>
      </div>
    </form>
  );
}

export function DropVeil() {
  return (
    <div class="veil" aria-hidden="true">
      <Icon name="file" />
      Drop text files to add them
    </div>
  );
}
