// Numbers and times as people read them.

const UNITS = [[1e15, "P"], [1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];

// Four digits and a unit.
export function short(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e18 || size < 1e-4)) return value.toExponential(2);
  const unit = UNITS.find(([least]) => size >= least);
  const scaled = unit ? value / unit[0] : value;
  return String(Number(scaled.toPrecision(4))) + (unit ? " " + unit[1] : "");
}

// Round values between two, at most so many.
export function ticks(least, greatest, count) {
  const span = greatest - least || 1;
  const rough = span / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= rough) ?? 10 * power;
  const found = [];
  for (let i = Math.ceil(least / step - 1e-9); i * step <= greatest + step * 1e-9; i++) found.push(i * step);
  return { step, values: found };
}

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];

// Times at round moments of the reader's own clock, with their labels.
export function timeTicks(from, until, count) {
  const rough = (until - from) / Math.max(1, count);
  let step = STEPS.find((s) => s >= rough);
  step ??= Math.ceil(rough / 86400) * 86400;
  const offset = -new Date(from * 1000).getTimezoneOffset() * 60;
  const found = [];
  for (let t = Math.ceil((from + offset) / step) * step - offset; t <= until; t += step) found.push({ time: t, label: label(t, step) });
  return found;
}

function label(time, step) {
  const date = new Date(time * 1000);
  const midnight = date.getHours() === 0 && date.getMinutes() === 0 && date.getSeconds() === 0;
  if (step >= 86400 || midnight) return date.toLocaleDateString([], { day: "numeric", month: "short" });
  return date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: step < 60 ? "2-digit" : undefined, hourCycle: "h23" });
}

export function moment(time) {
  const date = new Date(time * 1000);
  const pad = (number) => String(number).padStart(2, "0");
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())} ${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
}

// Last, least, greatest and mean of the known values.
export function summary(datapoints) {
  let last = null, least = Infinity, greatest = -Infinity, sum = 0, count = 0;
  for (const [value] of datapoints) {
    if (value === null) continue;
    last = value;
    if (value < least) least = value;
    if (value > greatest) greatest = value;
    sum += value;
    count++;
  }
  return count ? [last, least, greatest, sum / count] : [null, null, null, null];
}
