// The side: metrics as a tree, tags, and functions.

import { $, element, quietly, tabs } from "./dom.js";
import { find, functions, get, literal, targetOf } from "./server.js";
import { fill, handle, note } from "./tree.js";
import { matching, summary } from "./language.js";

// `add` takes a target, `wrap` the name of a function.
export function browse({ add, wrap }) {
  for (const id of ["tree", "tags", "functions"]) handle($(id));
  metrics(add);
  const choice = new TagChoice(add);
  tabs($("side").querySelector('[role="tablist"]'), (id) => {
    if (id === "tab-tags") choice.show();
    if (id === "tab-functions") listFunctions(wrap);
  });
  $("find-function").addEventListener("input", () => listFunctions(wrap));
}

function metrics(add) {
  const node = (whole) => ({ path, leaf }) => ({
    text: whole ? path : path.slice(path.lastIndexOf(".") + 1),
    title: path,
    use: leaf ? () => add(targetOf(path)) : undefined,
    children: leaf ? undefined : async () => (await find(literal(path) + ".*")).map(node(false)),
  });
  const show = async () => {
    const text = $("find").value.trim();
    const pattern = text ? (/[*?[{]/.test(text) ? text : text.includes(".") ? text + "*" : "*" + text + "*") : "*";
    try {
      const found = await find(pattern);
      if (text === $("find").value.trim()) {
        fill($("tree"), found.map(node(Boolean(text))), text ? "Nothing matches." : "No metrics yet: send some, and they appear here.");
      }
    } catch (error) {
      $("tree").replaceChildren(note(error.message));
    }
  };
  $("find").addEventListener("input", quietly(show, 200));
  show();
}

async function listFunctions(wrap) {
  try {
    const table = await functions();
    const text = $("find-function").value.trim();
    const item = (name) => ({ text: name, title: summary(table[name]), use: () => wrap(name) });
    if (text) {
      fill($("functions"), matching(Object.keys(table), text).map(item), "No function has such a name.");
      return;
    }
    const groups = new Map();
    for (const [name, { group }] of Object.entries(table)) {
      groups.set(group, [...(groups.get(group) ?? []), name]);
    }
    const rows = [...groups].sort().map(([group, names]) => ({
      text: group, count: names.length, children: async () => names.sort().map(item),
    }));
    fill($("functions"), rows);
  } catch (error) {
    $("functions").replaceChildren(note(error.message));
  }
}

// Expressions chosen so far; they become one `seriesByTag`.
class TagChoice {
  constructor(add) {
    this.add = add;
    this.chosen = [];
  }

  async show() {
    const exprs = this.chosen.map((expr) => ["expr", expr]);
    this.showChosen();
    try {
      const names = exprs.length
        ? await get("tags/autoComplete/tags", [...exprs, ["limit", "1000"]])
        : (await get("tags")).map(({ tag }) => tag);
      fill($("tags"), names.map((tag) => this.tag(tag, exprs)),
        exprs.length ? "No further tags tell these series apart." : "No series has tags.");
    } catch (error) {
      $("tags").replaceChildren(note(error.message));
    }
  }

  tag(tag, exprs) {
    const values = () => get("tags/autoComplete/values", [...exprs, ["tag", tag], ["limit", "1000"]]);
    const value = (text) => ({ text, use: () => this.choose(`${tag}=${text}`) });
    return { text: tag, children: async () => (await values()).map(value) };
  }

  choose(expr) {
    this.chosen.push(expr);
    this.show();
  }

  showChosen() {
    const box = $("tag-choice");
    box.hidden = !this.chosen.length;
    const drop = (at) => () => {
      this.chosen.splice(at, 1);
      this.show();
    };
    const chips = this.chosen.map((expr, at) =>
      element("button", { type: "button", title: "Take away", onclick: drop(at) }, expr + " ×"));
    // Both kinds of quotes in one value cannot be written in a target.
    const quoted = (expr) => (expr.includes("'") ? `"${expr}"` : `'${expr}'`);
    const use = () => {
      this.add(`seriesByTag(${this.chosen.map(quoted).join(", ")})`);
      this.chosen = [];
      this.show();
    };
    const button = element("button", { type: "button", class: "primary", onclick: use }, "Show these series");
    box.replaceChildren(...chips, button);
  }
}
