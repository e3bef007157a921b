// Text files beside a message.
import type { Attachment } from './message.ts';

export const MAX_FILE_BYTES = 256 * 1024;
export const MAX_FILES = 8;
export const LONG_PASTE = 8_000; // characters: more becomes a file beside the message

const decoder = new TextDecoder('utf-8', { fatal: true });

// Reads a file if it is text of a bounded size; throws an Error that says in words why not.
export async function readTextFile(file: File): Promise<Attachment> {
  if (file.size > MAX_FILE_BYTES) {
    throw new Error(`${file.name} is larger than ${MAX_FILE_BYTES / 1024} KiB.`);
  }
  const notText = new Error(`${file.name} is not a text file in UTF-8.`);
  let text;
  try {
    text = decoder.decode(await file.arrayBuffer());
  } catch {
    throw notText;
  }
  if (text.includes('\0')) throw notText;
  return { name: file.name, text };
}

function longestRunOfBackticks(text: string): number {
  return (text.match(/`+/g) ?? []).reduce((longest, run) => Math.max(longest, run.length), 0);
}

// As the model sees it: the name, and the text in a fence that the text itself cannot close.
export function asFencedBlock({ name, text }: Attachment): string {
  const fence = '`'.repeat(Math.max(3, longestRunOfBackticks(text) + 1));
  const language = /\.(\w{1,12})$/.exec(name)?.[1] ?? '';
  return `${name.replaceAll(/[\r\n]/g, ' ')}:\n${fence}${language}\n${text.replace(/\n$/, '')}\n${fence}`;
}
