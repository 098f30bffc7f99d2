// A tree that opens by click or key, as WAI-ARIA describes trees: one tab stop, arrows move.

import { element } from "./dom.js";

const SHOWN_MAX = 500;

// Fills a list with items `{ text, title, count, leaf, use, children }`; `use` is what Enter does,
// `children` promises what is below.
export function fill(list, items, nothing = "Nothing here.") {
  const rows = items.slice(0, SHOWN_MAX).map(row);
  if (items.length > SHOWN_MAX) {
    rows.push(note(`${items.length - SHOWN_MAX} more: a pattern above narrows it down.`));
  }
  if (!items.length) rows.push(note(nothing));
  list.replaceChildren(...rows);
  const root = list.closest('[role="tree"]');
  if (!root.querySelector('[role="treeitem"][tabindex="0"]')) {
    const first = root.querySelector('[role="treeitem"]');
    if (first) first.tabIndex = 0;
  }
}

export const note = (text) => element("li", { class: "note", role: "none" }, text);

function row(item) {
  const line = element("div", { class: "node", title: item.title },
    element("span", { class: "name" }, item.text),
    item.count === undefined ? null : element("span", { class: "count" }, String(item.count)));
  const made = element("li", {
    role: "treeitem", tabindex: "-1", class: item.children ? undefined : "leaf",
    "aria-expanded": item.children ? "false" : undefined,
  }, line);
  made.item = item;
  return made;
}

async function toggle(row, open = row.getAttribute("aria-expanded") === "false") {
  if (!row.item.children) return;
  row.setAttribute("aria-expanded", String(open));
  row.querySelector(":scope > ul")?.remove();
  if (!open) return;
  const list = element("ul", { role: "group" }, note("…"));
  row.append(list);
  try {
    fill(list, await row.item.children());
  } catch (error) {
    list.replaceChildren(note(error.message));
  }
}

const act = (row) => (row.item.use ? row.item.use() : toggle(row));

export function handle(tree) {
  const rows = () => [...tree.querySelectorAll('[role="treeitem"]')];
  const focus = (row) => {
    if (!row) return;
    for (const one of rows()) one.tabIndex = -1;
    row.tabIndex = 0;
    row.focus();
  };
  tree.addEventListener("click", (event) => {
    const row = event.target.closest('[role="treeitem"]');
    if (!row || event.target.closest(".note")) return;
    focus(row);
    if (row.item.children) toggle(row); else act(row);
  });
  tree.addEventListener("keydown", (event) => {
    const row = event.target.closest('[role="treeitem"]');
    if (!row) return;
    const all = rows(), at = all.indexOf(row);
    const isOpen = row.getAttribute("aria-expanded") === "true";
    const moves = {
      ArrowDown: () => focus(all[at + 1]),
      ArrowUp: () => focus(all[at - 1]),
      Home: () => focus(all[0]),
      End: () => focus(all.at(-1)),
      ArrowRight: () => (isOpen ? focus(all[at + 1]) : toggle(row, true)),
      ArrowLeft: () => (isOpen ? toggle(row, false) : focus(row.parentElement.closest('[role="treeitem"]'))),
      Enter: () => act(row),
      " ": () => act(row),
    };
    if (!moves[event.key]) return;
    event.preventDefault();
    event.stopPropagation();
    moves[event.key]();
  });
}
