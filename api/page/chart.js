// The graph: lines on a canvas, a cross-hair that reads values, and a range chosen by dragging.

import { $, element } from "./dom.js";
import { moment, short, ticks, timeTicks } from "./numbers.js";

const PAD = { left: 58, right: 12, top: 12, bottom: 26 };
const TIP_ROWS_MAX = 12;
const COLORS = ["#3f78c2", "#dd7f2b", "#3f9b5c", "#c9504f", "#8a6fc0", "#2fa3ad", "#cf6bab", "#93751f", "#6f8a3a", "#7c8794"];

export const colorOf = (at) => COLORS[at % COLORS.length];

export class Chart {
  // `zoom` takes the ends of a range that was dragged, in seconds.
  constructor(zoom) {
    this.zoom = zoom;
    this.canvas = $("canvas");
    this.series = [];
    this.stacked = false;
    this.at = null;
    this.drag = null;
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    this.listen();
  }

  // Series are `{ name, datapoints, color, hidden }`; the window is where the time axis begins and ends.
  show(series, window, stacked) {
    this.series = series;
    this.window = window;
    this.stacked = stacked;
    this.draw();
  }

  draw() {
    const { canvas } = this, scale = devicePixelRatio || 1;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (!width || !height) return;
    [canvas.width, canvas.height] = [Math.round(width * scale), Math.round(height * scale)];
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    const shown = this.series.filter((one) => !one.hidden);
    this.lines = this.stacked ? stack(shown) : shown.map((one) => ({ ...one, points: one.datapoints }));
    if (!this.series.length) return;
    this.fit(width, height);
    this.axes(pen, width, height);
    pen.save();
    pen.beginPath();
    pen.rect(PAD.left, 0, width - PAD.left - PAD.right, height);
    pen.clip();
    for (const line of [...this.lines].reverse()) this.line(pen, line);
    pen.restore();
    this.marks(pen, height);
  }

  fit(width, height) {
    let least = Infinity, greatest = -Infinity;
    for (const { points } of this.lines) for (const [value] of points) {
      if (value === null || !Number.isFinite(value)) continue;
      least = Math.min(least, value);
      greatest = Math.max(greatest, value);
    }
    if (least > greatest) [least, greatest] = [0, 1];
    if (this.stacked) [least, greatest] = [Math.min(0, least), Math.max(0, greatest)];
    // A band that stands near zero shows zero.
    if (least > 0 && least < (greatest - least) * 0.5) least = 0;
    if (least === greatest) { const by = Math.abs(least) || 1; least -= by / 2; greatest += by / 2; }
    const { step } = ticks(least, greatest, height / 52);
    const bottom = Math.min(least, Math.floor(least / step + 1e-9) * step);
    const top = Math.max(greatest, Math.ceil(greatest / step - 1e-9) * step);
    this.values = ticks(bottom, top, height / 52).values;
    const { from, until } = this.window;
    this.x = (time) => PAD.left + (time - from) / (until - from || 1) * (width - PAD.left - PAD.right);
    this.time = (x) => from + (x - PAD.left) / (width - PAD.left - PAD.right) * (until - from);
    this.y = (value) => height - PAD.bottom - (value - bottom) / (top - bottom || 1) * (height - PAD.top - PAD.bottom);
  }

  axes(pen, width, height) {
    const style = getComputedStyle(document.documentElement);
    const grid = style.getPropertyValue("--grid"), soft = style.getPropertyValue("--soft");
    pen.font = "11.5px system-ui, sans-serif";
    pen.lineWidth = 1;
    pen.textBaseline = "middle";
    pen.textAlign = "right";
    for (const value of this.values) {
      const y = Math.round(this.y(value)) + 0.5;
      stroke(pen, grid, [[PAD.left, y], [width - PAD.right, y]]);
      pen.fillStyle = soft;
      pen.fillText(short(Math.abs(value) < 1e-12 ? 0 : value), PAD.left - 8, y);
    }
    pen.textBaseline = "alphabetic";
    pen.textAlign = "center";
    for (const { time, label } of timeTicks(this.window.from, this.window.until, width / 100)) {
      const x = Math.round(this.x(time)) + 0.5;
      stroke(pen, grid, [[x, PAD.top], [x, height - PAD.bottom]]);
      if (x < PAD.left + 14 || x > width - 24) continue;
      pen.fillStyle = soft;
      pen.fillText(label, x, height - 8);
    }
  }

  line(pen, { points, base, color }) {
    pen.strokeStyle = pen.fillStyle = color;
    pen.lineWidth = 1.6;
    pen.lineJoin = "round";
    for (const run of runs(points)) {
      const path = run.map((at) => [this.x(points[at][1]), this.y(points[at][0])]);
      if (base) {
        const below = [...run].reverse().map((at) => [this.x(points[at][1]), this.y(base[at])]);
        pen.globalAlpha = 0.55;
        trace(pen, [...path, ...below]);
        pen.fill();
        pen.globalAlpha = 1;
      }
      if (path.length === 1) {
        // A point between two gaps is a dot.
        pen.beginPath();
        pen.arc(...path[0], 1.8, 0, 7);
        pen.fill();
      } else {
        stroke(pen, color, path);
      }
    }
  }

  marks(pen, height) {
    const style = getComputedStyle(document.documentElement);
    if (this.drag && Math.abs(this.drag.to - this.drag.from) > 2) {
      pen.fillStyle = style.getPropertyValue("--wash");
      const { from, to } = this.drag;
      pen.fillRect(Math.min(from, to), PAD.top, Math.abs(to - from), height - PAD.top - PAD.bottom);
    }
    if (this.at === null) return;
    const x = Math.round(this.x(this.at)) + 0.5;
    stroke(pen, style.getPropertyValue("--soft"), [[x, PAD.top], [x, height - PAD.bottom]]);
    for (const { points, color } of this.lines) {
      const point = nearest(points, this.at);
      if (!point || point[0] === null) continue;
      pen.beginPath();
      pen.arc(this.x(point[1]), this.y(point[0]), 3, 0, 7);
      pen.fillStyle = color;
      pen.fill();
    }
  }

  listen() {
    const { canvas } = this;
    const place = (event) => event.clientX - canvas.getBoundingClientRect().left;
    canvas.addEventListener("pointermove", (event) => {
      if (!this.series.length) return;
      if (this.drag) this.drag.to = place(event);
      this.read(this.time(place(event)));
    });
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || event.pointerType === "touch" || !this.series.length) return;
      this.drag = { from: place(event), to: place(event) };
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointerup", () => {
      const { drag } = this;
      this.drag = null;
      if (!drag || Math.abs(drag.to - drag.from) < 6) return;
      const ends = [this.time(drag.from), this.time(drag.to)].map(Math.round).sort((a, b) => a - b);
      if (ends[1] > ends[0]) this.zoom(...ends);
    });
    for (const name of ["pointerleave", "blur"]) canvas.addEventListener(name, () => this.read(null));
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const times = this.lines?.[0]?.points.map(([, time]) => time) ?? [];
    if (!step || !times.length) return;
    event.preventDefault();
    const now = this.at === null ? times.length - (step > 0 ? 1 : 0) : times.findIndex((time) => time >= this.at);
    const next = this.at === null ? (step > 0 ? 0 : times.length - 1) : Math.min(times.length - 1, Math.max(0, now + step));
    this.read(times[next]);
  }

  // Shows the values at a time, or none.
  read(time) {
    const tip = $("tip");
    const first = time === null || !this.lines?.length ? null : this.lines.map(({ points }) => nearest(points, time)).find(Boolean);
    this.at = first ? first[1] : null;
    tip.hidden = !first;
    if (first) this.tell(tip, first[1]);
    this.draw();
  }

  tell(tip, time) {
    const found = this.lines.map((line) => ({ line, point: nearest(line.datapoints, time) }))
      .filter(({ point }) => point && point[0] !== null)
      .sort((a, b) => b.point[0] - a.point[0]);
    const rows = found.slice(0, TIP_ROWS_MAX).map(({ line, point }) => {
      const swatch = element("i", { class: "swatch" });
      swatch.style.background = line.color;
      return element("div", {}, swatch, element("span", {}, line.name), element("b", {}, short(point[0])));
    });
    if (found.length > TIP_ROWS_MAX) rows.push(element("div", {}, `and ${found.length - TIP_ROWS_MAX} more`));
    if (!found.length) rows.push(element("div", {}, "no values"));
    tip.replaceChildren(element("time", {}, moment(time)), ...rows);
    const x = this.x(time), width = this.canvas.clientWidth;
    tip.style.left = x < width / 2 ? x + 14 + "px" : "auto";
    tip.style.right = x < width / 2 ? "auto" : width - x + 14 + "px";
  }
}

// Each series upon those before it, by time: their steps may differ.
function stack(series) {
  const sums = new Map();
  return series.map((one) => {
    const base = [], points = [];
    for (const [value, time] of one.datapoints) {
      const below = sums.get(time) ?? 0;
      base.push(below);
      points.push([value === null ? null : below + value, time]);
      if (value !== null) sums.set(time, below + value);
    }
    return { ...one, points, base };
  });
}

// Indices of points that are joined: runs without a null.
function runs(points) {
  const found = [];
  let run = [];
  points.forEach(([value], at) => {
    if (value !== null && Number.isFinite(value)) { run.push(at); return; }
    if (run.length) found.push(run);
    run = [];
  });
  if (run.length) found.push(run);
  return found;
}

function nearest(points, time) {
  if (!points.length) return null;
  let low = 0, high = points.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle][1] < time) low = middle + 1; else high = middle;
  }
  const before = points[low - 1];
  return before && time - before[1] < points[low][1] - time ? before : points[low];
}

function trace(pen, path) {
  pen.beginPath();
  path.forEach(([x, y], at) => (at ? pen.lineTo(x, y) : pen.moveTo(x, y)));
}

function stroke(pen, color, path) {
  pen.strokeStyle = color;
  trace(pen, path);
  pen.stroke();
}
