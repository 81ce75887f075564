import { formatNumber, niceTicks } from "./axes.js";
import { structureStyle, theme } from "./colors.js";
import { fill, h } from "./dom.js";
import { CanvasSurface } from "./surface.js";

/** The limits that units meet by default: {key, limit (as in a link), words, passes(value)}. */
export let DEFAULT_FILTERS = [];

/** Take them from the server: the fields of Python's UnitFilter. */
export function setDefaultFilters({ filter_by_validity: isGood, ...fields }) {
  const limits = Object.entries(fields).map(([name, limit]) => [/^(.*)_(maximum|minimum)$/.exec(name), limit]).filter(([found]) => found);
  DEFAULT_FILTERS = limits.map(([[, key, end], limit]) => (end === "maximum"
    ? { key, limit: `${key}:..${limit}`, words: `${key} ≤ ${limit}`, passes: (value) => value <= limit }
    : { key, limit: `${key}:${limit}..`, words: `${key} ≥ ${limit}`, passes: (value) => value >= limit }));
  if (isGood) DEFAULT_FILTERS.push({ key: "quality", words: "quality is good", passes: (value) => value === "good" });
}

/** A small square in a structure's colour and pattern. */
export function swatch(acronym) {
  const { color, pattern, name } = structureStyle(acronym);
  const box = h("span.swatch", { className: `swatch pattern-${pattern}`, title: name });
  box.style.backgroundColor = color;
  return box;
}

/** Mark the rows that pass all tests but one: facet k counts those, so that its other values keep their counts. */
export function passing(length, tests) {
  const failures = new Uint8Array(length);
  const which = new Uint8Array(length);
  tests.forEach((test, k) => {
    if (!test) return;
    for (let i = 0; i < length; i++) if (!test(i)) { failures[i]++; which[i] = k; }
  });
  const rows = [];
  for (let i = 0; i < length; i++) if (!failures[i]) rows.push(i);
  return {
    rows,
    without: (k) => (i) => failures[i] === 0 || (failures[i] === 1 && which[i] === k),
  };
}

/**
 * A list of values to tick, with the number of rows that each would show.
 *
 * options: {title, label(value) → text or elements, top: how many are shown before "all", change(chosen values)}
 */
export class Facet {
  constructor(parent, options) {
    this.options = options;
    this.list = h("div.facet-list");
    this.root = h("fieldset.facet", h("legend", options.title), this.list);
    this.isLong = false;
    parent.append(this.root);
  }

  /** counts: Map of value → number of rows; chosen: values that are ticked. */
  show(counts, chosen, order = null) {
    this.last = [counts, chosen, order];
    const { label = String, change, top = 8 } = this.options;
    const values = [...new Set([...(order ?? []), ...counts.keys(), ...chosen])];
    if (!order) values.sort((a, b) => counts.get(b) - counts.get(a) || String(a).localeCompare(String(b)));
    const shown = this.isLong ? values : values.filter((value, i) => i < top || chosen.includes(value));
    const focused = this.root.contains(document.activeElement) ? document.activeElement.value : null;
    fill(this.list, shown.map((value) => {
      const count = counts.get(value) ?? 0;
      const isOn = chosen.includes(value);
      return h("label", { className: count || isOn ? "" : "empty" },
        h("input", { type: "checkbox", checked: isOn, value: String(value), onchange: () => change(isOn ? chosen.filter((one) => one !== value) : [...chosen, value]) }),
        h("span.facet-label", label(value)), h("span.number", formatNumber(count)));
    }), values.length > top ? h("button.button.quiet.more", { type: "button", onclick: () => { this.isLong = !this.isLong; this.show(...this.last); } }, this.isLong ? "fewer" : `all ${values.length}`) : null);
    if (focused !== null) this.list.querySelector(`input[value="${CSS.escape(focused)}"]`)?.focus();
  }
}

/** Count the values of the rows that pass; `get` returns one value or several. */
export function countValues(length, keep, get) {
  const counts = new Map();
  for (let i = 0; i < length; i++) {
    const found = get(i);
    for (const value of Array.isArray(found) ? found : [found]) counts.set(value, (counts.get(value) ?? 0) + (keep(i) ? 1 : 0));
  }
  return counts;
}

/** A histogram of a column on which limits are dragged. */
export class Range {
  #bins = 44;

  constructor({ name, label, unit, values, change }) {
    Object.assign(this, { name, values, change });
    const finite = Array.from(values).filter(Number.isFinite).sort((a, b) => a - b);
    // a few outliers would leave one bar: the ends hold what lies beyond them
    const at = (q) => finite[Math.min(finite.length - 1, Math.floor(q * finite.length))] ?? 0;
    this.lo = at(0.005);
    this.hi = at(0.995) > this.lo ? at(0.995) : this.lo + 1;
    this.canvas = h("canvas", { "aria-hidden": "true", onpointerdown: (event) => this.#start(event), onpointermove: (event) => this.#drag(event), onpointerup: (event) => this.#end(event) });
    const field = (label) => h("input", { type: "number", step: "any", placeholder: label, "aria-label": `${name}, ${label}`, onchange: () => this.#typed() });
    this.fields = [field("at least"), field("at most")];
    this.root = h("fieldset.facet.range", h("legend", label ?? name, unit ? ` [${unit}]` : ""), this.canvas, h("div.range-ends", this.fields));
    new ResizeObserver(([{ contentRect }]) => { this.size = contentRect; this.draw(); }).observe(this.canvas);
  }

  show(keep, limits) {
    this.keep = keep;
    this.limits = limits ?? null;
    const [lo, hi] = limits ?? [-Infinity, Infinity];
    this.fields[0].value = Number.isFinite(lo) ? String(lo) : "";
    this.fields[1].value = Number.isFinite(hi) ? String(hi) : "";
    this.draw();
  }

  draw() {
    const { width, height } = this.size ?? {};
    if (!width || !this.keep) return;
    const all = new Int32Array(this.#bins), kept = new Int32Array(this.#bins);
    const scale = this.#bins / (this.hi - this.lo);
    const [lo, hi] = this.limits ?? [-Infinity, Infinity];
    for (let i = 0; i < this.values.length; i++) {
      const value = this.values[i];
      if (Number.isNaN(value) || !this.keep(i)) continue;
      const bin = Math.max(0, Math.min(this.#bins - 1, Math.floor((value - this.lo) * scale)));
      all[bin]++;
      if (value >= lo && value <= hi) kept[bin]++;
    }
    const s = new CanvasSurface(this.canvas, width, height);
    const t = theme();
    const most = Math.max(1, ...all), w = width / this.#bins, base = height - 14;
    for (let k = 0; k < this.#bins; k++) {
      const tall = (n) => (n ? Math.max(1.5, (base * Math.sqrt(n)) / Math.sqrt(most)) : 0);
      s.rect(k * w, base - tall(all[k]), Math.max(1, w - 1), tall(all[k]), { fill: t.line_strong, alpha: 0.6 });
      s.rect(k * w, base - tall(kept[k]), Math.max(1, w - 1), tall(kept[k]), { fill: t.accent });
    }
    s.line(0, base + 0.5, width, base + 0.5, { color: t.line_strong });
    const x = (v) => ((v - this.lo) / (this.hi - this.lo)) * width;
    for (const tick of niceTicks(this.lo, this.hi, 4)) {
      const label = formatNumber(tick);
      const half = s.measure(label, { size: 10 }) / 2;
      s.text(label, Math.max(half, Math.min(width - half, x(tick))), height - 1, { size: 10, align: "center", color: t.muted });
    }
    for (const end of [lo, hi]) if (Number.isFinite(end)) s.line(x(end), 0, x(end), base, { color: t.ink, width: 1.5 });
    if (this.from !== undefined && this.to !== undefined) s.rect(Math.min(this.from, this.to), 0, Math.abs(this.to - this.from), base, { fill: t.accent, alpha: 0.18 });
  }

  #start(event) { this.from = event.offsetX; this.to = undefined; this.canvas.setPointerCapture(event.pointerId); }
  #drag(event) { if (this.from === undefined) return; this.to = Math.max(0, Math.min(this.canvas.clientWidth, event.offsetX)); this.draw(); }
  #end() {
    const { from, to } = this;
    this.from = this.to = undefined;
    if (to === undefined || Math.abs(to - from) < 3) return this.change(-Infinity, Infinity);
    const value = (px) => Number((this.lo + (px / this.canvas.clientWidth) * (this.hi - this.lo)).toPrecision(3));
    const [a, b] = [Math.min(from, to), Math.max(from, to)];
    // dragged to an end means without that limit
    return this.change(a <= 2 ? -Infinity : value(a), b >= this.canvas.clientWidth - 2 ? Infinity : value(b));
  }
  #typed() {
    const read = ({ value }, none) => (value === "" ? none : Number(value));
    this.change(read(this.fields[0], -Infinity), read(this.fields[1], Infinity));
  }
}
