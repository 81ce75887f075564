import { axes, formatBytes, formatNumber, formatTime, timeTicks } from "../axes.js";
import { category, colormap, paint, structureStyle, theme } from "../colors.js";
import { choose, fill, h } from "../dom.js";
import { Cursor, Panel } from "../panel.js";
import { choice, integer, list, range } from "../state.js";
import { TimeSeries } from "../timeseries.js";

const ORDERS = { depth: "depth", area: "structure", waveform: "waveform", latency: "latency to flashes", rate: "firing rate", component: "first component" };
// without probes there is neither a depth nor a structure to go by
const UNPLACED = { depth: "unit id", waveform: ORDERS.waveform, latency: ORDERS.latency, rate: ORDERS.rate, component: ORDERS.component };
const SCALED = { rate: "", z: "; z-score over this window", max: "; fraction of each unit's maximum in this window" };
const VALUES = { rate: "spikes/s, log", z: "z-score", max: "fraction of maximum" };
const TICKS_BELOW = 10; // seconds: below, single spikes
const LFP_BELOW = 20;
const SHORTEST = 1;
const IN_LINK = 150; // units: more would make a link too long
const MOST_COUNTS = 1.15e6; // two bytes each, in an answer of 2.5 MB
const WAVEFORMS = ["regular", "fast", "–"]; // in the order of their colours
const STRIP = 26; // height of the stimuli above the units

const spaced = (name) => name.replaceAll("_", " ");

/** All units over time, with what happened meanwhile. */
export const view = {
  title: () => "Population",
  params: {
    t: range(null), order: choice(Object.keys(ORDERS)), values: choice(Object.keys(VALUES)), lfp: integer(0, { min: 0 }), units: list(),
  },
  keys: [["←  →", "move in time; with Shift by a whole window"], ["+  −", "zoom"], ["0", "whole session"], ["o", "next order of the units"], ["v", "next scale of the values"]],
  async mount(root, ctx) {
    const view = new Population(root, ctx);
    await view.start();
    return view;
  },
};

class Population {
  constructor(root, ctx) {
    Object.assign(this, { root, ctx, cursor: new Cursor(), panels: [], asked: new Map() });
  }

  async start() {
    const { ctx } = this;
    const [span, counts] = await Promise.all([ctx.api("population_span"), ctx.api("counts", {}, { keep: false })]);
    this.whole = [span.start, span.stop];
    // so that the link says which units are meant
    const { ids } = ctx.selection.get() ?? {};
    if (ids && ids.length <= IN_LINK && !ctx.state.units.length) await ctx.set({ units: ids }, { replace: true });
    this.blocks = readBlocks(span.blocks);
    this.build();
    // one answer needs every spike of every unit: of a session on a server only if the user says so
    if (counts.is_streamed && counts.state !== "ready") this.offer(counts);
    else this.begin();
  }

  // ---- the page

  build() {
    const { ctx, root } = this;
    this.facts = h("p.facts");
    this.controls = h("div.controls");
    this.buttons = h("div.blocks", { role: "group", "aria-label": "Stimulus blocks" });
    const stack = h("div.stack");
    fill(root, h("div.view-head", h("div", h("h1", "Population"), this.facts)), this.controls, this.buttons, stack);
    this.main = new Panel(stack, {
      title: "Units", name: `${ctx.session.title}-population`, className: "units", cursor: this.cursor,
      draw: (s, data, size) => this.paint(s, data, size),
      hover: (data, plot, x, y) => this.point(data, plot, x, y),
      click: (data, plot, x, y) => this.open(plot, x, y),
      zoom: (a, b) => this.show([a, b]),
      wheel: (event, plot, x) => this.turn(event, plot, x),
      code: () => ctx.code(...this.question),
      describe: (data) => `Activity of ${data.rows.length} units from ${this.say(this.window)}, ${this.orders[ctx.state.order]} from top to bottom.`,
      csv: (data) => toColumns(data),
    });
    const trace = (recipe, title, unit, range) => new TimeSeries(stack, {
      title, left: this.left, hideTime: true, cursor: this.cursor, zoom: (a, b) => this.show([a, b]), name: `${ctx.session.title}-${recipe}`,
      label: unit, range, code: () => ctx.code(recipe, { span: this.around(0.5), n_bins: 1000 }), recipe, unit,
    });
    this.traces = [trace("running", "Running speed (cm/s)", "cm/s", (_, lo, hi) => padded(Math.min(lo, 0), Math.max(hi, 20))), trace("pupil", "Pupil area (cm²)", "cm²", (_, lo, hi) => padded(lo ?? 0, hi ?? 1))];
    this.areas = new Panel(stack, {
      title: "Mean rate by structure", className: "areas", cursor: this.cursor, name: `${ctx.session.title}-area-rates`,
      draw: (s, data, size) => this.paintAreas(s, data, size),
      hover: (data, plot, x, y) => pointArea(data, plot, x, y),
      zoom: (a, b) => this.show([a, b]),
      code: () => ctx.code("area_rates", { span: this.around(0.3), bin: this.bin() }),
      describe: (data) => `Mean rate of ${data.structures.length} structures over time.`,
      csv: (data) => ({ structure: data.structures, n_units: data.n_units, ...binColumns(data.edges, data.rates, data.structures.length) }),
    });
    this.lfp = new Panel(stack, {
      title: "Local field potential", className: "lfp", cursor: this.cursor, name: `${ctx.session.title}-lfp`,
      draw: (s, data, size) => this.paintLfp(s, data, size),
      zoom: (a, b) => this.show([a, b]),
      code: () => (this.ctx.state.lfp ? ctx.code("lfp_traces", { probe_id: ctx.state.lfp, window: this.window }) : null),
      describe: (data) => `Local field potential of ${data.channel_ids.length} channels.`,
      csv: (data) => ({ time: data.times, ...Object.fromEntries(Array.from(data.channel_ids, (id, i) => [`channel_${id}`, data.values.subarray(i * data.times.length, (i + 1) * data.times.length)])) }),
    });
    this.panels = [this.main, ...this.traces, this.areas, this.lfp];
    this.main.place.addEventListener("pointerdown", (event) => { if (event.shiftKey && event.button === 0) this.drag(event); });
    this.drawControls();
  }

  get orders() { return this.ctx.session.n_probes === 0 ? UNPLACED : ORDERS; }

  get left() { return this.root.clientWidth < 640 ? 56 : 104; }

  drawControls() {
    const { ctx } = this;
    this.drawn = ctx.state.order + ctx.state.values;
    const step = (name, words, act) => h("button.button", { onclick: act, title: words, "aria-label": words }, name);
    fill(this.controls,
      choose("Order by", Object.entries(this.orders), ctx.state.order, (order) => ctx.set({ order })),
      choose("Colour", Object.entries(VALUES), ctx.state.values, (values) => ctx.set({ values })),
      h("span.buttons", step("−", "Zoom out (−)", () => this.zoom(2)), step("+", "Zoom in (+)", () => this.zoom(0.5)), step("Whole session", "Whole session (0)", () => this.show(null))));
    fill(this.buttons, this.blocks.filter(({ color }) => color !== null).map((block) =>
      h("button.button.block", { onclick: () => this.show([block.start, block.stop]), title: `${spaced(block.name)}, ${this.say([block.start, block.stop])}` },
        h("span.swatch", { style: { background: category(block.color) } }), block.label)));
  }

  // ---- time

  get window() { return this.clamp(this.ctx.state.t ?? this.whole); }

  clamp([a, b]) {
    const [lo, hi] = this.whole;
    const width = Math.min(Math.max(b - a, SHORTEST), hi - lo);
    const from = Math.min(Math.max((a + b - width) / 2, lo), hi - width);
    return [from, from + width];
  }

  show(window, { replace = false } = {}) {
    let t = window && this.clamp(window);
    // a link reads better with a few digits: a thousandth of what is seen
    const digits = t && Math.max(0, Math.ceil(3 - Math.log10(t[1] - t[0])));
    t = t && t.map((edge) => Number(edge.toFixed(digits)));
    if (t && t[0] <= this.whole[0] && t[1] >= this.whole[1]) t = null;
    return this.ctx.set({ t }, { replace });
  }

  zoom(factor, at = null) {
    const [a, b] = this.window;
    const centre = at ?? (this.cursor.at !== null && this.cursor.at > a && this.cursor.at < b ? this.cursor.at : (a + b) / 2);
    return this.show([centre - (centre - a) * factor, centre + (b - centre) * factor], { replace: true });
  }

  move(part) {
    const [a, b] = this.window;
    return this.show([a + part * (b - a), b + part * (b - a)], { replace: true });
  }

  turn(event, plot, x) {
    event.preventDefault();
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) this.move(event.deltaX / plot.box.width);
    else this.zoom(Math.exp(Math.max(-100, Math.min(100, event.deltaY)) * 0.004), plot.sx.invert(x));
  }

  drag(event) {
    const { place } = this.main;
    const [a, b] = this.window;
    const perPixel = (b - a) / (place.clientWidth - this.left - 8);
    const follow = (now) => this.show([a, b].map((edge) => edge - (now.clientX - event.clientX) * perPixel), { replace: true });
    this.dragged = true; // the click that ends it opens no unit
    const stop = () => { setTimeout(() => { this.dragged = false; }); place.removeEventListener("pointermove", follow); place.removeEventListener("pointerup", stop); };
    place.setPointerCapture(event.pointerId);
    place.addEventListener("pointermove", follow);
    place.addEventListener("pointerup", stop);
  }

  say([a, b]) { return `${formatTime(a, b - a)} – ${formatTime(b, b - a)}`; }

  onKey({ key, shiftKey }) {
    const next = (names, now) => names[(names.indexOf(now) + 1) % names.length];
    const { ctx } = this;
    const actions = {
      ArrowLeft: () => this.move(shiftKey ? -1 : -0.2), ArrowRight: () => this.move(shiftKey ? 1 : 0.2),
      "+": () => this.zoom(0.5), "=": () => this.zoom(0.5), "-": () => this.zoom(2), "0": () => this.show(null),
      o: () => ctx.set({ order: next(Object.keys(this.orders), ctx.state.order) }, { replace: true }),
      v: () => ctx.set({ values: next(Object.keys(VALUES), ctx.state.values) }, { replace: true }),
    };
    if (!Object.hasOwn(actions, key)) return false;
    actions[key]();
    return true;
  }

  // ---- data

  offer(counts) {
    this.drawFacts();
    this.main.message([`This view needs the spikes of all units, which are on a server${counts.n_bytes ? `: about ${formatBytes(counts.n_bytes)}, read once and kept` : ""}. `,
      h("p", { style: { marginTop: "12px" } }, h("button.button.primary", { onclick: () => this.count() }, `Read ${counts.n_bytes ? formatBytes(counts.n_bytes) : "them"}`))]);
    for (const panel of this.panels.slice(1)) panel.message("Shown once the spikes are read.");
  }

  async begin() {
    this.ready = true;
    await this.update();
    // afterwards, so that the first picture does not wait for it
    this.count();
  }

  /** Have the counts kept on the server's side, and say how far they are. */
  async count() {
    const { ctx } = this;
    try {
      let status = await ctx.api("counts", { build: 1 }, { keep: false });
      while (status.state === "building") {
        this.progress = status.total ? `counting spikes: ${Math.round((100 * status.done) / status.total)} %` : "counting spikes …";
        this.drawFacts();
        if (!this.ready) this.main.message(`Reading the spikes of all units: ${status.done} of ${status.total || "…"}`);
        await new Promise((resolve) => { setTimeout(resolve, 250); });
        status = await ctx.api("counts", {}, { keep: false });
      }
      this.progress = status.state === "failed" ? h("span", { title: status.message }, "counts are not kept") : null;
      this.drawFacts();
      if (!this.ready) await this.begin();
    } catch (error) {
      if (error.name !== "AbortError") ctx.notice(error.message);
    }
  }

  around(part) {
    const [a, b] = this.window;
    const margin = part * (b - a);
    return [Math.max(this.whole[0], a - margin), Math.min(this.whole[1], b + margin)].map((edge) => Number(edge.toFixed(3)));
  }

  bin(n_units = this.ids?.length ?? this.ctx.session.n_units ?? 1000) {
    const [a, b] = this.window;
    const columns = Math.min(Math.max(this.main.place.clientWidth, 300), 900, MOST_COUNTS / 1.6 / Math.max(n_units, 1));
    const wanted = (b - a) / columns;
    // whole seconds above one, which the kept counts have
    return wanted > 1 ? Math.ceil(wanted) : Math.max(1, Math.ceil(wanted * 10 - 1e-9)) / 10;
  }

  /** The units that are shown, null for all. */
  get ids() {
    const { units } = this.ctx.state;
    return units.length ? units.map(Number) : this.ctx.selection.get()?.ids ?? null;
  }

  get question() {
    const { ids } = this;
    const unit_ids = ids && ids.length <= 300 ? ids : null;
    if (this.window[1] - this.window[0] < TICKS_BELOW) return ["population_spikes", { unit_ids, window: this.around(0.5) }];
    return ["population_counts", { unit_ids, span: this.around(0.3), bin: this.bin() }];
  }

  async update() {
    const { order, values } = this.ctx.state;
    if (this.drawn !== order + values) this.drawControls();
    this.drawFacts();
    for (const panel of this.traces) panel.setDomain(this.window);
    for (const panel of [this.main, this.areas, this.lfp]) panel.redraw();
    clearTimeout(this.timer);
    if (!this.first) { this.first = true; await this.load(); return; }
    // what is there is stretched at once; new data are asked for when the wheel rests
    if (this.ready) for (const panel of this.panels) panel.expect();
    this.timer = setTimeout(() => this.load(), 70);
  }

  async load() {
    if (!this.ready) return;
    const { ctx } = this;
    this.loading?.abort();
    const { signal } = (this.loading = new AbortController());
    const order = { order: ctx.state.order };
    const question = this.question;
    const answer = Promise.all([ctx.api("order_units", order, { signal }), ctx.api(...question, { signal })]);
    await this.main.load(answer, ([{ units }, found]) => this.arrange(units, found));
    // the rest waits, so that the units are there first
    if (signal.aborted) return;
    this.drawFacts();
    this.loadTraces(signal);
    this.areas.load(ctx.api("area_rates", { span: this.around(0.3), bin: this.bin() }, { signal }), (found) => {
      if (!found.structures.length) throw Object.assign(new Error("No unit of this session has a structure."), { status: 404, absent: true });
      this.areas.place.style.minHeight = `${12 * found.structures.length + 8}px`;
      this.areas.sub("each as a fraction of its largest");
      return found;
    });
    this.loadLfp(signal);
  }

  loadTraces(signal) {
    for (const panel of this.traces) {
      const { recipe, unit } = panel.options;
      panel.load(this.ctx.api(recipe, { span: this.around(0.5), n_bins: 1000 }, { signal }), (found) => {
        if (!found[recipe]?.length) throw Object.assign(new Error(`This session has no ${recipe === "pupil" ? "eye tracking" : "running speed"}${found[recipe] ? " here" : ""}.`), { status: 404, absent: !found[recipe] });
        panel.setDomain(this.window);
        return { x: found[recipe].ids, series: [{ name: panel.options.title, values: found[recipe].columns.mean, unit, color: category(recipe === "pupil" ? 3 : 0) }] };
      });
    }
  }

  async loadLfp(signal) {
    const { ctx } = this;
    const [a, b] = this.window;
    if (ctx.session.n_probes === 0) return this.lfp.message("This session has no local field potential.", { absent: true });
    this.lfp.root.classList.toggle("shown", b - a <= LFP_BELOW && ctx.state.lfp > 0);
    if (b - a > LFP_BELOW) return this.lfp.message(`Zoom in below ${LFP_BELOW} s to see the local field potential of a probe.`);
    if (ctx.state.lfp) return this.lfp.load(ctx.api("lfp_traces", { probe_id: ctx.state.lfp, window: [a, b] }, { signal }));
    try {
      const { probes } = await ctx.api("probes");
      const files = ctx.page.has_survey && /^\d+$/.test(ctx.path.key) ? (await ctx.api("files", { session_ids: ctx.path.key, lfp: true }, { in: "survey" })).files : null;
      const known = probes.columns;
      const buttons = Array.from(probes.ids, (id, i) => {
        if (!known.has_lfp_data[i]) return null;
        const row = files ? Array.from(files.columns.probe_id).indexOf(id) : -1;
        const size = row < 0 ? "" : files.columns.is_here[row] ? ", on this machine" : files.columns.n_bytes[row] > 0 ? `, of a file of ${formatBytes(files.columns.n_bytes[row])} elsewhere` : ", not on this machine yet";
        return h("button.button", { onclick: () => ctx.set({ lfp: id }) }, `${known.description[i]}${size}`);
      }).filter(Boolean);
      if (signal?.aborted) return undefined;
      return this.lfp.message(buttons.length ? [h("p", { style: { marginBottom: "8px" } }, `Read ${formatNumber(b - a)} s of the local field potential of`), h("div.choices", buttons)] : "No probe of this session has a local field potential.");
    } catch (error) {
      return error.name === "AbortError" ? undefined : this.lfp.message(error.message);
    }
  }

  /** Put the units of an answer in order. */
  arrange(units, found) {
    const chosen = this.ids && new Set(this.ids);
    const place = new Map(Array.from(found.unit_ids, (id, i) => [id, i]));
    const rows = [];
    for (let i = 0; i < units.length; i++) {
      const id = units.ids[i];
      if (place.has(id) && (!chosen || chosen.has(id))) rows.push({ id, place: place.get(id), structure: units.columns.structure[i], probe: units.columns.probe[i], depth: units.columns.depth_um[i], value: units.columns.value?.[i], waveform: units.columns.waveform_class?.[i] });
    }
    if (!rows.length) throw Object.assign(new Error(this.ids ? "None of the chosen units is in this session, or has spikes." : "This session has no units that pass its filters."), { status: 404 });
    return { ...found, rows, rows_: found.rows, n_bins: found.counts ? found.edges.length - 1 : 0, pictures: new Map() };
  }

  drawFacts() {
    const { ctx, main } = this;
    const n = main.data?.rows.length ?? this.ids?.length ?? ctx.session.n_units;
    const label = ctx.selection.get()?.label;
    const bin = this.bin();
    fill(this.facts, ...[
      this.ids ? `${formatNumber(n)} of ${formatNumber(ctx.session.n_units)} units${label ? ` (${label})` : ""}` : `${formatNumber(n)} units`,
      this.say(this.window),
      this.window[1] - this.window[0] < TICKS_BELOW ? "single spikes" : `bins of ${formatNumber(bin)} s`,
      this.progress,
    ].filter(Boolean).map((words) => (words instanceof Node ? words : h("span", words))),
    this.ids ? [" ", h("button.button.quiet", { onclick: () => { ctx.selection.clear(); ctx.set({ units: [] }); this.update(); } }, "Show all units")] : null);
  }

  // ---- drawing

  frame(s, { label } = {}) {
    const [a, b] = this.window;
    return axes(s, {
      x: { domain: [a, b], ticks: timeTicks(a, b, Math.max(2, Math.floor((s.width - this.left) / 110))), format: (v) => formatTime(v, b - a), hide: label === false },
      y: { domain: [0, 1], hide: true }, grid: false, left: this.left, right: 8, top: label === false ? 4 : STRIP, bottom: label === false ? 4 : 26,
    });
  }

  paint(s, data, { theme: t }) {
    const plot = this.frame(s);
    const { box, sx } = plot;
    this.paintBlocks(s, plot, t);
    const height = box.height / data.rows.length;
    if (data.counts) this.paintCounts(s, data, plot, t);
    else this.paintSpikes(s, data, plot, height, t);
    paintStructures(s, data.rows, box, height, this.ctx.state.order, t);
    return Object.assign(plot, { rowHeight: height, sx });
  }

  paintBlocks(s, { box, sx }, t) {
    s.clip(box.x, 0, box.width, STRIP, () => {
      for (const block of this.blocks) {
        const x0 = Math.max(sx(block.start), box.x), x1 = Math.min(sx(block.stop), box.x + box.width);
        if (x1 <= x0) continue;
        if (block.color !== null) s.rect(x0, 16, Math.max(1, x1 - x0 - 1), 5, { fill: category(block.color) });
        const words = spaced(block.name);
        if (s.measure(words, { size: 11 }) < x1 - x0 - 6) s.text(words, x0 + 1, 11, { size: 11, color: t.muted });
      }
    });
  }

  /** The counts as colours: rate, z-score or part of the maximum, several units a line where lines are few. */
  picture(data, lines) {
    const kind = this.ctx.state.values;
    const group = Math.max(1, Math.floor(data.rows.length / lines));
    const key = `${kind} ${group} ${theme().dark}`;
    if (data.pictures.has(key)) return data.pictures.get(key);
    const { counts, n_bins, edges, rows } = data;
    const width = edges[1] - edges[0];
    // scaled by what is in the window, not by the margins around it
    const [first, last] = this.window.map((edge) => Math.min(Math.max(Math.round((edge - edges[0]) / width), 0), n_bins));
    const logs = Float32Array.from({ length: counts.BYTES_PER_ELEMENT === 1 ? 256 : 65_536 }, (_, n) => Math.log10(1 + n / width));
    const n = Math.ceil(rows.length / group);
    const top = Math.max(logs[quantile(counts, 0.995)], 0.05);
    const [lo, hi, map, labels] = { z: [-3, 3, "diverging", ["−3", "3 SD"]], max: [0, 1, "ink", ["0", "max"]], rate: [0, top, "viridis", ["0", `${formatNumber(10 ** top - 1, 2)} /s`]] }[kind];
    let rgba;
    if (kind === "rate" && group === 1) {
      // what is seen first: a colour for each count, looked up
      const colors = new Uint32Array(paint(logs, 1, logs.length, lo, hi, map).buffer);
      const pixels = new Uint32Array(n * n_bins);
      rows.forEach(({ place }, r) => { for (let c = 0, from = place * n_bins, to = r * n_bins; c < n_bins; c++) pixels[to + c] = colors[counts[from + c]]; });
      rgba = new Uint8ClampedArray(pixels.buffer);
    } else {
      const values = new Float32Array(n * n_bins);
      rows.forEach(({ place }, r) => {
        const own = counts.subarray(place * n_bins, (place + 1) * n_bins);
        let sum = 0, squares = 0, most = 1;
        for (let c = first; c < last; c++) { sum += own[c]; squares += own[c] * own[c]; if (own[c] > most) most = own[c]; }
        const mean = sum / (last - first), sd = Math.sqrt(Math.max(squares / (last - first) - mean * mean, 0)) || Infinity;
        const line = Math.floor(r / group), share = 1 / Math.min(group, rows.length - line * group);
        const to = values.subarray(line * n_bins, (line + 1) * n_bins);
        if (kind === "rate") for (let c = 0; c < n_bins; c++) to[c] += share * logs[own[c]];
        else if (kind === "z") for (let c = 0; c < n_bins; c++) to[c] += (share * (own[c] - mean)) / sd;
        else for (let c = 0; c < n_bins; c++) to[c] += (share * own[c]) / most;
      });
      rgba = paint(values, n, n_bins, lo, hi, map);
    }
    const found = { rgba, n, group, map, labels };
    data.pictures.set(key, found);
    return found;
  }

  paintCounts(s, data, { box, sx }, t) {
    const { n_bins, edges, rows } = data;
    // not left out: averaged
    const { rgba, n, group, map, labels } = this.picture(data, box.height * (s.ratio ?? 1));
    const left = sx(edges[0]);
    s.clip(box.x, box.y, box.width, box.height, () => s.image(rgba, n_bins, n, left, box.y, sx(edges[n_bins]) - left, box.height * ((n * group) / rows.length)));
    paintScale(s, 0, box.y + box.height + 9, this.left - 20, map, labels, t);
    this.main.sub(`${this.orders[this.ctx.state.order]} from top to bottom${SCALED[this.ctx.state.values]}${group > 1 ? `; a line is the mean of ${group} units` : ""}`);
  }

  paintSpikes(s, data, { box, sx }, height, t) {
    const line = new Float32Array(data.unit_ids.length).fill(NaN);
    data.rows.forEach(({ place }, r) => { line[place] = box.y + r * height; });
    const xs = [], ys = [];
    for (let i = 0; i < data.times.length; i++) {
      const x = sx(data.times[i]), y = line[data.rows_[i]];
      if (x >= box.x - 1 && x <= box.x + box.width && y === y) { xs.push(x - 0.5); ys.push(y); }
    }
    s.clip(box.x, box.y, box.width, box.height, () => s.marks(xs, ys, 1.25, Math.max(1.5, height * 0.9), { color: t.ink }));
    this.main.sub(`${this.orders[this.ctx.state.order]} from top to bottom, ${formatNumber(xs.length)} spikes`);
  }

  paintAreas(s, data, { theme: t }) {
    const plot = this.frame(s, { label: false });
    const { box, sx } = plot;
    const n = data.structures.length, n_bins = data.edges.length - 1;
    const height = box.height / n;
    const scaled = new Float32Array(data.rates.length);
    for (let r = 0; r < n; r++) {
      const own = data.rates.subarray(r * n_bins, (r + 1) * n_bins);
      const hi = own.reduce((a, b) => Math.max(a, b), 0);
      for (let c = 0; c < n_bins; c++) scaled[r * n_bins + c] = hi ? own[c] / hi : 0;
    }
    const left = sx(data.edges[0]);
    s.clip(box.x, box.y, box.width, box.height, () => s.image(paint(scaled, n, n_bins, 0, 1, "ink"), n_bins, n, left, box.y, sx(data.edges[n_bins]) - left, box.height));
    data.structures.forEach((name, r) => {
      const { color, pattern } = structureStyle(name);
      s.patterned(box.x - 12, box.y + r * height, 8, height - 1, { fill: color, pattern });
      if (height >= 9) s.text(name, box.x - 18, box.y + (r + 0.5) * height, { size: Math.min(11, height), color: t.muted, align: "right", baseline: "middle" });
    });
    return plot;
  }

  paintLfp(s, data, { theme: t }) {
    const plot = this.frame(s, { label: false });
    const { box, sx } = plot;
    const n = data.channel_ids.length, m = data.times.length;
    const step = box.height / n;
    let most = 1;
    for (const value of data.values) if (Math.abs(value) > most) most = Math.abs(value);
    const xs = Array.from(data.times, sx);
    for (let r = 0; r < n; r++) {
      const own = data.values.subarray(r * m, (r + 1) * m);
      s.polyline(xs, Array.from(own, (value) => box.y + (r + 0.5) * step - (value / most) * step * 1.5), { color: t.ink_2, width: 1 });
      s.text(`${formatNumber(data.depth_um[r])} µm`, box.x - 8, box.y + (r + 0.5) * step, { size: 10, color: t.muted, align: "right", baseline: "middle" });
    }
    this.lfp.sub(`probe ${this.ctx.state.lfp}; the largest deflection is ${formatNumber(most)} µV`);
    return plot;
  }

  // ---- pointing

  rowAt(plot, x, y) {
    const r = Math.floor((y - plot.box.y) / plot.rowHeight);
    return x >= plot.box.x - 12 && x <= plot.box.x + plot.box.width ? this.main.data.rows[r] : undefined;
  }

  point(data, plot, x, y) {
    const time = plot.sx.invert(x);
    const block = this.blocks.findLast(({ start, stop }) => start <= time && time < stop);
    const shown = block ? `${spaced(block.name)}${block.number ? `, block ${block.number}` : ""}` : "no stimulus";
    const inside = x >= plot.box.x && x <= plot.box.x + plot.box.width;
    if (y < plot.box.y) return block && inside ? { lines: [shown, `${this.say([block.start, block.stop])}: click to zoom`] } : null;
    const row = this.rowAt(plot, x, y);
    if (!row) return null;
    const lines = [`Unit ${row.id}`, row.probe ? `${row.structure ?? "no structure"}, ${row.probe}, ${formatNumber(row.depth)} µm from the tip` : row.structure ?? "place unknown"];
    if (row.waveform) lines.push(row.waveform);
    if (row.value !== undefined && row.value !== null) lines.push(`${this.orders[this.ctx.state.order]} ${formatNumber(row.value)}`);
    if (inside) {
      let rate = "";
      if (data.counts) {
        const width = data.edges[1] - data.edges[0];
        const c = Math.floor((time - data.edges[0]) / width);
        if (c >= 0 && c < data.n_bins) rate = `: ${formatNumber(data.counts[row.place * data.n_bins + c] / width)} spikes/s`;
      }
      lines.push(`${formatTime(time, (this.window[1] - this.window[0]) / 10)}${rate}`, shown);
    }
    const height = Math.max(plot.rowHeight, 1);
    return { lines, mark: (s) => s.rect(plot.box.x - 14, plot.box.y + data.rows.indexOf(row) * plot.rowHeight - 1, plot.box.width + 14, height + 2, { stroke: getComputedStyle(this.root).getPropertyValue("--accent") }) };
  }

  open(plot, x, y) {
    if (this.dragged) return undefined;
    const time = plot.sx.invert(x);
    const block = this.blocks.findLast(({ start, stop }) => start <= time && time < stop);
    if (y < plot.box.y) return block && this.show([block.start, block.stop]);
    const row = this.rowAt(plot, x, y);
    return row && this.ctx.go(this.ctx.link("u", row.id));
  }

  restyle() { this.drawControls(); }

  destroy() {
    clearTimeout(this.timer);
    this.loading?.abort();
    for (const panel of this.panels) panel.destroy();
  }
}

/** Blocks of stimuli with a colour for each name, and a number for those that come again. */
function readBlocks(table) {
  const { start_time, stop_time, stimulus_name } = table.columns;
  const colors = new Map(), seen = new Map();
  const names = Array.from(stimulus_name);
  return names.map((name, i) => {
    const is_grey = name.startsWith("spontaneous") || name === "invalid_presentation";
    if (!is_grey && !colors.has(name)) colors.set(name, colors.size);
    const repeats = names.filter((other) => other === name).length;
    const number = seen.set(name, (seen.get(name) ?? 0) + 1).get(name);
    return { name, start: start_time[i], stop: stop_time[i], color: is_grey ? null : colors.get(name), number: repeats > 1 ? number : 0, label: spaced(name) + (repeats > 1 ? ` ${number}` : "") };
  });
}

/** Structures of the rows at the left, or classes of waveforms: colour, and names where there is room. */
function paintStructures(s, rows, box, height, order, t) {
  const named = order === "waveform" ? ({ waveform }) => waveform?.replace("-spiking", "") ?? "–" : ({ structure }) => structure;
  const styled = order === "waveform" ? (name) => ({ color: category(WAVEFORMS.indexOf(name)), pattern: "plain" }) : structureStyle;
  let from = 0, lowest = -Infinity;
  for (let r = 1; r <= rows.length; r++) {
    const before = rows[from];
    if (r < rows.length && named(rows[r]) === named(before) && (order !== "depth" || rows[r].probe === before.probe)) continue;
    const y = box.y + from * height, tall = (r - from) * height;
    const { color, pattern } = styled(named(before));
    s.patterned(box.x - 12, y, 8, Math.max(tall - (tall > 4 ? 1 : 0), 0.5), { fill: color, pattern: tall > 4 ? pattern : "plain" });
    const middle = y + tall / 2;
    if (tall >= 10 && middle > lowest + 11) { s.text(named(before) ?? (before.probe === null ? "" : "–"), box.x - 18, middle, { size: 11, color: t.ink_2, align: "right", baseline: "middle" }); lowest = middle; }
    if (order === "depth" && r < rows.length && rows[r].probe !== before.probe) s.line(0, y + tall, box.x - 4, y + tall, { color: t.line_strong });
    from = r;
  }
  if (order !== "depth" || box.x < 80) return;
  let first = 0;
  for (let r = 1; r <= rows.length; r++) {
    if (r < rows.length && rows[r].probe === rows[first].probe) continue;
    const tall = (r - first) * height;
    const words = rows[first].probe ?? "";
    if (s.measure(words, { size: 11 }) < tall - 4) s.text(words, 8, box.y + first * height + tall / 2, { size: 11, color: t.muted, align: "center", baseline: "middle", rotate: -Math.PI / 2 });
    first = r;
  }
}

function paintScale(s, x, y, width, map, labels, t) {
  const table = colormap(map);
  const rgba = new Uint8ClampedArray(4 * 256).fill(255);
  for (let i = 0; i < 256; i++) rgba.set(table.subarray(3 * i, 3 * i + 3), 4 * i);
  s.image(rgba, 256, 1, x, y - 4, width, 5, { smooth: true });
  s.text(labels[0], x, y + 13, { size: 10, color: t.muted });
  s.text(labels[1], x + width, y + 13, { size: 10, color: t.muted, align: "right" });
}

function pointArea(data, { box, sx }, x, y) {
  const n_bins = data.edges.length - 1;
  const r = Math.floor(((y - box.y) / box.height) * data.structures.length);
  const c = Math.floor((sx.invert(x) - data.edges[0]) / (data.edges[1] - data.edges[0]));
  if (r < 0 || r >= data.structures.length || c < 0 || c >= n_bins || x < box.x) return null;
  return { lines: [data.structures[r], structureStyle(data.structures[r]).name, `${formatNumber(data.rates[r * n_bins + c])} spikes/s, mean of ${data.n_units[r]} units`] };
}

// room for the lowest label
const padded = (lo, hi) => [lo - 0.1 * (hi - lo || 1), hi + 0.05 * (hi - lo || 1)];

function quantile(values, q) {
  // of a sample: the colours do not need more
  const step = Math.max(1, Math.floor(values.length / 8000));
  const sorted = Float32Array.from({ length: Math.floor(values.length / step) }, (_, i) => values[i * step]).sort();
  return sorted[Math.floor(q * (sorted.length - 1))] ?? 0;
}

function binColumns(edges, values, n) {
  const n_bins = edges.length - 1;
  return Object.fromEntries(Array.from({ length: n_bins }, (_, c) => [`${edges[c]} s`, Array.from({ length: n }, (_, r) => values[r * n_bins + c])]));
}

function toColumns({ rows, counts, n_bins, edges, times, rows_ }) {
  const named = { unit_id: rows.map(({ id }) => id), structure: rows.map(({ structure }) => structure), probe: rows.map(({ probe }) => probe) };
  if (counts) return { ...named, ...Object.fromEntries(Array.from({ length: n_bins }, (_, c) => [`${edges[c]} s`, rows.map(({ place }) => counts[place * n_bins + c])])) };
  const ids = new Map(rows.map(({ id, place }) => [place, id]));
  const kept = Array.from(times.keys()).filter((i) => ids.has(rows_[i]));
  return { unit_id: kept.map((i) => ids.get(rows_[i])), time: kept.map((i) => times[i]) };
}
