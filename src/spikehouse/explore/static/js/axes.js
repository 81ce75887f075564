import { theme } from "./colors.js";

/** Round numbers between lo and hi, about `count` of them. */
export function niceTicks(lo, hi, count = 5) {
  if (!(hi > lo)) return [lo];
  const raw = (hi - lo) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= raw * 0.999);
  const ticks = [];
  for (let k = Math.ceil(lo / step - 1e-9); k * step <= hi + step * 1e-9; k++) ticks.push(Number((k * step).toPrecision(12)));
  return ticks;
}

/** Ticks for seconds of a recording: steps that are round in minutes and hours, too. */
export function timeTicks(lo, hi, count = 6) {
  const steps = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];
  const step = steps.find((s) => (hi - lo) / s <= count) ?? 3600;
  const ticks = [];
  for (let k = Math.ceil(lo / step - 1e-9); k * step <= hi + 1e-9; k++) ticks.push(Number((k * step).toPrecision(12)));
  return ticks;
}

/** Seconds of a recording as h:mm:ss, with as many decimals as the span needs. */
export function formatTime(seconds, span = 3600) {
  const sign = seconds < 0 ? "−" : "";
  const decimals = span >= 10 ? 0 : span >= 1 ? 1 : span >= 0.1 ? 2 : 3;
  const total = Number(Math.abs(seconds).toFixed(decimals));
  const s = total % 60;
  const text = s.toFixed(decimals).padStart(decimals ? 3 + decimals : 2, "0");
  const m = Math.floor(total / 60) % 60;
  const hours = Math.floor(total / 3600);
  return hours ? `${sign}${hours}:${String(m).padStart(2, "0")}:${text}` : `${sign}${m}:${text}`;
}

/** A number in few digits, with a true minus sign and thin spaces between thousands. */
export function formatNumber(value, digits = 3) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  if (Number.isInteger(value)) return group(String(value));
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) {
    const [factor, power] = value.toExponential(digits - 1).split("e");
    return `${factor.replace("-", "−")} × 10${String(Number(power)).replace(/./g, (c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)])}`;
  }
  const decimals = Math.max(0, Math.min(6, digits - 1 - Math.floor(Math.log10(size || 1))));
  const text = value.toFixed(decimals);
  return group(text.includes(".") ? text.replace(/\.?0+$/, "") : text);
}

function group(text) {
  const [whole, part] = text.replace("-", "−").split(".");
  const grouped = whole.length > 5 ? whole.replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f") : whole;
  return part ? `${grouped}.${part}` : grouped;
}

/** Bytes as people write them. */
export function formatBytes(bytes) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let k = 0;
  while (bytes >= 1000 && k < units.length - 1) { bytes /= 1000; k++; }
  return `${k ? Number(bytes.toPrecision(3)) : bytes} ${units[k]}`;
}

function scale([lo, hi], from, to, log) {
  if (log) {
    const inner = scale([Math.log10(lo), Math.log10(hi)], from, to);
    const map = (value) => inner(Math.log10(value));
    map.invert = (pixel) => 10 ** inner.invert(pixel);
    return map;
  }
  const slope = hi === lo ? 0 : (to - from) / (hi - lo);
  const map = (value) => from + (value - lo) * slope;
  map.invert = (pixel) => (slope ? lo + (pixel - from) / slope : lo);
  return map;
}

function logTicks(lo, hi) {
  const ticks = [];
  for (let k = Math.ceil(Math.log10(lo) - 1e-9); 10 ** k <= hi * 1.0001; k++) ticks.push(10 ** k);
  return ticks.length > 1 ? ticks : niceTicks(lo, hi, 3);
}

/**
 * Draw quiet axes around a box and return its scales.
 *
 * x and y: {domain: [lo, hi], label, unit, ticks, format, log, flip, hide}. Without `top` and `left` the margins follow
 * the labels. The label of y stands above its axis, so that nobody has to turn the head.
 * Returns {sx, sy, box: {x, y, width, height}}; sx.invert(pixel) goes back.
 */
export function axes(s, { x, y, grid = true, left, right = 8, top, bottom, area }) {
  const t = theme();
  const { x: ax = 0, y: ay = 0, width = s.width, height = s.height } = area ?? {};
  const text = { size: 11, color: t.muted };
  const yFormat = y.format ?? formatNumber;
  const marginTop = top ?? (y.label ? 22 : 8);
  const marginBottom = bottom ?? (x.hide ? 8 : x.label ? 36 : 22);
  const boxHeight = Math.max(10, height - marginTop - marginBottom);
  const yTicks = y.hide ? [] : y.ticks ?? (y.log ? logTicks(...y.domain) : niceTicks(...y.domain, Math.max(2, Math.floor(boxHeight / 45))));
  const marginLeft = left ?? (y.hide ? 8 : Math.max(20, ...yTicks.map((tick) => s.measure(yFormat(tick), text))) + 10);
  const boxWidth = Math.max(10, width - marginLeft - right);
  const box = { x: ax + marginLeft, y: ay + marginTop, width: boxWidth, height: boxHeight };
  const sx = scale(x.domain, box.x, box.x + box.width, x.log);
  const sy = y.flip ? scale(y.domain, box.y, box.y + box.height, y.log) : scale(y.domain, box.y + box.height, box.y, y.log);
  const base = box.y + box.height;

  for (const tick of yTicks) {
    const at = sy(tick);
    if (grid) s.line(box.x, at, box.x + box.width, at, { color: t.line });
    s.text(yFormat(tick), box.x - 8, at, { ...text, align: "right", baseline: "middle" });
  }
  if (y.label) s.text(y.label, ax + 0, ay + 10, { ...text, color: t.ink_2 });
  if (!x.hide) {
    const xTicks = x.ticks ?? (x.log ? logTicks(...x.domain) : niceTicks(...x.domain, Math.max(2, Math.floor(boxWidth / 80))));
    const format = x.format ?? formatNumber;
    s.line(box.x, base, box.x + box.width, base, { color: t.line_strong });
    let last = -Infinity;
    for (const tick of xTicks) {
      const at = sx(tick);
      s.line(at, base, at, base + 4, { color: t.line_strong });
      const words = format(tick);
      const half = s.measure(words, text) / 2;
      if (at - half < last + 6) continue;
      // the outermost labels stay inside the figure
      s.text(words, Math.min(Math.max(at, half), s.width - half), base + 16, { ...text, align: "center" });
      last = at + half;
    }
    if (x.label) s.text(x.label, box.x + box.width, base + 31, { ...text, color: t.ink_2, align: "right" });
  }
  return { sx, sy, box };
}

/** A colour bar with its limits, drawn upright at the right of a map. */
export function colorBar(s, { x, y, width = 8, height, lo, hi, label, paintBar, format = formatNumber }) {
  const t = theme();
  const values = Float32Array.from({ length: 128 }, (_, i) => 1 - i / 127);
  s.image(paintBar(values), 1, 128, x, y, width, height, { smooth: true });
  s.text(format(hi), x + width + 5, y, { size: 10, color: t.muted, baseline: "top" });
  s.text(format(lo), x + width + 5, y + height, { size: 10, color: t.muted, baseline: "bottom" });
  if (label) s.text(label, x + width + 5, y + height / 2, { size: 10, color: t.muted, baseline: "middle" });
}

/** The smallest and largest finite value of some arrays. */
export function extent(...arrays) {
  let lo = Infinity, hi = -Infinity;
  for (const values of arrays) for (const v of values) if (Number.isFinite(v)) { if (v < lo) lo = v; if (v > hi) hi = v; }
  return lo <= hi ? [lo, hi] : [0, 1];
}
