// The same data as tables: the legend with its numbers, and all values by time.

import { $, element } from "./dom.js";
import { moment, short, summary } from "./numbers.js";

const COLUMNS_MAX = 30;
const ROWS_MAX = 2000;
// What more digits show is how computers round.
const DIGITS = 12;

// The legend; a click hides a series, with Alt all others. `changed` is called afterwards.
export function legend(series, changed) {
  const table = $("legend");
  table.hidden = !series.length;
  table.tBodies[0].replaceChildren(...series.map((one) => {
    const swatch = element("span", { class: "swatch" });
    swatch.style.background = one.color;
    const click = (event) => {
      if (event.altKey) for (const other of series) other.hidden = other !== one;
      else one.hidden = !one.hidden;
      changed();
    };
    const button = element("button", {
      type: "button", title: "Hide or show; with Alt only this one", "aria-label": one.name + (one.hidden ? ", hidden" : ""), onclick: click,
    }, swatch, one.name);
    const cells = summary(one.datapoints).map((value) => element("td", {}, short(value)));
    return element("tr", { class: one.hidden ? "hidden" : undefined }, element("td", {}, button), ...cells);
  }));
}

// Values by time, the newest first.
export function values(series) {
  const shown = series.filter((one) => !one.hidden).slice(0, COLUMNS_MAX);
  const rows = new Map();
  shown.forEach(({ datapoints }, column) => {
    for (const [value, time] of datapoints) {
      if (!rows.has(time)) rows.set(time, []);
      rows.get(time)[column] = value;
    }
  });
  const head = element("tr", {}, element("th", { scope: "col" }, "Time"),
    ...shown.map(({ name }) => element("th", { scope: "col", title: name }, name)));
  const times = [...rows.keys()].sort((a, b) => b - a).slice(0, ROWS_MAX);
  const body = times.map((time) => element("tr", {}, element("th", { scope: "row" }, moment(time)),
    ...shown.map((_, column) => {
      const value = rows.get(time)[column];
      return element("td", {}, value === null || value === undefined ? "–" : String(Number(value.toPrecision(DIGITS))));
    })));
  $("values").replaceChildren(element("thead", {}, head), element("tbody", {}, ...body));
}
