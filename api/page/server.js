// What is asked of the API. Addresses are relative, so that the page works below any prefix.

// An answer that is no success: its message, and the place in the target that it points to.
export class Refused extends Error {
  constructor(message, position) {
    super(message);
    this.position = position;
  }
}

// POST, so that long targets fit; `pairs` are names and values in order.
export async function ask(path, pairs, signal, method = "POST") {
  const parameters = new URLSearchParams(pairs);
  const request = { method, signal, headers: { Accept: "application/json" } };
  if (method === "POST") request.body = parameters;
  else if (pairs.length) path += "?" + parameters;
  let reply;
  try {
    reply = await fetch(path, request);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("The server cannot be reached.");
  }
  const text = await reply.text();
  if (!reply.ok) throw refusal(text, reply.status);
  const range = /from=(-?\d+), until=(-?\d+)/.exec(reply.headers.get("x-query-range") ?? "");
  const window = range && { from: Number(range[1]), until: Number(range[2]) };
  return { json: JSON.parse(text), partial: reply.headers.get("x-plumbago-partial"), window };
}

function refusal(text, status) {
  try {
    const { message, position } = JSON.parse(text);
    if (message) return new Refused(message, position);
  } catch {
    // Not every proxy in between speaks JSON.
  }
  return new Refused(text.trim().slice(0, 300) || "The server answered " + status + ".");
}

export const get = (path, pairs = [], signal) => ask(path, pairs, signal, "GET").then((a) => a.json);

// The nodes that a pattern matches, branches first.
export async function find(query, signal) {
  const { json } = await ask("metrics/find", [["query", query], ["format", "json"]], signal);
  return json.map(({ path, is_leaf }) => ({ path, leaf: Boolean(is_leaf) }))
    .sort((a, b) => a.leaf - b.leaf);
}

let table;
// The table of functions, asked for once.
export function functions() {
  table ??= get("functions").catch((error) => { table = undefined; throw error; });
  return table;
}

// A name as a pattern that matches nothing else.
export const literal = (path) => path.replace(/[*?[\]{}\\]/g, "\\$&");

// A name as a target that reads this series and no other.
export const targetOf = (path) => literal(path).replace(/[(){},'"\\|=]/g, "\\$&");
