// Makes the children of one node equal to those of another, and leaves alone what is equal already. So a paragraph that
// grows keeps its selection, its scroll position and its place.

// Elements whose insides are set as a whole: copying style attributes one by one is what the policy forbids.
const isWhole = (element: Element): boolean => element.classList.contains('maths');

function patchAttributes(old: Element, fresh: Element): void {
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
}

function patchNode(old: ChildNode, fresh: ChildNode): void {
  if (old.isEqualNode(fresh)) return;
  if (old instanceof Text && fresh instanceof Text) {
    old.data = fresh.data;
  } else if (
    old instanceof Element &&
    fresh instanceof Element &&
    old.tagName === fresh.tagName &&
    !isWhole(fresh)
  ) {
    patchAttributes(old, fresh);
    patchChildren(old, fresh);
  } else {
    old.replaceWith(fresh);
  }
}

export function patchChildren(old: ParentNode, fresh: ParentNode): void {
  const wanted = [...fresh.childNodes];
  const present = [...old.childNodes];
  wanted.forEach((node, index) => {
    const there = present[index];
    if (there) patchNode(there, node);
    else old.append(node);
  });
  for (const surplus of present.slice(wanted.length)) surplus.remove();
}
