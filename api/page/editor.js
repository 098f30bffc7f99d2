// The targets: one row each, with completion, the help of the function around the caret, and errors
// where they are.

import { $, element, quietly } from "./dom.js";
import { find, functions, get } from "./server.js";
import { callAt, described, indexOfByte, matching, nameAt, parameterOf, summary, word } from "./language.js";

const OFFERED_MAX = 60;
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

export class Editor {
  // `changed` is called with every change of a target, `entered` when one is finished by Enter.
  constructor({ changed, entered }) {
    this.changed = changed;
    this.entered = entered;
    this.rows = [];
    this.table = {};
    functions().then((table) => { this.table = table; }).catch(() => {});
    $("add").addEventListener("click", () => { this.insert("").area.focus(); });
  }

  targets() {
    return this.rows.map(({ area, off }) => ({ text: area.value, off }));
  }

  set(targets) {
    this.rows = [];
    $("targets").replaceChildren();
    for (const { text, off } of targets.length ? targets : [{ text: "", off: false }]) this.insert(text, off);
  }

  insert(text, off = false) {
    const row = new Row(this, text, off);
    this.rows.push(row);
    $("targets").append(row.box);
    row.grow();
    this.number();
    return row;
  }

  // A target from the side: into an empty row if there is one.
  add(text) {
    const empty = this.rows.find((row) => !row.area.value.trim());
    if (empty) empty.write(text, text.length);
    else this.insert(text);
    this.changed();
  }

  // Puts a call around the target that was edited last.
  wrap(name) {
    const row = this.rows.find((one) => one === this.last) ?? this.rows.at(-1);
    const inner = row.area.value.trim();
    const rest = (this.table[name]?.params ?? []).filter((p) => p.required).length > 1 ? ", " : "";
    const text = `${name}(${inner}${rest})`;
    row.write(text, text.length - 1);
    row.area.focus();
    this.changed();
  }

  remove(row) {
    this.rows = this.rows.filter((one) => one !== row);
    row.box.remove();
    if (!this.rows.length) this.insert("");
    this.number();
    this.changed();
  }

  number() {
    this.rows.forEach((row, at) => row.name(LETTERS[at % 26]));
  }

  // Shows in each row what went wrong with it.
  complain(errors) {
    this.rows.forEach((row, at) => row.complain(errors[at]));
  }
}

class Row {
  constructor(editor, text, off) {
    this.editor = editor;
    this.off = off;
    this.letter = element("span", { class: "letter", "aria-hidden": "true" });
    this.area = element("textarea", {
      rows: 1, spellcheck: "false", autocapitalize: "off", autocorrect: "off", role: "combobox",
      "aria-autocomplete": "list", "aria-expanded": "false", "aria-haspopup": "listbox",
      placeholder: "A metric or a function, such as sumSeries(servers.*.cpu.user)",
    });
    this.area.value = text;
    const remove = () => editor.remove(this);
    this.eye = element("button", { type: "button", class: "quiet", onclick: () => this.toggle() });
    this.tools = element("div", { class: "tools" }, this.eye,
      element("button", { type: "button", class: "quiet", title: "Remove", "aria-label": "Remove target", onclick: remove }, "×"));
    this.box = element("div", { class: "target" }, this.letter, this.area, this.tools);
    this.completion = new Completion(this);
    this.listen();
    this.showOff();
  }

  listen() {
    const { area, editor } = this;
    const suggest = quietly(() => this.completion.offer(), 120);
    area.addEventListener("input", () => {
      this.grow();
      editor.changed();
      suggest();
      this.help();
    });
    area.addEventListener("keydown", (event) => {
      if (this.completion.key(event)) return;
      if (event.key === "Enter" && !event.shiftKey) {
        event.preventDefault();
        editor.entered();
      }
    });
    for (const name of ["keyup", "click", "focus"]) area.addEventListener(name, () => this.help());
    area.addEventListener("focus", () => { editor.last = this; });
    area.addEventListener("blur", () => this.completion.close());
  }

  name(letter) {
    this.letter.textContent = letter;
    this.area.setAttribute("aria-label", "Target " + letter);
  }

  toggle() {
    this.off = !this.off;
    this.showOff();
    this.editor.changed();
  }

  showOff() {
    this.box.classList.toggle("off", this.off);
    this.eye.textContent = this.off ? "Show" : "Hide";
    this.eye.setAttribute("aria-pressed", String(this.off));
  }

  write(text, caret) {
    this.area.value = text;
    this.area.setSelectionRange(caret, caret);
    this.grow();
  }

  grow() {
    this.area.style.height = "0";
    this.area.style.height = Math.max(36, this.area.scrollHeight) + "px";
  }

  complain(error) {
    this.box.querySelector(".error")?.remove();
    this.box.classList.toggle("bad", Boolean(error));
    if (!error) return;
    const shown = element("div", { class: "error" }, error.message);
    if (error.position !== undefined) {
      const text = this.area.value, at = indexOfByte(text, error.position);
      const from = Math.max(0, at - 40);
      shown.append(element("span", { class: "at" }, (from ? "…" : "") + text.slice(from, at),
        element("mark", {}, text[at] ?? " "), text.slice(at + 1, at + 40)));
    }
    this.box.append(shown);
  }

  // The signature of the call around the caret, with the argument being written.
  help() {
    const { table } = this.editor, box = $("help");
    const text = this.area.value, caret = this.area.selectionStart;
    const call = callAt(text, caret);
    const name = nameAt(text, caret, table) ?? (call && call.name in table ? call.name : null);
    box.hidden = !name;
    if (!name) return;
    const fn = table[name];
    const now = call?.name === name ? parameterOf(fn, call) : -1;
    const code = element("code", {}, name + "(");
    fn.params.forEach((param, at) => {
      const written = param.name + (param.default !== undefined ? "=" + JSON.stringify(param.default) : param.required ? "" : "?");
      code.append(at ? ", " : "", at === now ? element("span", { class: "now" }, written) : written);
    });
    code.append(")");
    const { first, rest } = described(fn);
    const parameter = parameterHelp(fn.params[now]);
    const sentence = element("summary", {}, parameter ?? first);
    const more = parameter ? [first, rest].filter(Boolean).join("\n\n") : rest;
    const details = element("details", { class: more ? undefined : "plain" }, sentence, element("pre", {}, more));
    box.replaceChildren(code, details);
  }
}

function parameterHelp(param) {
  if (!param) return null;
  const parts = [`${param.name}: ${param.type}`];
  if (!param.required) parts.push("may be left out");
  const some = param.options ?? param.suggestions;
  if (some?.length) parts.push((param.options ? "one of " : "such as ") + some.slice(0, 24).join(", ") + (some.length > 24 ? ", …" : ""));
  return parts.join(" · ");
}

class Completion {
  constructor(row) {
    this.row = row;
    this.list = element("div", { class: "popup", role: "listbox", hidden: true });
    row.box.append(this.list);
    this.offers = [];
    this.chosen = 0;
  }

  get open() {
    return !this.list.hidden;
  }

  close() {
    this.asking?.abort();
    this.list.hidden = true;
    this.row.area.setAttribute("aria-expanded", "false");
  }

  async offer() {
    const { area, editor } = this.row;
    if (document.activeElement !== area) return;
    this.asking?.abort();
    this.asking = new AbortController();
    const { signal } = this.asking;
    const text = area.value, caret = area.selectionStart;
    const written = word(text, caret);
    try {
      const offers = written.quoted
        ? await tagOffers(text, caret, written, editor.table, signal)
        : await nameOffers(written, editor.table, signal);
      if (!signal.aborted) this.show(offers.slice(0, OFFERED_MAX), written);
    } catch (error) {
      // Completion is a help: without it one types on.
      if (error.name !== "AbortError") this.close();
    }
  }

  show(offers, written) {
    const done = offers.length === 1 && offers[0].text === written.text;
    if (!offers.length || done) {
      this.close();
      return;
    }
    this.offers = offers;
    this.written = written;
    this.list.replaceChildren(...offers.map((offer, at) => {
      const take = (event) => {
        event.preventDefault();
        this.take(at);
      };
      return element("div", { role: "option", id: "offer-" + at, onmousedown: take },
        element("span", { class: "kind", "aria-hidden": "true" }, offer.kind), offer.text,
        offer.about ? element("span", { class: "about" }, offer.about) : null);
    }));
    this.list.hidden = false;
    this.row.area.setAttribute("aria-expanded", "true");
    this.choose(0);
  }

  choose(at) {
    this.chosen = (at + this.offers.length) % this.offers.length;
    [...this.list.children].forEach((one, index) => {
      one.setAttribute("aria-selected", String(index === this.chosen));
    });
    this.list.children[this.chosen].scrollIntoView({ block: "nearest" });
    this.row.area.setAttribute("aria-activedescendant", "offer-" + this.chosen);
  }

  // Whether the key was for the list.
  key(event) {
    if (!this.open) return false;
    const keys = {
      ArrowDown: () => this.choose(this.chosen + 1),
      ArrowUp: () => this.choose(this.chosen - 1),
      Tab: () => this.take(this.chosen),
      Enter: () => this.take(this.chosen),
      Escape: () => this.close(),
    };
    if (!keys[event.key] || event.shiftKey) return false;
    event.preventDefault();
    keys[event.key]();
    return true;
  }

  take(at) {
    const offer = this.offers[at], { area, editor } = this.row;
    const end = this.written.start + this.written.text.length;
    const text = area.value.slice(0, this.written.start) + offer.insert + area.value.slice(end);
    this.close();
    this.row.write(text, this.written.start + offer.insert.length);
    this.row.help();
    editor.changed();
    if (offer.goesOn) this.offer();
  }
}

async function nameOffers(written, table, signal) {
  const calls = written.text.includes(".") || !written.text ? [] : matching(Object.keys(table), written.text).slice(0, 12);
  const offers = calls.map((name) => ({ kind: "ƒ", text: name, insert: name + "(", about: summary(table[name]) }));
  const paths = await find(written.text + "*", signal);
  const prefix = written.text.slice(0, written.text.lastIndexOf(".") + 1);
  for (const { path, leaf } of paths) {
    // What was written may hold wildcards; they stay.
    const name = path.slice(path.lastIndexOf(".") + 1);
    const insert = prefix + name + (leaf ? "" : ".");
    if (offers.some((one) => one.text === insert)) continue;
    offers.push({ kind: leaf ? "•" : "›", text: insert, insert, goesOn: !leaf });
  }
  // A function that begins with the word stands before metrics; others after them.
  const begins = (one) => one.kind !== "ƒ" || one.text.toLowerCase().startsWith(written.text.toLowerCase());
  return [...offers.filter(begins), ...offers.filter((one) => !begins(one))];
}

async function tagOffers(text, caret, written, table, signal) {
  const call = callAt(text, written.start - 1);
  if (!call) return [];
  if (call.name !== "seriesByTag") {
    const param = table[call.name]?.params[parameterOf(table[call.name], call)];
    const some = (param?.options ?? param?.suggestions ?? []).map(String);
    return matching(some, written.text).map((option) => ({ kind: "=", text: option, insert: option }));
  }
  const others = [...text.matchAll(/'([^']+)'|"([^"]+)"/g)].filter(({ index }) => index + 1 !== written.start)
    .map((match) => match[1] ?? match[2]).filter((expr) => expr.includes("="));
  const exprs = others.map((expr) => ["expr", expr]);
  const split = /^([^=!~]+)(!?=~?)(.*)$/.exec(written.text);
  if (!split) {
    const names = await get("tags/autoComplete/tags", [...exprs, ["tagPrefix", written.text]], signal);
    return names.map((name) => ({ kind: "#", text: name, insert: name + "=", goesOn: true }));
  }
  const [, tag, operator, prefix] = split;
  const values = await get("tags/autoComplete/values", [...exprs, ["tag", tag], ["valuePrefix", prefix]], signal);
  return values.map((value) => ({ kind: "#", text: value, insert: tag + operator + value }));
}
