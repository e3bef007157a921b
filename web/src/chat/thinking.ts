// Takes <think>...</think> at the head of an answer apart, as it streams in. Servers that know the model's marks send
// reasoning by itself; this is for those that do not.

const OPEN = '<think>';
const CLOSE = '</think>';

export interface Parts {
  content: string;
  reasoning: string;
}

// How many characters at the end of `text` may be the beginning of `mark`.
function partialMark(text: string, mark: string): number {
  for (let length = Math.min(mark.length - 1, text.length); length > 0; length--) {
    if (mark.startsWith(text.slice(-length))) return length;
  }
  return 0;
}

export class ThinkingSplitter {
  #state: 'start' | 'thinking' | 'answer' = 'start';
  #held = '';
  #atStart = true; // of the thoughts or the answer: blanks there belong to the marks

  push(text: string): Parts {
    this.#held += text;
    let reasoning = '';
    if (this.#state === 'start') this.#decide();
    if (this.#state === 'thinking') reasoning = this.#takeReasoning();
    return { reasoning, content: this.#state === 'answer' ? this.#takeAll() : '' };
  }

  // At the end: gives out what was held back.
  finish(): Parts {
    const rest = this.#takeAll();
    return this.#state === 'thinking' ? { reasoning: rest, content: '' } : { reasoning: '', content: rest };
  }

  #take(length: number): string {
    const taken = this.#held.slice(0, length);
    this.#held = this.#held.slice(length);
    return taken;
  }

  #takeAll(): string {
    this.#skipBlanks();
    return this.#take(this.#held.length);
  }

  #skipBlanks(): void {
    if (!this.#atStart) return;
    this.#held = this.#held.trimStart();
    this.#atStart = this.#held === '';
  }

  #decide(): void {
    const words = this.#held.trimStart();
    if (words.startsWith(OPEN)) {
      this.#held = words.slice(OPEN.length);
      this.#state = 'thinking';
    } else if (!OPEN.startsWith(words)) {
      this.#state = 'answer';
      this.#atStart = false;
    }
  }

  #takeReasoning(): string {
    this.#skipBlanks();
    const end = this.#held.indexOf(CLOSE);
    if (end < 0) return this.#take(this.#held.length - partialMark(this.#held, CLOSE));
    const reasoning = this.#take(end);
    this.#held = this.#held.slice(CLOSE.length);
    this.#state = 'answer';
    this.#atStart = true;
    return reasoning;
  }
}
