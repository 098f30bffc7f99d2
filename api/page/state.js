// What is shown, and the same as the part of the address behind `#`: an address is a whole state.

export const DEFAULTS = { from: "-1h", until: "now", view: "graph", stack: false, page: "explore" };

export function read(hash) {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  const off = new Set(given.getAll("off").map(Number));
  return {
    targets: given.getAll("target").map((text, at) => ({ text, off: off.has(at) })),
    from: given.get("from") || DEFAULTS.from,
    until: given.get("until") || DEFAULTS.until,
    view: given.get("view") === "table" ? "table" : "graph",
    stack: given.get("stack") === "1",
    page: given.get("page") === "cluster" ? "cluster" : "explore",
  };
}

export function write(state) {
  const out = new URLSearchParams();
  if (state.page !== DEFAULTS.page) out.append("page", state.page);
  const shown = state.targets.filter(({ text }) => text.trim());
  for (const { text } of shown) out.append("target", text);
  shown.forEach(({ off }, at) => { if (off) out.append("off", String(at)); });
  if (shown.length || state.from !== DEFAULTS.from) out.append("from", state.from);
  if (shown.length || state.until !== DEFAULTS.until) out.append("until", state.until);
  if (state.view !== DEFAULTS.view) out.append("view", state.view);
  if (state.stack) out.append("stack", "1");
  const text = out.toString();
  return text ? "#" + text : "#";
}
