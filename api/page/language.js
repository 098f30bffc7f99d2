// What a target's text means at a caret: the word being written, and the call around it. Pure.

const CLOSING = { ")": "(", "}": "{", "]": "[" };

// The word that ends at the caret: a path or a name of a function, or what stands between quotes.
// Commas inside braces belong to a path.
export function word(text, caret) {
  const quote = openQuote(text, caret);
  if (quote) return { start: quote.at + 1, text: text.slice(quote.at + 1, caret), quoted: true };
  let braces = 0, start = caret;
  for (; start > 0; start--) {
    const c = text[start - 1];
    if (c === "}") braces++;
    else if (c === "{") braces--;
    else if (" \t\n()|='\"".includes(c) || (c === "," && braces >= 0 && !insideBraces(text, start - 1))) break;
  }
  return { start, text: text.slice(start, caret), quoted: false };
}

function insideBraces(text, at) {
  let depth = 0;
  for (let i = at - 1; i >= 0; i--) {
    if (text[i] === "}") depth++;
    else if (text[i] === "{") { if (depth === 0) return true; depth--; }
    else if ("()'\" ".includes(text[i])) return false;
  }
  return false;
}

function openQuote(text, caret) {
  let open = null;
  for (let i = 0; i < caret; i++) {
    const c = text[i];
    if (open) { if (c === open.c && text[i - 1] !== "\\") open = null; }
    else if (c === "'" || c === '"') open = { c, at: i };
  }
  return open;
}

// The innermost call whose parentheses hold the caret: its name, and which argument is written.
export function callAt(text, caret) {
  const stack = [];
  let quote = null;
  for (let i = 0; i < caret; i++) {
    const c = text[i];
    if (quote) { if (c === quote && text[i - 1] !== "\\") quote = null; continue; }
    if (c === "'" || c === '"') quote = c;
    else if (c === "(" || c === "{" || c === "[") stack.push({ c, at: i, argument: 0, named: null, from: i + 1 });
    else if (CLOSING[c]) { if (stack.at(-1)?.c === CLOSING[c]) stack.pop(); }
    else if (c === "," && stack.at(-1)?.c === "(") { stack.at(-1).argument++; stack.at(-1).from = i + 1; }
  }
  while (stack.length && stack.at(-1).c !== "(") stack.pop();
  const open = stack.pop();
  if (!open) return null;
  const name = /([A-Za-z_]\w*)\s*$/.exec(text.slice(0, open.at));
  if (!name) return null;
  const keyword = /^\s*([A-Za-z_]\w*)\s*=/.exec(text.slice(open.from, caret));
  const piped = isPiped(text.slice(0, open.at - name[0].length));
  return { name: name[1], argument: open.argument + (piped ? 1 : 0), keyword: keyword?.[1] ?? null };
}

const isPiped = (before) => /\|\s*$/.test(before);

// The name under the caret if it is one of a function, whether its parenthesis is there or not.
export function nameAt(text, caret, known) {
  if (openQuote(text, caret)) return null;
  const before = /(?<![\w.])[A-Za-z_]\w*$/.exec(text.slice(0, caret))?.[0] ?? "";
  const after = /^\w*/.exec(text.slice(caret))[0];
  const name = before + after;
  return name in known ? name : null;
}

// Which parameter an argument is for; the last one if it takes more.
export function parameterOf(fn, call) {
  if (call.keyword) return fn.params.findIndex((param) => param.name === call.keyword);
  const many = fn.params.findIndex((param) => param.multiple);
  if (many >= 0 && call.argument > many && many === fn.params.length - 1) return many;
  return Math.min(call.argument, fn.params.length - 1);
}

// Functions for a word: those that begin with it first, then those that hold it.
export function matching(names, written) {
  const wanted = written.toLowerCase();
  const begins = [], holds = [];
  for (const name of names) {
    const at = name.toLowerCase().indexOf(wanted);
    if (at === 0) begins.push(name);
    else if (at > 0) holds.push(name);
  }
  return [...begins, ...holds];
}

// A place in bytes of UTF-8, as the API counts, as a place in the text.
export function indexOfByte(text, position) {
  let bytes = 0, index = 0;
  for (const c of text) {
    if (bytes >= position) break;
    const code = c.codePointAt(0);
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    index += c.length;
  }
  return index;
}

// A description without the marks of reStructuredText: its first paragraph, and the rest.
export function described({ description = "" }) {
  const plain = description.replace(/^\s*\.\. code-block::.*$\n?/gm, "").replace(/``?/g, "").replace(/^(\s*)&target=/gm, "$1");
  const [first, ...rest] = plain.split(/\n\s*\n+/);
  return { first: first.replace(/\s+/g, " ").trim(), rest: rest.map((part) => part.trimEnd()).filter(Boolean).join("\n") };
}

// A description's first sentence.
export const summary = (fn) => described(fn).first.split(/(?<=\.)\s/)[0];
