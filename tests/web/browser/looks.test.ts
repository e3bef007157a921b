import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { openChat, theServer, useBrowser, type Chat } from './harness.ts';

useBrowser();

const SHOTS = fileURLToPath(new URL('../../../build/web/screenshots/', import.meta.url));
const { resolve } = createRequire(new URL('../../../web/package.json', import.meta.url));
const AXE = readFileSync(resolve('axe-core/axe.min.js'), 'utf8');
mkdirSync(SHOTS, { recursive: true });

interface Finding {
  id: string;
  impact: string;
  nodes: { html: string }[];
}

// All that axe finds, as lines. The debugger puts it into the page, so that the policy does not stop it.
async function axeFindings({ page }: Chat): Promise<string[]> {
  await page.evaluate(AXE);
  const findings = await page.evaluate(async () => {
    const { axe } = window as unknown as { axe: { run: () => Promise<{ violations: Finding[] }> } };
    return (await axe.run()).violations;
  });
  return findings.map(({ id, impact, nodes }) => `${impact}: ${id}: ${nodes[0]?.html.slice(0, 200)}`);
}

// Colours halfway between two states are not what is looked at, however slow the machine.
async function transitionsEnded({ page }: Chat): Promise<void> {
  await page.evaluate(() =>
    Promise.allSettled(
      document
        .getAnimations()
        .filter((animation) => animation instanceof CSSTransition)
        .map(({ finished }) => finished),
    ),
  );
}

describe.each(['light', 'dark'] as const)('in the %s', (colorScheme) => {
  describe.each([
    [1440, 900],
    [360, 740],
  ])('at %i pixels', (width, height) => {
    it('fits, is readable and has no serious findings', async () => {
      const chat = await openChat({ viewport: { width, height }, colorScheme });
      const shot = (name: string) =>
        chat.page.screenshot({ path: `${SHOTS}${width}-${colorScheme}-${name}.png` });
      const check = async (name: string) => {
        await chat.page.waitForTimeout(300);
        await transitionsEnded(chat);
        await shot(name);
        const overflow = await chat.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        expect(overflow, name).toBe(0);
        expect(await axeFindings(chat), name).toEqual([]);
      };
      await check('welcome');
      await chat.ask('think first');
      await chat.ask('markdown please');
      await chat.page.locator('.katex').first().waitFor();
      await check('answer');
      await chat.page.locator('.thread').evaluate((thread) => (thread.scrollTop = 0));
      await check('top');
      await chat.send('wrong');
      await chat.page.locator('.failed').waitFor();
      await check('failure');
      await chat.button('Edit message').last().click();
      await check('editor');
      await chat.button('Cancel').click();
      await chat.button('Settings of this chat').click();
      await check('settings');
      await chat.button('Data').click();
      await check('data');
      await chat.button('Close').click();
      if (width > 800) return;
      await chat.button('Conversations').click();
      await check('drawer');
    }, 60_000);
  });
});

describe('text', () => {
  it('runs from right to left where its letters do', async () => {
    const chat = await openChat();
    await chat.ask('rtl');
    const ways = (selector: string) =>
      chat.page
        .locator(selector)
        .evaluateAll((elements) => elements.map((element) => getComputedStyle(element).direction));
    expect(await ways('.block > :first-child')).toEqual(['rtl', 'rtl', 'ltr', 'ltr']);
    await chat.ask('\u0634\u0643\u0631\u0627!');
    expect(await ways('.bubble')).toEqual(['ltr', 'rtl']);
    await chat.field.fill('\u0634\u0643\u0631\u0627!');
    expect(await ways('.composer textarea')).toEqual(['rtl']);
  });

  it('is as large as the browser is told to show it, and all buttons are in reach', async () => {
    const viewport = { width: 360, height: 740 };
    const chat = await openChat({ viewport }, theServer().url, ['--blink-settings=defaultFontSize=32']);
    expect(await chat.page.evaluate(() => getComputedStyle(document.body).fontSize)).toBe('32px');
    await chat.ask('markdown');
    await chat.page.locator('.meter').waitFor();
    const outside = () =>
      chat.page.locator('.chat button, dialog button').evaluateAll((buttons) =>
        buttons
          .map((button) => ({
            name: button.ariaLabel ?? button.textContent,
            box: button.getBoundingClientRect(),
          }))
          .filter(({ box }) => box.left < 0 || box.right > innerWidth)
          .map(({ name }) => name),
      );
    await expect.poll(outside).toEqual([]);
    await chat.button('Settings of this chat').click();
    await chat.button('Data').click();
    await expect.poll(outside).toEqual([]);
    const wide = () => chat.page.locator('dialog').evaluate((box) => box.scrollWidth - box.clientWidth);
    expect(await wide()).toBe(0);
  });
});

describe('the theme', () => {
  it('is the one chosen, also after a reload', async () => {
    const chat = await openChat({ colorScheme: 'light' });
    const ground = () => chat.page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
    const light = await ground();
    await chat.button('Theme: as the system').click();
    await chat.button('Theme: light').click();
    await expect.poll(ground).not.toBe(light);
    const dark = await ground();
    await chat.page.reload();
    await chat.field.waitFor();
    await expect.poll(ground).toBe(dark);
  });
});

describe('by keyboard', () => {
  it('the focus begins in the message, goes round in order, and is seen', async () => {
    const chat = await openChat();
    const focused = () =>
      chat.page.evaluate(
        () => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent,
      );
    expect(await focused()).toBe('Message');
    await chat.ask('Hello');
    await chat.page.keyboard.press('Tab');
    expect(await focused()).toBe('Attach text files');
    const outline = await chat.page.evaluate(
      () => getComputedStyle(document.activeElement ?? document.body).outlineWidth,
    );
    expect(outline).toBe('2px');
    const names: (string | null | undefined)[] = [];
    for (let presses = 0; presses < 30 && names.at(-1) !== 'Message'; presses++) {
      await chat.page.keyboard.press('Tab');
      names.push(await focused());
    }
    const order = ['New chat', 'Search conversations', 'Settings', 'Model', 'Copy answer', 'Message'];
    expect(names.filter((name) => order.includes(name ?? ''))).toEqual(order);
  });

  it('Shift+Enter makes a line, Enter sends', async () => {
    const chat = await openChat();
    await chat.field.pressSequentially('One');
    await chat.field.press('Shift+Enter');
    await chat.field.pressSequentially('two');
    await chat.field.press('Enter');
    await chat.page.getByText('You said: One').waitFor();
    await expect.poll(() => chat.questions.innerText()).toBe('One\ntwo');
  });
});

describe('for screen readers', () => {
  it('an answer is announced when it begins and ends, and not word by word', async () => {
    const chat = await openChat();
    await chat.page.evaluate(() => {
      const heard: string[] = [];
      Object.assign(window, { heard });
      const listen = new MutationObserver((changes) => {
        for (const { target } of changes) heard.push(target.textContent ?? '');
      });
      for (const region of document.querySelectorAll('[role=status], [aria-live], [role=log]')) {
        listen.observe(region, { childList: true, characterData: true, subtree: true });
      }
    });
    await chat.ask('One two three four five six seven');
    const heard = () => chat.page.evaluate(() => (window as unknown as { heard: string[] }).heard);
    await expect.poll(heard).toEqual(['Answering', 'The answer is complete']);
    await chat.send('slow to be stopped');
    await chat.page.getByText('word2').waitFor();
    await chat.button('Stop').click();
    await expect.poll(heard).toEqual(['Answering', 'The answer is complete', 'Answering', 'Stopped']);
  });
});

describe('with less motion', () => {
  it('nothing moves', async () => {
    const chat = await openChat({ reducedMotion: 'reduce' });
    await chat.send('slow motion');
    await chat.page.getByText('word2').waitFor();
    expect(await chat.page.evaluate(() => document.getAnimations().length)).toBe(0);
  });
});
