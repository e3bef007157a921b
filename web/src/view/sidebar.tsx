import { useSignal } from '@preact/signals';
import type { RefObject } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';
import type { Conversation } from '../chat/message.ts';
import {
  found,
  isDraft,
  list,
  remove,
  rename,
  search,
  show,
  shown,
  startNew,
} from '../state/conversations.ts';
import { replyIn, stop } from '../state/replies.ts';
import { theme, type Theme } from '../storage/preferences.ts';
import { Icon, IconButton, Logo } from './icon.tsx';
import { drawerOpen, settingsOpen } from './intent.ts';

const DAY_MS = 24 * 3600 * 1000;

function ageOf(time: number): string {
  const today = new Date().setHours(0, 0, 0, 0);
  if (time >= today) return 'Today';
  if (time >= today - DAY_MS) return 'Yesterday';
  if (time >= today - 7 * DAY_MS) return 'This week';
  return new Date(time).toLocaleDateString(undefined, { month: 'long', year: 'numeric' });
}

// By age, in the order of the list.
function grouped(conversations: Conversation[]): Map<string, Conversation[]> {
  const groups = new Map<string, Conversation[]>();
  for (const one of conversations) {
    const age = ageOf(one.updated);
    groups.set(age, [...(groups.get(age) ?? []), one]);
  }
  return groups;
}

function NameField({ conversation, onDone }: { conversation: Conversation; onDone: () => void }) {
  const field = useRef<HTMLInputElement>(null);
  useLayoutEffect(() => {
    field.current?.focus();
    field.current?.select();
  }, []);
  const save = () => {
    rename(conversation.id, field.current?.value ?? '');
    onDone();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    event.stopPropagation();
    if (event.isComposing) return; // the key is the input method's
    if (event.key === 'Enter') save();
    if (event.key === 'Escape') onDone();
  };
  return (
    <input
      ref={field}
      class="name-field"
      aria-label="New name"
      maxLength={200}
      defaultValue={conversation.title}
      onBlur={save}
      onKeyDown={onKeyDown}
    />
  );
}

function Item({ conversation }: { conversation: Conversation }) {
  const naming = useSignal(false);
  const { id, title } = conversation;
  const isShown = shown.value.id === id;
  if (naming.value) {
    return (
      <li class="item">
        <NameField conversation={conversation} onDone={() => (naming.value = false)} />
      </li>
    );
  }
  const open = () => {
    show(id);
    drawerOpen.value = false;
  };
  const discard = () => {
    stop(id);
    remove(id);
  };
  return (
    <li class={isShown ? 'item shown' : 'item'}>
      <button type="button" class="item-title" aria-current={isShown ? 'page' : undefined} onClick={open}>
        {replyIn(id) && <span class="pulse" role="img" aria-label="Answering" />}
        <span>{title}</span>
      </button>
      <span class="item-buttons">
        <IconButton icon="edit" label={`Rename ${title}`} onClick={() => (naming.value = true)} />
        <IconButton icon="trash" label={`Delete ${title}`} onClick={discard} />
      </span>
    </li>
  );
}

function SearchField() {
  if (list.value.length === 0) return null;
  return (
    <label class="search">
      <Icon name="search" />
      <input
        type="search"
        placeholder="Search"
        aria-label="Search conversations"
        value={search}
        onInput={(event) => (search.value = event.currentTarget.value)}
      />
    </label>
  );
}

const THEMES: Record<Theme, { next: Theme; label: string }> = {
  system: { next: 'light', label: 'Theme: as the system' },
  light: { next: 'dark', label: 'Theme: light' },
  dark: { next: 'system', label: 'Theme: dark' },
};

export function ThemeButton() {
  const { next, label } = THEMES[theme.value];
  return <IconButton icon={theme.value} label={label} onClick={() => (theme.value = next)} />;
}

function List() {
  const groups = grouped(found.value);
  return (
    <div class="list">
      {[...groups].map(([age, conversations]) => (
        <section key={age}>
          <h2>{age}</h2>
          <ul>
            {conversations.map((one) => (
              <Item key={one.id} conversation={one} />
            ))}
          </ul>
        </section>
      ))}
      {search.value && groups.size === 0 && <p class="quiet">Nothing found.</p>}
    </div>
  );
}

function startFresh(): void {
  startNew();
  drawerOpen.value = false;
}

// The focus goes into the drawer when it opens, and back to where it was when it closes.
function useDrawerFocus(nav: RefObject<HTMLElement | null>): void {
  const open = drawerOpen.value;
  useLayoutEffect(() => {
    if (!open) return undefined;
    const before = document.activeElement;
    nav.current?.querySelector<HTMLElement>('.drawer-only')?.focus();
    return () => before instanceof HTMLElement && before.focus();
  }, [open]);
}

export function Sidebar() {
  const nav = useRef<HTMLElement>(null);
  useDrawerFocus(nav);
  return (
    <nav class="sidebar" aria-label="Conversations" ref={nav}>
      <div class="sidebar-head">
        <Logo />
        <span class="wordmark">tern</span>
        <IconButton
          class="drawer-only"
          icon="close"
          label="Close list"
          onClick={() => (drawerOpen.value = false)}
        />
      </div>
      <button
        type="button"
        class="new-chat"
        disabled={isDraft.value && !drawerOpen.value}
        onClick={startFresh}
      >
        <Icon name="plus" />
        New chat
      </button>
      <SearchField />
      <List />
      <div class="sidebar-foot">
        <button type="button" class="foot-button" onClick={() => (settingsOpen.value = true)}>
          <Icon name="sliders" />
          Settings
        </button>
        <ThemeButton />
      </div>
    </nav>
  );
}
