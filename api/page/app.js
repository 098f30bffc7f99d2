// The page: what is typed is asked for, what is answered is drawn, and the address holds it all.

import { browse } from "./browse.js";
import { Chart, colorOf } from "./chart.js";
import { Cluster } from "./cluster.js";
import { $, element, quietly, tabs } from "./dom.js";
import { Editor } from "./editor.js";
import { ask } from "./server.js";
import { read, write } from "./state.js";
import { legend, values } from "./tables.js";

const DRAWN_MAX = 200;
const TYPING_MS = 250;
const PRESETS = [["15m", "-15min"], ["1h", "-1h"], ["6h", "-6h"], ["1d", "-1d"], ["7d", "-7d"], ["30d", "-30d"]];
const EXPORTS = ["json", "csv", "png", "svg", "pdf"];

let state = read(location.hash);
let series = [];
let shownWindow = { from: 0, until: 1 };
let asking;
const hiddenNames = new Set();

const redrawSoon = quietly(() => draw(), TYPING_MS);
const editor = new Editor({ changed: edited, entered: () => draw() });
const chart = new Chart((from, until) => range(String(from), String(until)));
const cluster = new Cluster();
const chooseView = tabs(document.querySelector(".view [role=tablist]"), (id) => {
  state.view = id === "tab-table" ? "table" : "graph";
  remember();
  present();
});

function edited() {
  state.targets = editor.targets();
  remember();
  redrawSoon();
}

// The address follows what is shown; going back leads to the page before, not to each letter.
function remember() {
  const hash = write(state);
  if (hash !== (location.hash || "#")) history.replaceState(null, "", hash === "#" ? location.pathname : hash);
  $("to-explore").href = hash;
  showExports();
}

function range(from, until) {
  [state.from, state.until] = [from, until];
  showRange();
  remember();
  draw();
}

function showRange() {
  $("from").value = state.from;
  $("until").value = state.until;
  for (const button of $("presets").children) {
    const chosen = state.until === "now" && button.value === state.from;
    button.setAttribute("aria-pressed", String(chosen));
  }
}

function renderPairs(target) {
  return [["target", target], ["from", state.from], ["until", state.until]];
}

// One request a target: an error in one leaves the others as they are.
async function draw() {
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  const rows = state.targets.map(({ text, off }) => (off || !text.trim() ? null : text));
  const width = Math.max(100, Math.round($("plot").clientWidth || 800));
  if (rows.some(Boolean)) status("…");
  const answers = await Promise.all(rows.map(async (target) => {
    if (!target) return {};
    try {
      const more = [["format", "json"], ["maxDataPoints", String(width)]];
      return await ask("render", [...renderPairs(target), ...more], signal);
    } catch (error) {
      return { error };
    }
  }));
  if (!signal.aborted) take(rows, answers);
}

function take(rows, answers) {
  editor.complain(answers.map(({ error }) => error));
  const found = answers.flatMap(({ json }) => json ?? []);
  series = found.slice(0, DRAWN_MAX).map(({ target, datapoints }, at) => ({
    name: target, datapoints, color: colorOf(at), hidden: hiddenNames.has(target),
  }));
  shownWindow = answers.map(({ window }) => window).find(Boolean) ?? shownWindow;
  const notes = [`${found.length} series`];
  if (found.length > DRAWN_MAX) notes.push(`the first ${DRAWN_MAX} are drawn`);
  const partial = answers.map((answer) => answer.partial).find(Boolean);
  if (partial) notes.push("incomplete: " + partial);
  status(rows.some(Boolean) ? notes.join(", ") : "", Boolean(partial));
  const asked = rows.some(Boolean), failed = answers.some(({ error }) => error);
  $("empty").hidden = series.length > 0;
  $("empty").textContent = asked ? (failed ? "" : "Nothing matches in this time range.") : "Choose a metric on the left, or type a target above.";
  present();
}

function status(text, isBad = false) {
  $("status").textContent = text;
  $("status").classList.toggle("bad", isBad);
}

function present() {
  if (state.view === "table") {
    values(series);
    return;
  }
  chart.show(series, shownWindow, state.stack);
  legend(series, () => {
    for (const { name, hidden } of series) if (hidden) hiddenNames.add(name); else hiddenNames.delete(name);
    present();
  });
}

function showExports() {
  const targets = state.targets.filter(({ text, off }) => text.trim() && !off).map(({ text }) => ["target", text]);
  $("export").hidden = !targets.length;
  const pairs = [...targets, ["from", state.from], ["until", state.until], ["width", "1000"], ["height", "400"]];
  const link = (format) => element("a", { href: "render?" + new URLSearchParams([...pairs, ["format", format]]), target: "_blank", rel: "noopener" }, format.toUpperCase());
  $("export").querySelector("ul").replaceChildren(...EXPORTS.map((format) => element("li", {}, link(format))));
}

async function share() {
  const button = $("share");
  try {
    await navigator.clipboard.writeText(location.href);
    button.textContent = "Copied";
  } catch {
    // Without https browsers give no clipboard; the address bar holds the same link.
    button.textContent = "The link is in the address bar";
  }
  setTimeout(() => { button.textContent = "Copy link"; }, 2000);
}

function refreshEvery(seconds) {
  clearInterval(refreshEvery.timer);
  if (seconds) refreshEvery.timer = setInterval(() => { if (!document.hidden && state.page === "explore") draw(); }, seconds * 1000);
}

// Puts a state on the page: at the start, and whenever the address changes.
function apply() {
  state = read(location.hash);
  const isCluster = state.page === "cluster";
  $("cluster").hidden = !isCluster;
  $("explore").hidden = isCluster;
  $(isCluster ? "to-cluster" : "to-explore").setAttribute("aria-current", "page");
  $(isCluster ? "to-explore" : "to-cluster").removeAttribute("aria-current");
  cluster.show(isCluster);
  if (isCluster) return;
  $("to-explore").href = location.hash || "#";
  editor.set(state.targets);
  state.targets = editor.targets();
  $("stack").checked = state.stack;
  showRange();
  chooseView(state.view === "table" ? "tab-table" : "tab-graph");
  showExports();
  draw();
}

function start() {
  for (const [text, from] of PRESETS) {
    const press = () => range(from, "now");
    $("presets").append(element("button", { type: "button", value: from, onclick: press }, text));
  }
  for (const id of ["from", "until"]) {
    $(id).addEventListener("change", () => range($("from").value.trim() || "-1h", $("until").value.trim() || "now"));
  }
  $("query").addEventListener("submit", (event) => event.preventDefault());
  $("share").addEventListener("click", share);
  $("refresh").addEventListener("change", (event) => refreshEvery(Number(event.target.value)));
  $("stack").addEventListener("change", (event) => {
    state.stack = event.target.checked;
    remember();
    present();
  });
  const menu = $("menu");
  const side = (open) => {
    $("side").classList.toggle("open", open);
    menu.setAttribute("aria-expanded", String(open));
  };
  menu.addEventListener("click", () => side(!$("side").classList.contains("open")));
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") { side(false); $("export").open = false; } });
  document.querySelector("#explore > main").addEventListener("click", () => side(false));
  browse({ add: (target) => editor.add(target), wrap: (name) => { side(false); editor.wrap(name); } });
  addEventListener("hashchange", apply);
  addEventListener("pageshow", (event) => { if (event.persisted) apply(); });
  apply();
}

start();
