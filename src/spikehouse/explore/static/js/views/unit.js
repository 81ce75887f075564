import { ApiError } from "../api.js";
import { follow } from "../app.js";
import { formatNumber } from "../axes.js";
import { structureStyle } from "../colors.js";
import { choose, fill, h, numberField } from "../dom.js";
import { choice, list, number, range, text } from "../state.js";
import { parameterName } from "./unit/groups.js";
import { fieldPanel, waveformPanel } from "./unit/maps.js";
import { metricsPanel } from "./unit/metrics.js";
import { highest, rasterPanel } from "./unit/raster.js";
import { correlogramPanel, intervalsPanel, stabilityPanel } from "./unit/train.js";
import { FEW, collectCurves, starPanel, tunedStimuli, tuningPanel } from "./unit/tuning.js";

const PANELS = ["psth", "tuning", "star", "rf", "waveform", "metrics", "isi", "acg", "stability"];
// what is worth looking at first
const FIRST_STIMULI = ["flashes", "drifting_gratings", "static_gratings", "natural_scenes", "gabors"];
const FIRST_PARAMETERS = ["color", "orientation", "Dir", "level", "frame", "contrast", "x_position"];
const MOST_GROUPS = 200;
// of the animal, in which tuning is measured
const STATES = ["all", "running", "resting", "large_pupil", "small_pupil"];
const limits = { min: -60, max: 60 };

export const view = {
  title: ({ unit }) => `Unit ${unit}`,
  params: {
    v: choice(PANELS), align: text(), event: choice(["onset", "offset"]), only: text(), by: text(), order: text("time"), color: text(),
    win: range(null, null, limits), bin: number(null, { min: 0.0005, max: 60 }), smooth: number(0, { min: 0, max: 10 }), also: text(), state: choice(STATES), units: list(),
  },
  keys: [["j  k", "next or previous unit of the selection"], ["b", "group by the next parameter"], ["o", "order rows by the next column"], ["1 – 9", "enlarge a panel"], ["Esc", "shrink it again"], ["0", "window and bin as chosen for the stimulus"]],
  async mount(root, ctx) {
    const unit = new UnitView(root, ctx);
    await unit.start();
    return unit;
  },
};

class UnitView {
  #controller = new AbortController();
  #asked = {};
  #panels = {};
  #peak = new Map(); // panel → its highest rate, so that two PSTHs have one scale
  #shown = null;
  #absent = new Set(); // panels of what the session does not have
  #way = 1; // 1 or -1: which unit is probably next

  constructor(root, ctx) {
    Object.assign(this, { ctx });
    this.title = h("h1");
    this.facts = h("p.facts");
    this.place = h("span.small.muted");
    this.controls = h("div.controls");
    this.grid = h("div.unit-grid");
    this.main = h("div.unit-pair");
    this.missing = h("p.small.muted", { style: { marginTop: "12px" } });
    fill(root,
      h("div.view-head", h("div", this.title, this.facts),
        h("div.unit-steps", this.place,
          h("button.button", { onclick: () => this.step(-1), title: "Previous unit (k)" }, "Previous"),
          h("button.button", { onclick: () => this.step(1), title: "Next unit (j)" }, "Next"))),
      this.controls, this.grid, this.missing);
    this.#build();
  }

  #build() {
    const { ctx, grid, main } = this;
    const code = (name) => () => this.#asked[name] && ctx.code(...this.#asked[name].code);
    const raster = (name) => rasterPanel(main, { zoom: (from, to) => ctx.set({ win: [from, to].map((t) => Number(t.toPrecision(3))) }), code: code(name), peak: this.#peak });
    this.#panels.psth = raster("psth");
    this.makeSecond = () => raster("also");
    const make = { tuning: tuningPanel, star: starPanel, rf: fieldPanel, waveform: waveformPanel, metrics: metricsPanel, isi: intervalsPanel, acg: correlogramPanel, stability: stabilityPanel };
    grid.append(main);
    for (const [name, build] of Object.entries(make)) this.#panels[name] = build(grid, { code: code(name) });
    for (const name of PANELS) this.#addEnlarge(this.#panels[name], name);
  }

  #addEnlarge(panel, name) {
    panel.enlarge = h("button.button.quiet", { onclick: () => this.ctx.set({ v: this.ctx.state.v === name ? "psth" : name }) }, "Enlarge");
    panel.tools.prepend(panel.enlarge);
  }

  async start() {
    const { ctx } = this;
    const [choices, { units }] = await Promise.all([ctx.api("alignments"), ctx.api("units")]);
    Object.assign(this, { choices, ids: Array.from(units.ids), rates: units.columns.firing_rate });
    if (!this.ids.includes(Number(ctx.path.unit))) throw new ApiError(`This session has no unit ${ctx.path.unit} among the ${formatNumber(units.length)} that pass its filters.`, 404);
    // as in the population: the link says which units j and k go through
    const chosen = ctx.selection.get()?.ids ?? [];
    if (ctx.state.units.length) { if (ctx.state.units.join() !== chosen.join()) ctx.selection.set(ctx.state.units.map(Number), "chosen in the link"); }
    else if (chosen.length && chosen.length <= 150) await ctx.set({ units: chosen }, { replace: true });
    await this.move();
  }

  /** Go to the unit of the path without building the view again. */
  async move() {
    this.#end();
    this.#controller = new AbortController();
    this.#asked = {};
    this.#shown = Number(this.ctx.path.unit);
    this.title.textContent = `Unit ${this.ctx.path.unit}`;
    // what is still that of the unit before
    this.facts.textContent = "\u00a0";
    for (const panel of Object.values(this.#panels)) { panel.root.classList.add("stale"); panel.root.setAttribute("aria-busy", "true"); }
    this.#place();
    await this.update();
  }

  get #stimulus() { return this.ctx.state.align || this.#names.find((name) => FIRST_STIMULI.includes(name)) || this.#names.find((name) => name !== "spontaneous") || this.#names[0]; }
  get #names() {
    const names = this.choices.stimuli.columns.stimulus;
    return [...FIRST_STIMULI.filter((name) => names.includes(name)), ...names.filter((name) => !FIRST_STIMULI.includes(name))];
  }

  #parameters(stimulus) {
    const { columns, length } = this.choices.parameters;
    const found = Array.from({ length }, (_, i) => i).filter((i) => columns.stimulus[i] === stimulus);
    return found.map((i) => ({ name: columns.parameter[i], n: columns.n_values[i] }));
  }

  /** The parameters of `raster`, with what the link leaves open. */
  #ask(stimulus, only, event = this.ctx.state.event, unit = this.#shown) {
    const { state } = this.ctx;
    const { columns } = this.choices.stimuli;
    const at = columns.stimulus.indexOf(stimulus);
    const parameters = this.#parameters(stimulus);
    const usual = only ? undefined : [...parameters].filter(({ name, n }) => n <= MOST_GROUPS && FIRST_PARAMETERS.includes(name)).sort((a, b) => FIRST_PARAMETERS.indexOf(a.name) - FIRST_PARAMETERS.indexOf(b.name))[0];
    const known = [...parameters.map(({ name }) => name), "running_speed", "response"];
    const isSecond = stimulus !== this.#stimulus;
    // what was chosen for the first alignment may mean nothing for the second
    const by = state.by === "none" || (isSecond && state.by && !known.includes(state.by)) ? "" : state.by || usual?.name || "";
    const window = state.win ?? usualWindow(columns, at, only, parameters, event);
    const nGroups = parameters.find(({ name }) => name === by)?.n ?? 1;
    // whole repeats of a movie: as many as a frame was shown
    const nShown = columns.n_presentations[at] / ((only && parameters.find(({ name }) => name === only.split(":")[0])?.n) || 1);
    const spikesPerSecond = (this.rates?.[this.ids.indexOf(unit)] ?? NaN) * nShown;
    return {
      // what is as the recipe has it by itself stays out of the code
      unit_id: unit, align: stimulus, event: event === "onset" ? null : event, only, by,
      order: state.order === "time" || (isSecond && !known.includes(state.order)) ? null : state.order,
      window, bin: state.bin ?? usualBin(window, nGroups > 4 ? 70 : 140, spikesPerSecond), smoothing: state.smooth || null,
    };
  }

  async update() {
    const { state } = this.ctx;
    const mine = this.#controller;
    this.#arrange(state.v);
    this.#drawControls();
    if (state.also && !this.#panels.also) this.#panels.also = this.makeSecond();
    if (!state.also && this.#panels.also) { this.#peak.delete("also"); this.#panels.also.destroy(); delete this.#panels.also; delete this.#asked.also; }
    await Promise.all([this.#loadRaster("psth", this.#stimulus, state.only), state.also ? this.#loadRaster("also", ...this.#second) : null]);
    // the raster first: whoever holds j down sees nothing else
    await new Promise((resolve) => { setTimeout(resolve, 120); });
    if (mine.signal.aborted) return;
    await Promise.all(this.#loadRest());
    const { ids } = this.#list;
    const next = ids[ids.indexOf(this.#shown) + this.#way];
    // one unit ahead, but not over a network
    if (next !== undefined && this.#stimulus && !mine.signal.aborted && !this.ctx.page.stream) this.#api("raster", this.#ask(this.#stimulus, state.only, state.event, next), mine).catch(() => {});
  }

  // "flashes", or "flashes.offset": the other end of what the first is aligned to
  get #second() {
    const { also, only, event } = this.ctx.state;
    const [stimulus, end = event] = also.split(".");
    return [stimulus, stimulus === this.#stimulus ? only : "", end];
  }

  #loadRaster(name, stimulus, only, event = this.ctx.state.event) {
    const { color } = this.ctx.state;
    if (!stimulus) { this.#panels[name].message("This session has no stimuli, so there is nothing to align spikes to."); return undefined; }
    const params = this.#ask(stimulus, only, event);
    const { unit_id: unit, align, by, window } = params;
    return this.#load(name, "raster", params, (answer) => {
      const words = align.replaceAll("_", " ");
      const panel = this.#panels[name];
      panel.title.textContent = event === "onset" ? words : `${words}, offset`;
      this.#peak.set(name, highest(answer));
      // it shares the scale of rates
      this.#panels[name === "psth" ? "also" : "psth"]?.redraw();
      if (answer.n_spikes) return { answer, by, color, event, unit };
      panel.sub("");
      throw new ApiError(`Unit ${unit} fires no spike from ${window[0]} to ${window[1]} s around the ${formatNumber(answer.rows.length)} ${event}s of ${words}.`, 404);
    }, { more: color });
  }

  #loadRest() {
    const unit_id = this.#shown;
    const { v, state: during } = this.ctx.state;
    const state = during === "all" ? null : during;
    const names = this.#names;
    const all = (recipe, stimuli) => (own) => Promise.all(stimuli.map(async (stimulus) => [stimulus, await this.#api(recipe, { unit_id, stimulus, state }, own)]));
    const tuned = tunedStimuli(this.choices, { large: v === "tuning" });
    const starred = names.filter((name) => name !== "gabors" && this.#parameters(name).some((one) => ["orientation", "Dir"].includes(one.name))).slice(0, v === "star" ? 4 : 2);
    const unless = (words, isMissing, answer) => { if (isMissing) throw new ApiError(words, 404); return answer; };
    const few = `Unit ${unit_id} has fewer than two spikes.`;
    const without = (panel, words) => { this.#panels[panel].message(words); delete this.#asked[panel]; if (v !== panel) this.#leaveOut(panel); };
    const waveform = { unit_id, reach_um: v === "waveform" ? 200 : 80 };
    const loads = [
      this.#load("metrics", "metric_percentiles", { unit_id }, (answer) => { this.#describe(answer); return answer; })?.then(() => { if (this.#panels.metrics.data?.metrics.length === 0) without("metrics", "These units have no metrics."); }),
      tuned.length ? this.#load("tuning", "tuning", { unit_id, stimulus: tuned[0], state }, (answers) => ({ curves: collectCurves(answers, v === "tuning" ? MOST_GROUPS : FEW) }), { ask: all("tuning", tuned), more: tuned })
        : without("tuning", "This session has no stimulus with a parameter of few values, such as gratings."),
      starred.length ? this.#load("star", "star", { unit_id, stimulus: starred[0], state }, (stars) => ({ stars }), { ask: all("star", starred), more: starred })
        : without("star", "This session has no gratings or moving dots."),
      this.ctx.session.has_waveforms === false ? without("waveform", "This session has no mean waveforms.") : this.#load("waveform", "waveform", waveform),
      this.#load("isi", "interspike_intervals", { unit_id }, (answer) => unless(few, !answer.n_intervals, answer)),
      this.#load("acg", "autocorrelogram", { unit_id }, (answer) => unless(few, answer.n_spikes < 2, answer)),
      this.#load("stability", "stability", { unit_id, bin: [1, 2, 5, 10].find((bin) => bin * 150 >= this.ctx.session.duration) }),
    ];
    // last, because its permutations would keep the others waiting
    loads.push(names.includes("gabors") ? this.#load("rf", "receptive_field", { unit_id }) : without("rf", "This session has no gabors, which receptive fields are mapped with."));
    return loads;
  }

  #api(recipe, params, { signal }) { return this.ctx.api(recipe, params, { signal }); }

  // each question once: a changed parameter asks only what it changes, and ends what was asked before
  #load(name, recipe, params, into, { ask, more } = {}) {
    const key = JSON.stringify([recipe, params, more]);
    const before = this.#asked[name];
    if (before?.key === key) return undefined;
    before?.controller.abort();
    const controller = new AbortController();
    this.#asked[name] = { key, controller, code: [recipe, params] };
    return this.#panels[name].load(ask ? ask(controller) : this.#api(recipe, params, controller), into);
  }

  #describe({ structure, probe, probe_id: id, probe_vertical_position: up, n_spikes: n }) {
    const { link } = this.ctx;
    const style = structure && structureStyle(structure);
    fill(this.facts,
      structure ? h("span", { title: style.name }, h("i.swatch", { style: { background: style.color, display: "inline-block", marginRight: "6px" } }), structure) : probe === null ? null : h("span", "no structure"),
      probe === null ? null : id === null ? h("span", probe) : h("a", { href: link("p", id), onclick: follow }, probe),
      up === null ? null : h("span", `${formatNumber(up)} µm from the tip`), h("span", `${formatNumber(n)} spikes`));
  }

  /** Give the place of a panel to the others, and say why. */
  #leaveOut(name) {
    if (this.#absent.has(name)) return;
    this.#absent.add(name);
    this.large = null;
    this.#arrange(this.ctx.state.v);
  }

  // the large panel changes places with the raster
  #arrange(large) {
    if (this.large === large) return;
    this.large = large;
    const order = PANELS.filter((name) => name === large || !this.#absent.has(name)).map((name) => (name === large ? "psth" : name === "psth" ? large : name));
    this.grid.dataset.n = String(order.length);
    const roots = order.map((name) => (name === "psth" ? this.main : this.#panels[name].root));
    roots.forEach((root, slot) => { root.dataset.slot = String(slot); });
    fill(this.grid, roots);
    fill(this.missing, [...this.#absent].filter((name) => !order.includes(name)).map((name) => this.#panels[name].root.querySelector(".message").textContent).join(" "));
    for (const name of PANELS) {
      this.#panels[name].enlarge.hidden = name === large && name === "psth";
      this.#panels[name].enlarge.textContent = name === large ? "Shrink" : "Enlarge";
    }
  }

  #drawControls() {
    const { state, set } = this.ctx;
    const { controls } = this;
    const focused = [...controls.querySelectorAll("select, input, button")].indexOf(document.activeElement);
    const stimulus = this.#stimulus;
    controls.hidden = !stimulus;
    if (!stimulus) return;
    const asked = this.#ask(stimulus, state.only);
    const movies = this.#names.filter((name) => name.startsWith("natural_movie") && !name.endsWith("shuffled"));
    const words = (name) => name.replaceAll("_", " ");
    // what the link asks for is among the choices, also where the session does not have it
    const withOwn = (options, own) => (options.some(([value]) => value === own) ? options : [...options, [own, `${words(own)} (not here)`]]);
    const stimuli = this.#names.flatMap((name) => [[name, words(name)], ...(movies.includes(name) ? [[`${name}|frame:0`, `${words(name)}, whole repeats`]] : [])]);
    const columns = [...this.#parameters(stimulus).map(({ name }) => [name, parameterName(name)]), ["running_speed", "running speed"], ["response", "response"]];
    const toMs = (seconds) => Number((1000 * seconds).toPrecision(4));
    const other = state.event === "onset" ? "offset" : "onset";
    const aligned = state.only ? `${stimulus}|${state.only}` : stimulus;
    fill(controls,
      choose("Align", withOwn(stimuli, aligned), aligned, (value) => { const [align, only = ""] = value.split("|"); set({ align, only, by: "", win: null, bin: null, color: "", order: "time" }); }),
      choose("at", ["onset", "offset"], state.event, (event) => set({ event, win: null })),
      choose("Group", withOwn([["none", "nothing"], ...columns], asked.by || "none"), asked.by || "none", (by) => set({ by })),
      choose("Order", withOwn([["time", "time"], ...columns], state.order), state.order, (order) => set({ order })),
      choose("Colour", withOwn([["", "group"], ...columns], state.color), state.color, (color) => set({ color })),
      h("span.unit-window", numberField("Window", asked.window[0], (from) => set({ win: [from, asked.window[1]] }), { max: asked.window[1], ...limits }),
        numberField("to", asked.window[1], (to) => set({ win: [asked.window[0], to] }), { min: asked.window[0], unit: "s" })),
      numberField("Bin", toMs(asked.bin), (bin) => set({ bin: bin / 1000 }), { min: 0.5, unit: "ms" }),
      numberField("Smooth", toMs(state.smooth), (smooth) => set({ smooth: smooth / 1000 }), { min: 0, unit: "ms" }),
      choose("Beside", withOwn([["", "nothing"], [`${stimulus}.${other}`, `${words(stimulus)}, ${other}`], ...this.#names.filter((name) => name !== stimulus).map((name) => [name, words(name)])], state.also), state.also, (also) => set({ also })),
      choose("Tuning while", STATES.map((name) => [name, name === "all" ? "any" : words(name)]), state.state, (during) => set({ state: during })));
    if (focused >= 0) controls.querySelectorAll("select, input, button")[focused]?.focus();
  }

  get #list() {
    const chosen = this.ctx.selection.get();
    return chosen?.ids.length ? chosen : { ids: this.ids, label: "all units" };
  }

  #place() {
    const { ids, label } = this.#list;
    const at = ids.indexOf(this.#shown);
    this.place.textContent = `${at < 0 ? "not among the" : `${formatNumber(at + 1)} of`} ${formatNumber(ids.length)}${label ? ` · ${label}` : ""}`;
  }

  step(by) {
    this.#way = by;
    const { ids } = this.#list;
    const at = ids.indexOf(this.#shown);
    const next = ids[at < 0 ? 0 : at + by];
    if (next === undefined) this.ctx.notice(`This is the ${by > 0 ? "last" : "first"} unit of the selection.`);
    else this.ctx.go(this.ctx.link("u", next) + location.search, { replace: true });
  }

  onKey({ key }) {
    const { state, set } = this.ctx;
    const next = (options, value) => options[(options.indexOf(value) + 1) % options.length];
    const columns = [...this.#parameters(this.#stimulus).map(({ name }) => name), "running_speed", "response"];
    if (key === "j" || key === "k") this.step(key === "j" ? 1 : -1);
    else if (key === "b") set({ by: next([...columns, "none"], this.#ask(this.#stimulus, state.only).by || "none") });
    else if (key === "o") set({ order: next(["time", ...columns], state.order) });
    else if (key === "0") set({ win: null, bin: null });
    else if (PANELS[key - 1]) set({ v: PANELS[key - 1] });
    else return false;
    return true;
  }

  #end() {
    this.#controller.abort();
    for (const { controller } of Object.values(this.#asked)) controller.abort();
  }

  destroy() {
    this.#end();
    for (const panel of Object.values(this.#panels)) panel.destroy();
  }
}

/** The window around a stimulus: a part of its length before it, and time for what follows it. */
function usualWindow({ duration, interval }, at, only, parameters, event) {
  if (at < 0) return [-0.1, 0.5];
  const frames = parameters.find(({ name }) => name === "frame")?.n;
  if (only && frames) return [0, Math.min(60, Math.ceil(frames * interval[at]))];
  const length = duration[at];
  const round = (seconds) => Number(seconds.toPrecision(2));
  const [before, after] = [Math.min(0.5, Math.max(0.1, 0.25 * length)), Math.min(1, Math.max(0.25, 0.5 * length))];
  return event === "onset" ? [round(-before), round(Math.min(59, length + after))] : [round(-Math.min(59, length + before)), round(after)];
}

/** Bins of a round width, at most so many, and wider where a unit fires too little for 5 spikes in each. */
function usualBin([from, to], most, spikesPerSecond) {
  const raw = (to - from) / most;
  const power = 10 ** Math.floor(Math.log10(raw));
  const steps = [0.0005, 0.005, 0.01, 0.02, 0.05].filter((bin) => 10 * bin <= to - from);
  const filled = steps.find((bin) => !(bin * spikesPerSecond < 5)) ?? steps.at(-1) ?? 0;
  return Math.max(0.0005, filled, Number((power * [1, 2, 2.5, 5, 10].find((step) => step * power >= raw)).toPrecision(3)));
}
