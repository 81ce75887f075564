import { axes, colorBar, extent, formatNumber } from "../axes.js";
import { category, paint, structureStyle, theme } from "../colors.js";
import { choose, fill, h, numberField } from "../dom.js";
import { Panel } from "../panel.js";
import { choice, integer, list, range, text } from "../state.js";

const DECODERS = { "poisson-naive-bayes": "Poisson naive Bayes", lda: "linear discriminant", ridge: "ridge", "linear-svc": "linear SVC", svc: "SVC (radial)" };
const FOLDS = { kfold: "5 successive", stratified: "5 shuffled", blocked: "whole blocks" };
const FIRST = ["natural_scenes", "drifting_gratings", "static_gratings", "flashes"];
const ASK_ABOVE = 5; // seconds: longer decodings begin when the user says so
const N_DRAWS = 5;
const BIN = 0.05;
// seconds for five folds of n presentations, u units and k classes, measured on two cores
const SECONDS = {
  "poisson-naive-bayes": (n, u, k) => 1.4e-9 * n * u * k, lda: (n, u, k) => 5e-9 * n * u * u + 5e-6 * n * k,
  ridge: (n, u, k) => 6e-9 * n * u * (u + k), "linear-svc": (n, u, k) => 6e-7 * n * u * k, svc: (n, u, k) => 2.8e-9 * n * n * u + 3e-5 * k * k,
};

const spaced = (name) => name.replaceAll("_", " ");
const seconds = (s) => (s < 10 ? `${formatNumber(s, 2)} s` : s < 100 ? `${Math.round(s)} s` : `${Math.round(s / 60)} min`);

/** How well spikes tell what was shown. */
export const view = {
  title: () => "Decoding",
  params: {
    stim: text(""), label: text(""), win: range(null), structures: list(), decoder: choice(Object.keys(DECODERS)),
    folds: choice(Object.keys(FOLDS)), shuffles: integer(20, { min: 1, max: 1000 }),
  },
  keys: [["r", "run everything that waits"], ["Esc", "cancel what runs"]],
  async mount(root, ctx) {
    const choices = await ctx.api("decoding_choices");
    if (!choices.labels.length) {
      fill(root, h("h1", "Decoding"), h("p.muted", { style: { marginTop: "8px" } }, "Nothing can be decoded: no stimulus of this session has a parameter with values that come several times."));
      return {};
    }
    return new Decoding(root, ctx, choices);
  },
};

class Decoding {
  constructor(root, ctx, choices) {
    const labels = choices.labels.columns;
    const rows = Array.from(labels.stimulus, (stimulus, i) => ({ stimulus, label: labels.label[i], n_values: labels.n_values[i], n: labels.n_presentations[i], shortest: labels.shortest[i] }));
    Object.assign(this, { root, ctx, choices, rows, jobs: [] });
    this.facts = h("p.facts");
    this.controls = h("div.controls");
    this.areas = h("div.blocks", { role: "group", "aria-label": "Structures" });
    const grid = h("div.grid");
    fill(root, h("div.view-head", h("div", h("h1", "Decoding"), this.facts)), this.controls, this.areas, grid);
    const add = (title, recipe, className, parameters, factor, options) => {
      const panel = new Panel(grid, { title, className, code: () => ctx.code(recipe, this.ask(parameters)), ...options });
      this.jobs.push(new Job(panel, () => this.estimate(factor), (signal) => ctx.api(recipe, this.ask(parameters), { signal }), () => this.address(recipe, parameters)));
      return panel;
    };
    const confusion = add("Confusion", "decode_confusion", "span-5 confusion", {}, () => 1, { draw: (s, d) => this.paintConfusion(s, d), hover: pointConfusion,
      describe: (d) => `${formatNumber(d.accuracy)} of ${d.n_presentations} presentations are decoded rightly; chance is ${formatNumber(d.chance)}.`,
      csv: (d) => ({ actual: d.labels, ...Object.fromEntries(d.labels.map((name, c) => [`predicted ${name}`, d.labels.map((_, r) => d.confusion[r * d.labels.length + c])])) }) });
    this.jobs[0].done = (d) => confusion.sub(`${formatNumber(100 * d.accuracy)} % right; chance ${formatNumber(100 * d.chance, 2)} %${d.notes ? `; ${d.notes}` : ""}`);
    const over = () => ({ window: this.reach(), bin: BIN });
    const time = add("Over time", "decoding_over_time", "span-7", over, () => Math.round((this.reach()[1] - this.reach()[0]) / BIN), { draw: (s, d) => this.paintTime(s, d), hover: pointTime,
      sub: "", describe: (d) => `Accuracy in ${d.starts.length} windows of ${1000 * BIN} ms.`, csv: (d) => ({ start: d.starts, stop: d.stops, ...columns(d.accuracies, d.starts.length, "fold") }) });
    this.jobs[1].done = (d) => time.sub(`windows of ${1000 * BIN} ms from the onset; band: from the worst to the best fold${d.notes ? `; ${d.notes}` : ""}`);
    const chance = add("Against shuffled labels", "decoding_chance", "span-7", () => ({ n_resamples: ctx.state.shuffles }), () => ctx.state.shuffles + 1, { draw: (s, d) => this.paintChance(s, d),
      describe: (d) => `Accuracy ${formatNumber(d.accuracy)}, of ${d.shuffled.length} shuffles ${formatNumber(mean(d.shuffled))} on average.`, csv: (d) => ({ shuffle: Array.from(d.shuffled.keys()), accuracy: d.shuffled }) });
    this.jobs[2].done = (d) => {
      const sd = Math.sqrt(mean(Float64Array.from(d.shuffled, (v) => (v - mean(d.shuffled)) ** 2)));
      chance.sub(`shuffled ${formatNumber(mean(d.shuffled))} ± ${formatNumber(sd, 2)} (SD of ${d.shuffled.length}); p = ${formatNumber(d.p_value, 2)}`);
    };
    const draws = () => ({ n_draws: N_DRAWS });
    const alike = () => ({ n_draws: N_DRAWS, min_units: this.smallest });
    const units = add("By number of units", "decoding_by_units", "span-6", draws, (u) => N_DRAWS * steps(u).reduce((sum, n) => sum + this.cost(n) / this.cost(u), 0), { draw: (s, d) => this.paintUnits(s, d), hover: pointUnits,
      describe: (d) => `Accuracy of ${d.n_units.join(", ")} units.`, csv: (d) => ({ n_units: d.n_units, ...columns(d.accuracies, d.n_units.length, "draw") }) });
    this.jobs[3].done = () => units.sub(`mean and ${N_DRAWS} random draws of units`);
    const area = add("By structure", "decoding_by_area", "span-6", alike, (u) => (N_DRAWS * this.large().length * this.cost(Math.min(...this.large(), u))) / this.cost(u), { draw: (s, d) => this.paintAreas(s, d),
      describe: (d) => `Accuracy of ${d.n_units} units of each of ${d.structures.length} structures.`, csv: (d) => ({ structure: d.structures, n_units_available: d.n_units_available, ...columns(d.accuracies, d.structures.length, "draw") }) });
    if (choices.structures.length < 2) { this.jobs.pop().destroy(); units.root.classList.replace("span-6", "span-12"); units.place.style.minHeight = "280px"; }
    // a line for each structure, and the axis
    else this.jobs[4].done = (d) => { area.place.style.minHeight = `${Math.max(280, 18 * d.structures.length + 48)}px`; area.sub(`${d.n_units} units of each, ${N_DRAWS} draws${d.notes ? `; ${d.notes}` : ""}`); };
    this.update();
  }

  // ---- what is asked

  get chosen() {
    const { stim, label } = this.ctx.state;
    const names = [...new Set(this.rows.map(({ stimulus }) => stimulus))];
    const stimulus = names.includes(stim) ? stim : FIRST.find((name) => names.includes(name)) ?? names[0];
    const own = this.rows.filter((row) => row.stimulus === stimulus);
    const usual = ["frame", "orientation", "color"].map((name) => own.find((row) => row.label === name)).find(Boolean) ?? own[0];
    return { names, own, row: own.find((row) => row.label === label) ?? usual };
  }

  get window() {
    // to the end of the presentation, but no longer than answers last
    return this.ctx.state.win ?? [0, Number(Math.min(this.chosen.row.shortest, 2).toFixed(3))];
  }

  /** The windows over time: from before the onset to after the end of the counts. */
  reach() {
    const stop = Math.min(this.window[1] + 0.15, 2.5);
    return [-0.1, Number((Math.max(1, Math.round((stop + 0.1) / BIN)) * BIN - 0.1).toFixed(3))];
  }

  ask(more) {
    const { state } = this.ctx;
    const { row } = this.chosen;
    return { stimulus: row.stimulus, label: row.label, window: this.window, structures: state.structures, decoder: state.decoder, folds: state.folds, ...(typeof more === "function" ? more() : more) };
  }

  address(recipe, more) { return this.ctx.code(recipe, this.ask(more)); }

  get n_units() {
    const { structures, n_units, n_units_in_all } = this.choices;
    const { state } = this.ctx;
    return state.structures.length ? structures.reduce((sum, name, i) => sum + (state.structures.includes(name) ? n_units[i] : 0), 0) : n_units_in_all;
  }

  /** Numbers of units of the structures that are large enough to be compared. */
  large(least = this.smallest) {
    const { structures, n_units } = this.choices;
    const { state } = this.ctx;
    return Array.from(n_units).filter((n, i) => n >= least && (!state.structures.length || state.structures.includes(structures[i])));
  }

  // in a small recording two structures of a few units are better than none to compare with
  get smallest() { return [10, 5, 3].find((least) => this.large(least).length > 1) ?? 1; }

  cost(units) {
    const { row } = this.chosen;
    return SECONDS[this.ctx.state.decoder](row.n, Math.max(units, 1), row.n_values);
  }

  estimate(factor) { return 0.3 + this.cost(this.n_units) * factor(this.n_units); }

  // ---- the page

  update() {
    const { ctx } = this;
    this.drawControls();
    const { row } = this.chosen;
    const facts = [`${spaced(row.stimulus)}: ${spaced(row.label)}, ${formatNumber(row.n_values)} classes`, `${formatNumber(row.n)} presentations`, `${formatNumber(this.n_units)} units`, `chance ${formatNumber(100 / row.n_values, 2)} %`];
    fill(this.facts, facts.map((words) => h("span", words)));
    // the first alone begins by itself
    this.jobs.forEach((job, i) => job.ready(i === 0));
    return ctx;
  }

  drawControls() {
    const { ctx, choices } = this;
    const { names, own, row } = this.chosen;
    const [a, b] = this.window;
    fill(this.controls,
      choose("Stimulus", names.map((name) => [name, spaced(name)]), row.stimulus, (stim) => ctx.set({ stim, label: "", win: null })),
      choose("Decode", own.map(({ label, n_values }) => [label, `${spaced(label)} (${n_values})`]), row.label, (label) => ctx.set({ label })),
      numberField("Spikes from", a, (from) => ctx.set({ win: [from, Math.max(b, from + 0.01)] }), { min: -1, max: 10, step: 0.01 }),
      numberField("to", b, (to) => ctx.set({ win: [Math.min(a, to - 0.01), to] }), { min: -1, max: 10, step: 0.01, unit: "s" }),
      choose("Decoder", Object.entries(DECODERS), ctx.state.decoder, (decoder) => ctx.set({ decoder })),
      choose("Folds", Object.entries(FOLDS), ctx.state.folds, (folds) => ctx.set({ folds })),
      h("button.button", { onclick: () => this.runAll(), title: "Run everything that waits (r)" }, "Run all"));
    const toggle = (name) => ctx.set({ structures: ctx.state.structures.includes(name) ? ctx.state.structures.filter((one) => one !== name) : [...ctx.state.structures, name] });
    this.areas.hidden = !choices.structures.length;
    fill(this.areas,
      h("button.button.block", { "aria-pressed": String(!ctx.state.structures.length), onclick: () => ctx.set({ structures: [] }) }, "All structures"),
      choices.structures.map((name, i) => h("button.button.block", { "aria-pressed": String(ctx.state.structures.includes(name)), title: structureStyle(name).name, onclick: () => toggle(name) },
        h("span.swatch", { style: { background: structureStyle(name).color } }), name, h("span.muted", formatNumber(choices.n_units[i])))));
  }

  runAll() { this.jobs.forEach((job) => job.run()); }

  onKey({ key }) {
    if (key === "r") this.runAll();
    else if (key === "Escape" && this.jobs.some((job) => job.controller)) this.jobs.forEach((job) => job.cancel());
    else return false;
    return true;
  }

  // ---- drawings

  paintConfusion(s, d) {
    const t = theme();
    const n = d.labels.length;
    const named = n <= 20;
    const format = (value) => (typeof value === "number" ? formatNumber(value) : String(value));
    const margin = named ? Math.min(90, Math.max(...d.labels.map((label) => s.measure(format(label), { size: 11 }))) + 16) : 44;
    const side = Math.max(40, Math.min(s.width - margin - 52, s.height - 26 - 40));
    const box = { x: margin, y: 26, width: side, height: side };
    const shares = new Float32Array(n * n);
    for (let r = 0; r < n; r++) {
      let total = 0;
      for (let c = 0; c < n; c++) total += d.confusion[r * n + c];
      for (let c = 0; c < n; c++) shares[r * n + c] = total ? d.confusion[r * n + c] / total : NaN;
    }
    const hi = Math.max(extent(shares)[1], 1e-9);
    s.image(paint(shares, n, n, 0, hi), n, n, box.x, box.y, side, side);
    s.rect(box.x, box.y, side, side, { stroke: t.line });
    s.text("actual", 0, 11, { color: t.ink_2 });
    s.text("predicted", box.x + side, box.y + side + 33, { color: t.ink_2, align: "right" });
    const step = named ? 1 : [2, 5, 10, 20, 50, 100, 200, 500, 1000].find((k) => n / k <= 8) ?? Math.ceil(n / 8);
    let right = -Infinity;
    const whole = step > 1 && d.labels.every(Number.isInteger);
    for (let k = 0; k < n; k++) {
      if (whole ? d.labels[k] % step : k % step) continue;
      const at = ((k + 0.5) * side) / n, words = format(d.labels[k]), half = s.measure(words, { size: 11 }) / 2;
      if (side / n * step >= 11) s.text(words, box.x - 8, box.y + at, { color: t.muted, align: "right", baseline: "middle" });
      if (box.x + at - half > right + 6) { s.text(words, box.x + at, box.y + side + 16, { color: t.muted, align: "center" }); right = box.x + at + half; }
    }
    colorBar(s, { x: box.x + side + 12, y: box.y, height: Math.min(160, side), lo: 0, hi, paintBar: (v) => paint(v, 128, 1, 0, 1) });
    return { box, sx: Object.assign((v) => v, { invert: (v) => v }), n, shares };
  }

  accuracyAxes(s, d, x, extra = {}) {
    const top = Math.min(1, Math.max(extent(d.accuracies)[1], 2 * d.chance) * 1.08);
    const plot = axes(s, { x, y: { domain: [0, top], label: "fraction right" }, ...extra });
    const y = plot.sy(d.chance);
    s.line(plot.box.x, y, plot.box.x + plot.box.width, y, { color: theme().ink_2, dash: [4, 4] });
    s.text("chance", plot.box.x + plot.box.width - 2, y - 5, { color: theme().muted, align: "right" });
    return plot;
  }

  paintTime(s, d) {
    const n = d.starts.length, folds = d.accuracies.length / n;
    const plot = this.accuracyAxes(s, d, { domain: [1000 * d.starts[0], 1000 * d.stops[n - 1]], label: "centre of the window, ms from onset" });
    const { sx, sy, box } = plot;
    const { row } = this.chosen;
    const [x0, x1] = [sx(0), Math.min(sx(1000 * row.shortest), box.x + box.width)];
    s.rect(x0, box.y + box.height - 3, x1 - x0, 3, { fill: theme().line_strong });
    const xs = Array.from(d.starts, (start, i) => sx(500 * (start + d.stops[i])));
    const at = (pick) => xs.map((_, i) => sy(pick(d.accuracies.subarray(i * folds, (i + 1) * folds))));
    s.band(xs, at((v) => Math.min(...v)), at((v) => Math.max(...v)), { color: category(0), alpha: 0.18 });
    s.polyline(xs, at(mean), { color: category(0), width: 2 });
    xs.forEach((x, i) => s.circle(x, at(mean)[i], 2.5, { fill: category(0) }));
    return plot;
  }

  paintChance(s, d) {
    const t = theme();
    const hi = Math.min(1, Math.max(d.accuracy, extent(d.shuffled)[1]) * 1.1);
    const plot = axes(s, { x: { domain: [0, hi], label: "fraction right" }, y: { domain: [0, 1], hide: true }, grid: false, top: 26 });
    const { sx, box } = plot;
    const base = box.y + box.height;
    // dots of one place stand on each other
    const stacks = new Map();
    for (const value of [...d.shuffled].sort((a, b) => a - b)) {
      const column = Math.round(sx(value) / 7);
      const height = stacks.set(column, (stacks.get(column) ?? 0) + 1).get(column);
      s.circle(column * 7, base - 1 - Math.min(height * 7 - 3.5, box.height), 3, { fill: t.muted });
    }
    const x = sx(d.accuracy);
    s.line(x, box.y, x, base, { color: category(0), width: 2 });
    const right = x > box.x + box.width / 2;
    s.text(`true labels ${formatNumber(d.accuracy)}`, x + (right ? -6 : 6), box.y + 8, { color: category(0), align: right ? "right" : "left" });
    return plot;
  }

  paintUnits(s, d) {
    const n = d.n_units.length, draws = d.accuracies.length / n;
    const plot = this.accuracyAxes(s, d, { domain: [0.8, d.n_units[n - 1] * 1.2], log: true, label: "units (logarithmic)", ticks: Array.from(d.n_units) });
    const { sx, sy } = plot;
    const xs = Array.from(d.n_units, sx);
    for (let i = 0; i < n; i++) for (let k = 0; k < draws; k++) s.circle(xs[i], sy(d.accuracies[i * draws + k]), 2, { fill: category(0), alpha: 0.45 });
    s.polyline(xs, xs.map((_, i) => sy(mean(d.accuracies.subarray(i * draws, (i + 1) * draws)))), { color: category(0), width: 2 });
    return plot;
  }

  paintAreas(s, d) {
    const t = theme();
    const n = d.structures.length, draws = d.accuracies.length / n;
    const rows = d.structures.map((name, i) => ({ name, own: d.accuracies.subarray(i * draws, (i + 1) * draws), available: d.n_units_available[i] })).sort((a, b) => mean(b.own) - mean(a.own));
    const top = Math.min(1, Math.max(extent(d.accuracies)[1], 2 * d.chance) * 1.05);
    const plot = axes(s, { x: { domain: [0, top], label: "fraction right" }, y: { domain: [0, 1], hide: true }, grid: false, left: 72, top: 8, right: 56 });
    const { sx, box } = plot;
    const step = Math.min(28, box.height / n);
    s.line(sx(d.chance), box.y, sx(d.chance), box.y + box.height, { color: t.ink_2, dash: [4, 4] });
    rows.forEach(({ name, own, available }, i) => {
      const y = box.y + (i + 0.5) * step;
      const { color, pattern } = structureStyle(name);
      s.line(box.x, y, box.x + box.width, y, { color: t.line });
      s.patterned(box.x - 14, y - Math.min(6, step / 2 - 1), 8, Math.min(12, step - 2), { fill: color, pattern });
      s.text(name, box.x - 20, y, { color: t.ink_2, align: "right", baseline: "middle", size: Math.min(11, step) });
      for (const value of own) s.circle(sx(value), y, 2.5, { fill: category(0), alpha: 0.5 });
      s.line(sx(mean(own)), y - 6, sx(mean(own)), y + 6, { color: category(0), width: 2.5 });
      s.text(`of ${available}`, box.x + box.width + 8, y, { color: t.muted, size: 10, baseline: "middle" });
    });
    return plot;
  }

  restyle() { this.drawControls(); }

  destroy() { this.jobs.forEach((job) => job.destroy()); }
}

/** A panel whose answer takes long: asks before it begins, says how long it has run, can be cancelled. */
class Job {
  constructor(panel, estimate, start, address) { Object.assign(this, { panel, estimate, start, address, kept: new Set() }); }

  /** Begin, or offer to, if the question has changed. */
  ready(byItself) {
    const asked = this.address();
    if (asked === this.asked) return;
    this.stop();
    this.asked = asked;
    this.panel.sub("");
    const needed = this.estimate();
    if ((!byItself || needed > ASK_ABOVE) && !this.kept.has(asked)) this.offer(`This takes about ${seconds(needed)}.`, "Run");
    else this.run();
  }

  offer(words, label) {
    this.waits = true;
    this.panel.message([h("p", { style: { marginBottom: "8px" } }, words), h("button.button", { onclick: () => this.run() }, label)]);
  }

  async run() {
    if (this.controller || (!this.waits && this.panel.data && this.shown === this.asked)) return;
    const { asked, panel } = this;
    const controller = (this.controller = new AbortController());
    let since = null;
    this.waits = false;
    const clock = h("span");
    // an answer from memory needs no clock
    this.timer = setInterval(() => {
      if (!clock.isConnected) panel.message([h("p", { style: { marginBottom: "8px" } }, clock), h("button.button", { onclick: () => this.cancel() }, "Cancel")]);
      const about = this.estimate() > 2 ? ` of about ${seconds(this.estimate())}` : "";
      clock.textContent = since === null ? "Waits for another decoding to end." : `Decoding: ${((performance.now() - since) / 1000).toFixed(1)} s${about}`;
    }, 200);
    const leave = await enter();
    try {
      if (this.controller !== controller) return;
      since = performance.now();
      const data = await this.start(controller.signal);
      if (this.controller !== controller) return;
      this.stop();
      this.kept.add(asked);
      this.shown = asked;
      panel.show(data);
      this.done?.(data);
    } catch (error) {
      if (this.controller !== controller) return;
      this.stop();
      if (error.name !== "AbortError") panel.message(error.message, { bad: !(error.status >= 400 && error.status < 500) });
    } finally {
      leave();
    }
  }

  stop() {
    clearInterval(this.timer);
    const { controller } = this;
    this.controller = null;
    controller?.abort();
  }

  cancel() {
    if (!this.controller) return;
    this.stop();
    this.offer("Cancelled.", "Run again");
  }

  destroy() { this.stop(); this.panel.destroy(); }
}

// the server runs two at a time; others would only block the browser's connections to it
let free = 2;
const queue = [];

/** Wait for a turn; returns what ends it. */
async function enter() {
  if (free > 0) free--;
  else await new Promise((resolve) => { queue.push(resolve); });
  return () => { if (queue.length) queue.shift()(); else free++; };
}

const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
const columns = (values, n, name) => Object.fromEntries(Array.from({ length: values.length / n }, (_, k) => [`${name}_${k}`, Array.from({ length: n }, (_, i) => values[i * (values.length / n) + k])]));
const steps = (n) => [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000].filter((k) => k < n).concat(n);

function pointConfusion(d, { box, n, shares }, x, y) {
  const c = Math.floor(((x - box.x) / box.width) * n), r = Math.floor(((y - box.y) / box.height) * n);
  if (r < 0 || r >= n || c < 0 || c >= n) return null;
  const size = box.width / n;
  return {
    lines: [`${d.labels[r]} decoded as ${d.labels[c]}`, `${d.confusion[r * n + c]} presentations, ${formatNumber(100 * shares[r * n + c])} % of ${d.labels[r]}`],
    mark: (s) => s.rect(box.x + c * size, box.y + r * size, Math.max(size, 2), Math.max(size, 2), { stroke: theme().ink }),
  };
}

function pointTime(d, { box, sx }, x) {
  const i = d.starts.findIndex((start, k) => sx(1000 * start) <= x && x < sx(1000 * d.stops[k]));
  if (i < 0 || x < box.x) return null;
  const folds = d.accuracies.length / d.starts.length, own = d.accuracies.subarray(i * folds, (i + 1) * folds);
  return { lines: [`${formatNumber(1000 * d.starts[i])} to ${formatNumber(1000 * d.stops[i])} ms`, `${formatNumber(mean(own))} right; folds ${Array.from(own, (v) => formatNumber(v)).join(", ")}`] };
}

function pointUnits(d, { sx }, x) {
  const n = d.n_units.length, draws = d.accuracies.length / n;
  const i = Array.from(d.n_units, (k) => Math.abs(sx(k) - x)).reduce((best, gap, k, all) => (gap < all[best] ? k : best), 0);
  const own = d.accuracies.subarray(i * draws, (i + 1) * draws);
  return { lines: [`${d.n_units[i]} units`, `${formatNumber(mean(own))} right on average of ${draws} draws`, `from ${formatNumber(Math.min(...own))} to ${formatNumber(Math.max(...own))}`] };
}
