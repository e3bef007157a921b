import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { Chat, openChat, theServer, useBrowser } from './harness.ts';

useBrowser();

// How many messages the browser has written to its store.
const storedMessages = ({ page }: Chat): Promise<number> =>
  page.evaluate(
    () =>
      new Promise((resolve) => {
        const opening = indexedDB.open('tern');
        opening.onsuccess = () => {
          const all = opening.result.transaction('conversations').objectStore('conversations').getAll();
          all.onsuccess = () => {
            opening.result.close();
            resolve(all.result.reduce((sum, { messages }) => sum + Object.keys(messages).length, 0));
          };
        };
      }),
  );

describe('a chat', () => {
  it('streams an answer, piece by piece, and counts', async () => {
    const chat = await openChat();
    await chat.send('slow please');
    await chat.page.getByText('word3').waitFor();
    const early = await chat.lastAnswer();
    await chat.page.getByText('word40').waitFor();
    await expect.poll(async () => (await chat.lastAnswer()).length).toBeGreaterThan(early.length);
    await chat.button('Stop').click();
    await chat.ask('Hello there');
    await expect.poll(() => chat.lastAnswer()).toBe('You said: Hello there');
    const numbers = chat.answers.last().locator('.numbers');
    await expect.poll(() => numbers.innerText()).toMatch(/^4 tokens · [\d.]+ tokens\/s/);
    await expect.poll(() => chat.page.locator('.meter').innerText()).toMatch(/of 8,192 tokens/);
  });

  it('stops, by button and by Escape, and goes on', async () => {
    const chat = await openChat();
    const before = theServer().abortedCount();
    await chat.send('slow one');
    await chat.page.getByText('word5').waitFor();
    await chat.button('Stop').click();
    const stopped = await chat.answered();
    expect(stopped).not.toContain('word400');
    await expect.poll(() => theServer().abortedCount()).toBe(before + 1);

    await chat.button('Continue').click();
    await chat.page.getByText('word12').waitFor();
    await chat.page.keyboard.press('Escape');
    expect((await chat.answered()).startsWith(stopped)).toBe(true);
    expect(theServer().requests.at(-1)).toMatchObject({ continue_final_message: true });
    expect(theServer().requests.at(-1)?.['messages'].at(-1)).toMatchObject({ role: 'assistant' });
  });

  it('regenerates into branches', async () => {
    const chat = await openChat();
    const question = `again ${Date.now()}`;
    expect(await chat.ask(question)).toBe('This is answer 1.');
    await chat.button('Answer again').click();
    await chat.page.getByText('This is answer 2.').waitFor();
    await expect.poll(() => chat.answers.locator('.branches').innerText()).toBe('2 / 2');
    await chat.button('Previous version').click();
    await expect.poll(() => chat.lastAnswer()).toBe('This is answer 1.');
    await chat.ask('and on');
    await chat.button('Next version').first().click();
    await expect.poll(() => chat.questions.count()).toBe(1);
    await chat.button('Previous version').click();
    await expect.poll(() => chat.questions.count()).toBe(2);
  });

  it('edits what was said, as another branch', async () => {
    const chat = await openChat();
    await chat.ask('First');
    await chat.ask('Second');
    await chat.field.press('ArrowUp');
    const editor = chat.page.getByRole('textbox', { name: 'Edit message' });
    expect(await editor.inputValue()).toBe('Second');
    await editor.fill('Third');
    await editor.press('Enter');
    await chat.page.getByText('You said: Third').waitFor();
    await expect.poll(() => chat.questions.last().locator('.branches').innerText()).toBe('2 / 2');
    await chat.button('Previous version').click();
    await expect.poll(() => chat.lastAnswer()).toBe('You said: Second');
  });

  it('leaves Escape to an input method, and gives the focus back after an edit', async () => {
    const chat = await openChat();
    await chat.ask('First');
    await chat.field.press('ArrowUp');
    const editor = chat.page.getByRole('textbox', { name: 'Edit message' });
    await editor.fill('Changed');
    await editor.dispatchEvent('keydown', { key: 'Escape', isComposing: true, bubbles: true });
    expect(await editor.inputValue()).toBe('Changed');
    await editor.press('Escape');
    await expect.poll(() => chat.field.evaluate((field) => field === document.activeElement)).toBe(true);
    await chat.send('slow one');
    await chat.page.getByText('word5').waitFor();
    await chat.field.dispatchEvent('keydown', { key: 'Escape', isComposing: true, bubbles: true });
    await chat.page.getByText('word20').waitFor();
    await chat.button('Stop').click();
  });

  it('folds thoughts, with their time', async () => {
    const chat = await openChat();
    for (const question of ['think about it', 'inline thoughts']) {
      await chat.ask(question);
      const thinking = chat.answers.last().locator('.thinking');
      await expect.poll(() => thinking.locator('summary').innerText()).toMatch(/^Thought for [\d.]+ m?s$/);
      expect(await thinking.locator('.thoughts').isVisible()).toBe(false);
      await thinking.locator('summary').click();
      await expect.poll(() => thinking.locator('.thoughts').innerText()).toMatch(/look again|Well, well/);
    }
    await expect.poll(() => chat.lastAnswer()).toBe('Indeed.');
    expect(JSON.stringify(theServer().requests.at(-1))).not.toContain('First I look');
  });

  it('shows code, mathematics and tables, and copies', async () => {
    const chat = await openChat({ permissions: ['clipboard-read', 'clipboard-write'] });
    await chat.ask('markdown');
    const answer = chat.answers.last();
    await answer.locator('.katex-html').first().waitFor();
    await expect.poll(() => answer.locator('.katex').count()).toBe(6);
    await expect.poll(() => answer.locator('.hljs-keyword').count()).toBeGreaterThan(5);
    expect(await answer.locator('td.center').count()).toBe(3);
    const root = answer.locator('.katex .vlist span[style]').first();
    expect(await root.evaluate((element: HTMLElement) => element.style.top)).toMatch(/em$/); // the policy allows it
    await chat.button('Copy code').click();
    const copied = () => chat.page.evaluate(() => navigator.clipboard.readText());
    await expect.poll(copied).toMatch(/^def insertion_sort/);
  });

  it('follows its end, until somebody scrolls up', async () => {
    const chat = await openChat({ viewport: { width: 800, height: 300 } });
    const fromEnd = () =>
      chat.page.locator('.thread').evaluate((box) => box.scrollHeight - box.scrollTop - box.clientHeight);
    await chat.send('slow to follow');
    await chat.page.getByText('word90').waitFor();
    await expect.poll(fromEnd).toBeLessThan(60);
    await chat.page.locator('.thread').hover();
    await chat.page.mouse.wheel(0, -20);
    await chat.page.getByText('word180').waitFor();
    await expect.poll(fromEnd).toBeGreaterThan(60);
    await chat.button('To the end').click();
    await expect.poll(fromEnd).toBeLessThan(60);
    await chat.button('Stop').click();
  });

  it('follows its end however much comes before the browser tells of the last scrolling', async () => {
    const chat = await openChat({ viewport: { width: 800, height: 300 } });
    await chat.ask('Hello');
    const thread = chat.page.locator('.thread');
    await thread.evaluate((box) => {
      const grow = (pixels: number) => {
        const more = document.createElement('div');
        more.style.height = `${pixels}px`;
        box.firstElementChild?.append(more);
      };
      grow(500);
      box.scrollTop = box.scrollHeight;
      grow(500);
    });
    await expect
      .poll(() => thread.evaluate((box) => box.scrollHeight - box.scrollTop - box.clientHeight))
      .toBeLessThan(60);
  });

  // Where the answer shrank for a moment, the browser would scroll up, and that looks like somebody who reads above.
  it('never becomes lower when the first word takes the place of the waiting', async () => {
    const chat = await openChat();
    await chat.page.evaluate(() => {
      const heights: number[] = [];
      Object.assign(window, { heights });
      const observer = new MutationObserver(() => {
        const answer = document.querySelector<HTMLElement>('.assistant');
        if (answer) heights.push(answer.offsetHeight);
      });
      observer.observe(document.body, { childList: true, subtree: true, characterData: true });
    });
    await chat.ask('Hello');
    const heights = await chat.page.evaluate(() => (window as unknown as { heights: number[] }).heights);
    expect(heights.length).toBeGreaterThan(2);
    expect(heights).toEqual(heights.toSorted((a, b) => a - b));
  });

  it('leaves alone what is on the screen while more comes, and at the end', async () => {
    const chat = await openChat();
    await chat.send('long answer');
    await chat.page.locator('.block').nth(60).waitFor();
    await chat.page.locator('.katex').nth(20).waitFor();
    await chat.page.evaluate(() => {
      const touched: string[] = [];
      Object.assign(window, { touched });
      const observer = new MutationObserver((changes) => touched.push(...changes.map(({ type }) => type)));
      const blocks = [...document.querySelectorAll('.block')].slice(0, 40);
      for (const block of blocks)
        observer.observe(block, { childList: true, subtree: true, characterData: true });
    });
    expect(await chat.button('Stop').isVisible()).toBe(true);
    await chat.answered();
    expect(await chat.answers.last().locator('.code').count()).toBe(30);
    expect(await chat.page.evaluate(() => (window as unknown as { touched: string[] }).touched)).toEqual([]);
  }, 60_000);
});

describe('conversations', () => {
  it('are there after a reload, with their branches', async () => {
    const chat = await openChat();
    await chat.ask('again kept');
    await chat.button('Answer again').click();
    await chat.page.getByText('This is answer 2.').waitFor();
    await chat.answered();
    await chat.page.reload();
    await chat.page.getByText('This is answer 2.').waitFor();
    await expect.poll(() => chat.answers.locator('.branches').innerText()).toBe('2 / 2');
    await chat.button('New chat').click();
    await expect.poll(() => chat.questions.count()).toBe(0);
    await chat.page.goBack();
    await chat.page.getByText('This is answer 2.').waitFor();
  });

  it('keep an answer that a reload interrupted', async () => {
    const chat = await openChat();
    await chat.send('slow reload');
    await chat.page.getByText('word90').waitFor();
    await chat.page.reload();
    await chat.page.locator('.failed').getByText('The connection broke off').waitFor();
    await expect.poll(() => chat.lastAnswer()).toContain('word1 word2');
    await chat.button('Continue').waitFor();
  });

  it('say of an answer that had not begun when the page was closed that it broke off', async () => {
    const chat = await openChat();
    await chat.send('silent night');
    await chat.page.locator('.waiting').waitFor();
    await expect.poll(() => storedMessages(chat)).toBe(2);
    await chat.page.reload();
    await chat.page.locator('.failed').getByText('The connection broke off').waitFor();
    await chat.answers.getByRole('button', { name: 'Try again' }).waitFor();
  });

  it('are named, found, deleted and brought back', async () => {
    const chat = await openChat();
    await chat.ask('Apples');
    await chat.page.keyboard.press('Control+Shift+O');
    await chat.ask('Bananas');
    const list = chat.page.getByRole('navigation');
    await chat.page.getByRole('button', { name: 'Rename Apples' }).focus();
    await chat.page.keyboard.press('Enter');
    await chat.page.keyboard.type('Fruit');
    await chat.page.keyboard.press('Enter');
    await list.getByRole('button', { name: 'Fruit', exact: true }).waitFor();
    await chat.page.getByRole('searchbox').fill('said: apples');
    await expect.poll(() => list.locator('.item').count()).toBe(1);
    await chat.page.getByRole('searchbox').fill('');
    await list.locator('.item', { hasText: 'Fruit' }).hover();
    await chat.page.getByRole('button', { name: 'Delete Fruit' }).click();
    await expect.poll(() => list.locator('.item').count()).toBe(1);
    await chat.button('Undo').click();
    await expect.poll(() => list.locator('.item').count()).toBe(2);
  });

  it('stop answering when they are deleted, and come back with what had come', async () => {
    const chat = await openChat();
    await chat.send('slow deleted');
    await chat.page.getByText('word5').waitFor();
    const ended = chat.page.waitForEvent('requestfailed', (request) => request.url().endsWith('completions'));
    await chat.page.locator('.item').hover();
    await chat.page.getByRole('button', { name: 'Delete slow deleted' }).click();
    await ended;
    await chat.button('Undo').click();
    await chat.page.locator('.item-title').click();
    await expect.poll(() => chat.lastAnswer()).toMatch(/^word1 word2 /);
    await chat.button('Continue').waitFor();
  });

  it('are named in any script: Enter may belong to the input method', async () => {
    const chat = await openChat();
    await chat.ask('Apples');
    await chat.page.getByRole('button', { name: 'Rename Apples' }).focus();
    await chat.page.keyboard.press('Enter');
    await chat.page.keyboard.type('ringo');
    const field = chat.page.getByRole('textbox', { name: 'New name' });
    for (const key of ['Enter', 'Escape'])
      await field.dispatchEvent('keydown', { key, isComposing: true, bubbles: true });
    await chat.page.keyboard.type(' to budou');
    await chat.page.keyboard.press('Enter');
    await chat.button('ringo to budou').waitFor();
  });

  it('go out to a file and come in again', async () => {
    const chat = await openChat();
    await chat.ask('To be exported');
    await chat.button('Settings').click();
    await chat.button('Data').click();
    const [download] = await Promise.all([
      chat.page.waitForEvent('download'),
      chat.button('Export all').click(),
    ]);
    const file = await readFile(await download.path(), 'utf8');
    expect(JSON.parse(file)).toMatchObject({ format: 'tern-conversations', version: 1 });

    const other = await openChat();
    await other.button('Settings').click();
    await other.button('Data').click();
    const input = other.page.getByLabel('File to import');
    await input.setInputFiles({ name: 'x.json', mimeType: 'application/json', buffer: Buffer.from('{}') });
    const said = other.page.getByRole('dialog').getByRole('status');
    await said.getByText('not a file that was exported from here').waitFor();
    await input.setInputFiles({ name: 'x.json', mimeType: 'application/json', buffer: Buffer.from(file) });
    await said.getByText('One conversation came in.').waitFor();
    await other.button('Close').click();
    await other.page.locator('.item-title').click();
    await expect.poll(() => other.lastAnswer()).toBe('You said: To be exported');
  });

  it('appear in another tab', async () => {
    const chat = await openChat();
    const tab = await chat.page.context().newPage();
    await tab.goto(theServer().url);
    await chat.ask('Seen twice');
    await tab.getByRole('button', { name: 'Seen twice', exact: true }).waitFor();
  });

  it('that the browser could not keep are not undone by another tab', async () => {
    const chat = await openChat();
    await chat.ask('Kept');
    const tab = await chat.page.context().newPage();
    await tab.goto(theServer().url);
    await tab.getByRole('button', { name: 'Kept', exact: true }).waitFor();
    await chat.page.evaluate(() => {
      const { put } = IDBObjectStore.prototype;
      IDBObjectStore.prototype.put = function (value) {
        const request = put.call(this, value);
        request.addEventListener('success', () => this.transaction.abort());
        return request;
      };
    });
    await chat.ask('Lost');
    await chat.page.getByText('This browser does not keep conversations').waitFor();
    await tab.getByRole('button', { name: 'Rename Kept' }).focus();
    await tab.keyboard.press('Enter');
    await tab.keyboard.type('Renamed');
    await tab.keyboard.press('Enter');
    await new Chat(tab).ask('Heard of');
    await chat.button('Heard of').waitFor();
    await expect.poll(() => chat.questions.count()).toBe(2);
  });

  it('go on answering out of sight', async () => {
    const chat = await openChat();
    await chat.send('slow background');
    await chat.page.getByText('word2').waitFor();
    await chat.button('New chat').click();
    await chat.ask('Meanwhile');
    await chat.page
      .getByRole('button', { name: /slow background$/ })
      .first()
      .click();
    await chat.page.getByText('word60').waitFor();
    await chat.button('Stop').click();
    expect(await chat.answered()).toMatch(/^word1 word2 word3 /);
  });
});

describe('settings', () => {
  it('go with the request, for one chat or for all new ones', async () => {
    const chat = await openChat();
    await chat.button('Settings of this chat').click();
    await chat.page.getByLabel('System prompt').fill('Be brief.');
    await chat.page.getByLabel('Temperature').fill('0.4');
    await chat.page.getByLabel('Seed').fill('7');
    await chat.button('New chats').click();
    await chat.page.getByLabel('Top k').fill('5');
    await chat.page.keyboard.press('Escape');
    await chat.ask('With settings');
    const request = theServer().requests.at(-1);
    expect(request).toMatchObject({ temperature: 0.4, seed: 7, model: 'tern-mock' });
    expect(request?.['messages'][0]).toEqual({ role: 'system', content: 'Be brief.' });
    expect(request).not.toHaveProperty('top_k');

    await chat.button('New chat').click();
    await chat.page.getByLabel('Model').selectOption('tern-mock-large');
    await chat.ask('Another');
    expect(theServer().requests.at(-1)).toMatchObject({ top_k: 5, model: 'tern-mock-large' });
    expect(theServer().requests.at(-1)).not.toHaveProperty('temperature');
  });
});

// A file for a field that takes files.
const chosen = (name: string, text: string) => ({ name, mimeType: 'text/plain', buffer: Buffer.from(text) });

describe('files', () => {
  it('are dropped, pasted and chosen, and go with the message', async () => {
    const chat = await openChat();
    const drop = await chat.page.evaluateHandle(() => {
      const data = new DataTransfer();
      data.items.add(new File(['int main;\n'], 'main.c'));
      data.items.add(new File([new Uint8Array([0xff, 0xfe, 0])], 'picture.png'));
      return data;
    });
    await chat.page.dispatchEvent('.page', 'drop', { dataTransfer: drop });
    await chat.page.getByText('picture.png is not a text file').waitFor();
    await chat.page.evaluate(() => {
      const clipboardData = new DataTransfer();
      clipboardData.setData('text/plain', 'long '.repeat(2_000));
      const paste = new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true });
      document.querySelector('.composer textarea')?.dispatchEvent(paste);
    });
    await chat.page
      .getByLabel('Text files', { exact: true })
      .setInputFiles({ name: 'c.md', mimeType: 'text/plain', buffer: Buffer.from('C') });
    await chat.button('Remove c.md').click();
    await chat.ask('What is it?');
    const said = theServer().requests.at(-1)?.['messages'][0].content;
    expect(said).toMatch(
      /^main\.c:\n```c\nint main;\n```\n\npasted\.txt:\n```txt\n(long )+\n```\n\nWhat is it\?$/,
    );
    expect(await chat.questions.last().locator('.file').count()).toBe(2);
  });

  it('are counted in lines as people count them', async () => {
    const chat = await openChat();
    const texts = ['', 'one', 'one\n', 'one\ntwo', 'one\ntwo\n'];
    await chat.page
      .getByLabel('Text files', { exact: true })
      .setInputFiles(texts.map((text, index) => chosen(`${index}.txt`, text)));
    await expect
      .poll(() => chat.page.locator('.file-size').allInnerTexts())
      .toEqual(['empty', '1 line', '1 line', '2 lines', '2 lines']);
  });

  it('that are too many are told of once', async () => {
    const chat = await openChat();
    const files = Array.from({ length: 12 }, (_, index) => chosen(`${index}.txt`, 'text'));
    await chat.page.getByLabel('Text files', { exact: true }).setInputFiles(files);
    await chat.page.getByText('At most 8 files go with one message.').first().waitFor();
    await chat.page.getByLabel('Text files', { exact: true }).setInputFiles(chosen('picture.png', '\0'));
    await chat.page.getByText('At most 8 files go with one message.').nth(1).waitFor();
    expect(await chat.page.locator('.notice').count()).toBe(2);
  });

  // Spreadsheets and word processors put a picture of the text beside it.
  it('are not taken for what is pasted where there are words', async () => {
    const chat = await openChat();
    await chat.field.evaluate((area) => {
      const clipboardData = new DataTransfer();
      clipboardData.setData('text/plain', 'a\tb');
      clipboardData.items.add(
        new File([new Uint8Array([0x89, 0, 0xff])], 'image.png', { type: 'image/png' }),
      );
      const paste = new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true });
      if (area.dispatchEvent(paste)) Object.assign(window, { pasted: 'by the browser' });
    });
    expect(await chat.page.evaluate(() => (window as unknown as { pasted?: string }).pasted)).toBe(
      'by the browser',
    );
  });
});
