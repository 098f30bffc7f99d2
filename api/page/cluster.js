// The page of the cluster's health: who answers, how fast.

import { $, element } from "./dom.js";
import { get } from "./server.js";

const EVERY_MS = 5000;
const WORDS = { up: "answers", slow: "answers, but failed lately", down: "does not answer" };

export class Cluster {
  show(isShown) {
    clearTimeout(this.timer);
    if (!isShown) return;
    this.load().finally(() => { this.timer = setTimeout(() => this.show(!$("cluster").hidden), EVERY_MS); });
  }

  async load() {
    let health;
    try {
      health = await get("_internal/cluster");
    } catch (error) {
      $("cluster-summary").textContent = error.message;
      $("nodes").hidden = true;
      $("cluster-facts").replaceChildren();
      return;
    }
    const nodes = health.nodes ?? [];
    $("cluster-summary").textContent = sentence(health, nodes);
    $("cluster-facts").replaceChildren(...facts(health));
    $("nodes").hidden = !nodes.length;
    $("nodes").tBodies[0].replaceChildren(...nodes.map(row));
  }
}

function sentence({ backend }, nodes) {
  if (backend.error) return "No data can be had: " + backend.error;
  if (!nodes.length) return "The storage behind this server answers.";
  const silent = nodes.filter(({ state }) => state === "down");
  if (!silent.length) return nodes.length === 1 ? "The only node answers." : `All ${nodes.length} nodes answer.`;
  return `${silent.length} of ${nodes.length} nodes ${silent.length === 1 ? "does" : "do"} not answer: ${silent.map(({ name }) => name).join(", ")}.`;
}

function facts({ version, backend, copies, ring }) {
  const all = [["Version", version], ["Backend", backend.address], ["Answered in", ms(backend.answered_ms)], ["Copies of each series", copies], ["Ring", ring]];
  return all.filter(([, value]) => value !== undefined && value !== null)
    .map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, String(value))));
}

function row({ name, state, answered_ms, render_p95_ms, find_p95_ms, error }) {
  const words = WORDS[state] ?? state;
  return element("tr", {}, element("td", {}, name),
    element("td", {}, element("span", { class: "state " + state }, words), error ? element("span", { class: "count" }, " " + error) : null),
    ...[answered_ms, render_p95_ms, find_p95_ms].map((value) => element("td", {}, ms(value) ?? "–")));
}

const ms = (value) => (value === undefined || value === null ? null : (value < 10 ? value.toFixed(1) : Math.round(value)) + " ms");
