// Server-sent events out of a stream of text, after the WHATWG HTML standard, section 9.2.6. Only `data` matters here.

const MAX_EVENT = 16 * 1024 * 1024; // characters: no server means more, and memory has an end

export class EventParser {
  #rest = '';
  #data: string[] = [];
  #size = 0;

  // Takes the next piece, however it was cut, and returns the data of the events that it completes.
  push(text: string): string[] {
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/); // a last \r may be half of \r\n
    this.#rest = lines.pop() ?? '';
    const events: string[] = [];
    for (const line of lines) this.#takeLine(line, events);
    if (this.#rest.length + this.#size > MAX_EVENT) throw new Error('an event of the stream does not end');
    return events;
  }

  #takeLine(line: string, events: string[]): void {
    if (line !== '') {
      const data = /^data(?:: ?(.*))?$/s.exec(line);
      if (!data) return;
      this.#data.push(data[1] ?? '');
      this.#size += line.length;
    } else if (this.#data.length > 0) {
      events.push(this.#data.join('\n'));
      this.#data = [];
      this.#size = 0;
    }
  }
}
