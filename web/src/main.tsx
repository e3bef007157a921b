import { render } from 'preact';
import './style/base.css';
import './style/layout.css';
import './style/thread.css';
import './style/markdown.css';
import './style/composer.css';
import './style/dialog.css';
import { loadHighlight } from './markdown/enhance.ts';
import { load } from './state/conversations.ts';
import { watchServer } from './state/server.ts';
import { App } from './view/app.tsx';

await load();
const page = document.getElementById('page');
if (page) render(<App />, page);
watchServer();
setTimeout(() => void loadHighlight(), 200); // after the first paint
