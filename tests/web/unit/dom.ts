// A document for tests outside a browser; to be imported first.
import { JSDOM } from 'jsdom';

const { window } = new JSDOM('<!doctype html>');
const { document, Element, HTMLElement, Text } = window;
Object.assign(globalThis, { window, document, Element, HTMLElement, Text });
