// The page as tern itself serves it, with a model that answers. Needs TERN (the program) and MODEL (a chat model).
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openChat, useBrowser } from './harness.ts';

const { TERN, MODEL } = process.env;

// Starts `tern serve` at a free port and returns its address.
function serve(...options: string[]): Promise<[ChildProcess, string]> {
  const server = spawn(TERN ?? '', ['serve', MODEL ?? '', '--port', '0', '-c', '2048', ...options], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return new Promise((resolve, reject) => {
    server.on('error', reject);
    server.on('exit', (code) => reject(new Error(`tern serve ended with exit code ${code}`)));
    for (const input of [server.stdout, server.stderr]) {
      createInterface({ input }).on('line', (line) => {
        const address = /listens at (http:\S+)/.exec(line)?.[1];
        if (address) resolve([server, `${address}/`]);
      });
    }
  });
}

function end(server: ChildProcess): void {
  server.removeAllListeners('exit');
  server.kill();
}

describe.skipIf(!TERN || !MODEL)('served by tern', () => {
  useBrowser();
  let server: ChildProcess;
  let url: string;
  beforeAll(async () => {
    [server, url] = await serve();
  });
  afterAll(() => end(server));

  it('with a key, lets in whom the browser has asked for it', async () => {
    const [locked, address] = await serve('--api-key', 'secret');
    expect((await fetch(address)).status).toBe(401);
    const chat = await openChat({ httpCredentials: { username: 'me', password: 'secret' } }, address);
    await chat.page.locator('.model').waitFor();
    await chat.button('Settings of this chat').click();
    await chat.page.getByLabel('Longest answer').fill('20');
    await chat.page.keyboard.press('Escape');
    expect(await chat.ask('Say hello.')).not.toBe('');
    end(locked);
  }, 90_000);

  // Without chance, the story is the same everywhere, and longer than any processor writes before it is stopped.
  it('answers, counts, stops, goes on, regenerates and remembers', async () => {
    const chat = await openChat({}, url);
    chat.page.setDefaultTimeout(60_000);
    await chat.button('Settings of this chat').click();
    await chat.page.getByLabel('Temperature').fill('0');
    await chat.page.getByLabel('Longest answer').fill('1500');
    await chat.page.keyboard.press('Escape');
    expect(await chat.ask('Say hello.')).not.toBe('');
    expect(await chat.answers.locator('.numbers').innerText()).toMatch(/^\d+ tokens · [\d.]+ tokens\/s/);
    expect(await chat.page.locator('.meter').innerText()).toMatch(/^\d+ of 2,048 tokens$/);

    await chat.send('Write a very long story about a bird.');
    const story = chat.answers.nth(1).locator('.markdown');
    await expect
      .poll(async () => ((await story.textContent()) ?? '').length, { timeout: 120_000 })
      .toBeGreaterThan(100);
    await chat.page.keyboard.press('Escape');
    const stopped = await chat.answered();
    await chat.button('Continue').click();
    await expect
      .poll(async () => (await story.innerText()).length, { timeout: 120_000 })
      .toBeGreaterThan(stopped.length + 40);
    await chat.button('Stop').click();
    expect((await chat.answered()).startsWith(stopped.slice(0, -10))).toBe(true);

    await chat.button('Answer again').last().click();
    await chat.page.getByText('2 / 2').waitFor();
    await chat.page.reload();
    await chat.page.getByText('2 / 2').waitFor();
    await chat.button('Previous version').last().click();
    expect(await chat.lastAnswer()).toContain(stopped.slice(0, 50));
  }, 180_000);

  it('says in words what it does not take', async () => {
    const chat = await openChat({}, url);
    await chat.send('word '.repeat(3_000));
    await chat.answers.getByText("no longer fits into the model's context").waitFor({ timeout: 120_000 });
  }, 90_000);
});
