import { describe, expect, it } from 'vitest';
import { startMockServer } from '../mock_server.mjs';
import { openChat, useBrowser } from './harness.ts';

useBrowser();

describe('a connection', () => {
  it('that breaks keeps what came, and goes on', async () => {
    const chat = await openChat();
    await chat.send('break it');
    await chat.page
      .locator('.failed')
      .getByText('The connection broke off before the answer was complete.')
      .waitFor();
    await expect.poll(() => chat.lastAnswer()).toBe('It was a dark and');
    await chat.button('Continue').click();
    await chat.page.getByText('It rained.').waitFor();
    expect(await chat.answered()).toBe('It was a dark and night. It rained.');
    await expect.poll(() => chat.page.locator('.failed').count()).toBe(0);
  });

  it('to a server that is gone is tried again', async () => {
    const first = await startMockServer();
    const chat = await openChat({}, first.url);
    await chat.ask('Hello');
    await first.close();
    await chat.send('Anybody?');
    await chat.page
      .locator('.failed')
      .getByText('The server does not answer. Is tern still running?')
      .waitFor();
    const second = await startMockServer({ port: first.port });
    await chat.answers.getByRole('button', { name: 'Try again' }).click();
    await chat.page.getByText('You said: Anybody?').waitFor();
    await expect.poll(() => chat.answers.count()).toBe(2);
    await chat.page.locator('.banner').waitFor({ state: 'detached' });
    await second.close();
  });
});

describe('a server', () => {
  it('that is busy is given the time it wants', async () => {
    const chat = await openChat();
    await chat.send('busy day');
    await chat.page.getByText(/The server is busy\. Trying again in \d s\./).waitFor();
    await chat.page.getByText('Here I am.').waitFor();
  });

  it('that is busy may be asked at once, or not again', async () => {
    const chat = await openChat();
    await chat.send('busy morning');
    await chat.button('Try now').click();
    await chat.page.getByText('Here I am.').waitFor();
    await chat.send('busy evening');
    await chat.button('Try now').waitFor();
    await chat.button('Stop').click();
    await chat.page.getByText('Stopped.').waitFor();
  });

  it.each([
    [
      'full up',
      'The conversation no longer fits into the model’s context. The prompt has 9000 tokens, the context 8192.',
    ],
    ['wrong turn', 'Something went wrong in the engine.'],
    ['forbidden site', 'Pages of this site may not use this server.'],
    ['late failure', 'The device is out of memory.'],
    ['length limit', 'The answer reached its length limit.'],
  ])('that says no to "%s" is quoted', async (question, words) => {
    const chat = await openChat();
    await chat.send(question);
    await chat.answers.getByText(words.replace('’', "'")).waitFor();
    await chat.answers.getByRole('button', { name: /Try again|Continue/ }).waitFor();
    expect(await chat.page.getByRole('dialog').count()).toBe(0);
  });

  it('with an API key asks for it, once', async () => {
    const server = await startMockServer({ key: 'secret' });
    const chat = await openChat({}, server.url);
    const field = chat.page.getByLabel('Key', { exact: true });
    await field.fill('guess');
    await chat.button('Use this key').click();
    await chat.page.getByText('The server did not accept this key.').waitFor();
    await field.fill('secret');
    await chat.button('Use this key').click();
    await field.waitFor({ state: 'detached' });
    expect(await chat.ask('Let me in')).toBe('You said: Let me in');
    await chat.page.reload();
    await chat.page.getByText('You said: Let me in').waitFor();
    expect(await chat.ask('Again')).toBe('You said: Again');
    await server.close();
  });
});
