import { isGone, model } from '../state/server.ts';
import { suggested } from './intent.ts';
import { Logo } from './icon.tsx';

const IDEAS = [
  'Explain how tides work, with an everyday comparison',
  'Write a Python function that finds the median of two sorted lists',
  'Derive the quadratic formula step by step',
  'Make a packing list for three days of hiking as a table',
];

export function Welcome() {
  return (
    <div class="welcome">
      <Logo />
      <h1>What would you like to talk about?</h1>
      <p class="quiet">
        {isGone.value
          ? 'The server does not answer at the moment.'
          : `${model.value ?? 'The model'} answers. What you write goes to your tern server and nowhere else.`}
      </p>
      <ul class="ideas">
        {IDEAS.map((idea) => (
          <li key={idea}>
            <button type="button" onClick={() => (suggested.value = idea)}>
              {idea}
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}
