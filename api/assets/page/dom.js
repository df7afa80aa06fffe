// Builds elements. Text is only ever set as text, so nothing that comes from data can become markup; the page's content
// security policy (trusted types) would stop it as well.

/** An element: `h("a", {class: "x", href: "…", onclick: f}, "text", child)`. False and null children are left out. */
export function h(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/**
 * Makes `parent` hold one element for each item, in order, and touches only what differs: an element whose item is the
 * same object stays as it is, with its focus and its place on the screen.
 */
export function keyed(parent, items, key, make) {
  const old = new Map([...parent.children].filter((child) => child.item).map((child) => [child.key, child]));
  const focused = document.activeElement?.closest("[data-key]")?.dataset.key;
  const wanted = items.map((item) => {
    const name = key(item);
    const known = old.get(name);
    if (known?.item === item) return known;
    const element = make(item, known?.item);
    Object.assign(element, { item, key: name });
    element.dataset.key = name;
    return element;
  });
  const stays = new Set(wanted);
  for (const child of [...parent.children]) if (!stays.has(child)) child.remove();
  wanted.forEach((element, index) => {
    if (parent.children[index] !== element) parent.insertBefore(element, parent.children[index] ?? null);
  });
  // A row that was made anew takes over the focus of the one before it.
  if (focused !== undefined && !document.activeElement?.closest("[data-key]")) {
    const heir = wanted.find((element) => element.key === focused);
    heir?.querySelector("button, summary, a")?.focus({ preventScroll: true });
  }
}

/** Where a `<template id=…>`-free page keeps its fixed parts. */
export const byId = (id) => document.getElementById(id);
