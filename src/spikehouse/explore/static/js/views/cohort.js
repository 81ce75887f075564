import { axes, extent, formatBytes, formatNumber } from "../axes.js";
import { category, structureStyle, theme } from "../colors.js";
import { choose, fill, h } from "../dom.js";
import { Panel } from "../panel.js";
import { flag, text } from "../state.js";

const AREA = "ecephys_structure_acronym";
const spaced = (name) => name.replaceAll("_", " ");
const NESTED = "Units are nested in sessions, so thousands of units are not thousands of independent samples.";
const SIMULATED = ["same sign", "other sign", "not comparable"]; // the verdicts on simulated units
const OF_AREAS = (n) => `r is over the means of ${n} areas; what holds 95 % of resampled sessions is no confidence interval of it.`;

/** Metrics over the whole survey, or the results of a function over its sessions. */
export const view = {
  title: ({ name }) => (name ? `Results: ${name}` : "Cohort"),
  params: { metric: text("firing_rate"), log: flag(false), column: text(""), by: text(AREA) },
  keys: [["j  k", "next or previous metric"], ["l", "logarithmic axis"]],
  async mount(root, ctx) {
    const view = ctx.path.name ? new Results(root, ctx) : new Survey(root, ctx);
    await view.start();
    return view;
  },
};

class Base {
  constructor(root, ctx) { Object.assign(this, { root, ctx, panels: [], facts: h("p.facts"), controls: h("div.controls"), about: h("p.muted") }); }

  say(...words) { fill(this.facts, words.filter(Boolean).map((one) => h("span", one))); }

  head(title, simulated) {
    return [h("div.view-head", h("div", h("h1", title, simulated ? h("span.chip.simulated", { title: "These units are simulated, not recorded from animals." }, "simulated") : null), this.facts)), this.controls];
  }

  distribution(parent, className, options) {
    const panel = new Panel(parent, { className, draw: (s, d) => paintViolins(s, d, this.unit ?? ""), hover: pointViolin,
      describe: (d) => `Distributions of ${d.areas.length} groups: ${d.areas.ids.map((name, i) => (d.is_circular ? name : `${name} median ${formatNumber(d.areas.columns.q50[i])}`)).join(", ")}.`,
      csv: (d) => ({ group: d.areas.ids, ...Object.fromEntries(d.areas.names.filter((name) => name !== d.areas.index).map((name) => [name, d.areas.columns[name]])) }), ...options });
    this.panels.push(panel);
    return panel;
  }

  /** A panel of text and tables, which has no drawing. */
  section(parent, title, className, ...content) {
    const body = h("div");
    fill(body, ...content);
    parent.append(h(`section.panel.${className.replaceAll(" ", ".")}`, { "aria-label": title }, h("header", h("h2", title)), body));
    return body;
  }

  step(names, now, by) { return names[(names.indexOf(now) + by + names.length) % names.length]; }

  destroy() { this.panels.forEach((panel) => panel.destroy()); }
}

class Survey extends Base {
  async start() {
    const { ctx, root } = this;
    const found = await ctx.api("list_metrics");
    this.metrics = found.metrics;
    const grid = h("div.grid");
    fill(root, this.head("Cohort", found.is_simulated), this.about, grid);
    this.say(`${formatNumber(found.n_units)} units that pass the default filters`, `${formatNumber(found.n_sessions)} sessions`);
    this.areas = this.distribution(grid, "span-7 violins", { title: "By area", name: "metric-by-area", code: () => ctx.code("metric_by_area", this.question) });
    this.hierarchy = new Panel(grid, { title: "Along the hierarchy", name: "hierarchy", className: "span-5 violins", draw: (s, d) => paintHierarchy(s, d, this.label), hover: pointHierarchy,
      code: () => ctx.code("metric_hierarchy", { metric: this.metric }),
      describe: (d) => `Means of ${d.areas.length} areas against their hierarchy scores; Pearson's r ${formatNumber(d.correlation.pearson_r)}.`,
      csv: (d) => ({ area: d.areas.ids, ...Object.fromEntries(["score", "mean", "ci_low", "ci_high", "n", "n_sessions"].map((name) => [name, d.areas.columns[name]])) }) });
    this.panels.push(this.hierarchy);
    this.warning = h("p.note.span-12");
    grid.append(this.warning);
    this.published = this.section(grid, "Ours against the published values", "span-12", h("p.muted", "Siegle et al. (2021), doi:10.1038/s41586-020-03171-x: what the tables of this survey give, beside the published numbers. "),
      h("button.button", { onclick: () => this.compare() }, "Compute from the tables here"));
    if (ctx.page.results?.length) this.section(grid, "Results", "span-12", h("div.blocks.plain", ctx.page.results.map(({ name }) => h("a.button", { href: `/cohort/${encodeURIComponent(name)}`, onclick: (event) => { event.preventDefault(); ctx.go(`/cohort/${encodeURIComponent(name)}`); } }, name))));
    await this.update();
  }

  get metric() { const { ids } = this.metrics; return [this.ctx.state.metric, "firing_rate"].find((name) => ids.includes(name)) ?? ids[0]; }
  get isCircular() { return Boolean(this.metrics.columns.is_circular[this.metrics.ids.indexOf(this.metric)]); }
  get question() { return { metric: this.metric, log: (this.ctx.state.log && !this.isCircular) || null }; }
  get unit() { return this.metrics.columns.unit[this.metrics.ids.indexOf(this.metric)]; }
  get label() { return this.metric + (this.unit ? ` (${this.unit})` : ""); }

  async update() {
    const { ctx, metrics, isCircular } = this;
    const i = metrics.ids.indexOf(this.metric);
    if (ctx.state.metric !== this.metric) ctx.notice(`${ctx.state.metric} is no metric of this survey, or a number that has no mean, such as an id or a place: ${this.metric} is shown.`);
    fill(this.controls,
      choose("Metric", metrics.ids, this.metric, (metric) => ctx.set({ metric })),
      isCircular ? null : h("label", h("input", { type: "checkbox", checked: ctx.state.log, onchange: (event) => ctx.set({ log: event.target.checked }) }), "logarithmic"),
      h("span.muted", `${spaced(this.metric)}: ${metrics.columns.meaning[i]}${this.unit ? ` (${this.unit})` : ""}; ${formatNumber(metrics.columns.n_units[i])} units have it`));
    this.warning.hidden = true;
    this.hierarchy.sub("");
    const loads = [
      this.areas.load(ctx.api("metric_by_area", this.question), (d) => { this.areas.sub(describeGroups(d)); return d; }),
      isCircular ? this.hierarchy.message("This metric is circular, as an angle is: it has no mean that could rise or fall along the hierarchy.")
        : this.hierarchy.load(ctx.api("metric_hierarchy", { metric: this.metric }), (d) => { this.explain(d); return d; }),
    ];
    await Promise.all(loads);
  }

  explain({ correlation: c }) {
    const known = c.pearson_r !== null && Number.isFinite(c.pearson_r);
    this.hierarchy.sub(known ? "bars: 95 % of resampled sessions; dots: sessions" : `${c.n_areas} areas: too few, or too equal, for a correlation`);
    fill(this.warning, `${known ? `${OF_AREAS(c.n_areas)} ` : ""}${NESTED}`).hidden = false;
  }

  async compare() {
    const { ctx, published } = this;
    fill(published, h("p.muted", "Computing …"));
    try {
      fill(published, describePublished((await ctx.api("published_values")).values));
    } catch (error) {
      if (error.name !== "AbortError") fill(published, h("p.muted", error.message));
    }
  }

  onKey({ key }) {
    const { ctx, metrics } = this;
    if (key === "j" || key === "k") ctx.set({ metric: this.step(metrics.ids, this.metric, key === "j" ? 1 : -1) }, { replace: true });
    else if (key === "l") ctx.set({ log: !ctx.state.log }, { replace: true });
    else return false;
    return true;
  }
}

class Results extends Base {
  async start() {
    const { ctx, root } = this;
    const found = (this.found = await ctx.api("results_overview"));
    const grid = h("div.grid");
    fill(root, this.head(ctx.path.name, found.is_simulated), grid);
    if (found.kind === "reproduction") {
      this.controls.remove();
      this.say(`results of spikehouse reproduce ${found.study}`);
      this.section(grid, "Ours against the published values", "span-12", describePublished(found.values));
      return;
    }
    const { records, failures } = found;
    const done = Array.from(records.columns.state).filter((state) => state === "done").length;
    this.say(`${found.function}(${Object.entries(found.parameters).map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(", ")})`,
      `${done} of ${found.n_sessions} sessions done`, failures.length ? `${failures.length} failed` : null, `${formatNumber(found.n_rows)} rows${found.n_units ? ` of ${formatNumber(found.n_units)} units` : ""}`,
      found.no_structures ? `by session only: ${found.no_structures}` : null);
    if (found.time) {
      this.course = new Panel(grid, { title: "Over time", name: "results-over-time", className: "span-12 violins", draw: (s, d) => paintCourse(s, d, this.label), hover: (d, plot, x) => pointCourse(d, plot, x, found.time),
        code: () => ctx.code("results_over_time", this.when), describe: (d) => `Means of ${d.groups.length} groups at ${d.times.length} times.`,
        csv: (d) => ({ [found.time]: d.times, ...Object.fromEntries(d.groups.map((name, i) => [name, d.means.subarray(i * d.times.length, (i + 1) * d.times.length)])) }) });
      this.panels.push(this.course);
    }
    this.shown = this.distribution(grid, "span-7 violins", { title: "Distribution", name: "results", code: () => ctx.code("results_distribution", this.question) });
    const side = h("div.span-5.side");
    grid.append(side);
    if (failures.length) this.section(side, "Failures", "plain", tableOf(["session", "error"], Array.from(failures.ids, (id, i) => [id, `${failures.columns.type[i]}: ${failures.columns.message[i]}`])));
    this.section(side, "Sessions", "plain scrolled", tableOf(["session", "state", "seconds", "read", "rows"], Array.from(records.ids, (id, i) =>
      [id, records.columns.state[i], formatNumber(records.columns.seconds[i]), formatBytes(records.columns.n_bytes[i]), formatNumber(records.columns.n_rows[i])]), [2, 3, 4]));
    await this.update();
  }

  get column() { const { columns } = this.found; return columns.includes(this.ctx.state.column) ? this.ctx.state.column : columns[0]; }
  get group() { const { by } = this.ctx.state; return by === "" ? null : [by, AREA].find((name) => this.found.groups.includes(name)) ?? null; }
  get unit() { return this.found.units[this.found.columns.indexOf(this.column)]; }
  get label() { return `mean ${spaced(this.column)}${this.unit ? ` (${this.unit})` : ""}`; }
  get when() { return { column: this.column, group: this.group }; }
  get question() { return { ...this.when, log: this.ctx.state.log || null }; }

  /** Say what of the link these results do not have. */
  notify() {
    const { state } = this.ctx, { columns, groups } = this.found;
    if (state.column && !columns.includes(state.column)) this.ctx.notice(`Ignored in this link: column=${state.column}. These results have ${columns.join(", ")}.`);
    if (state.by && state.by !== AREA && !groups.includes(state.by)) this.ctx.notice(`Ignored in this link: by=${state.by}. These results have ${["session", ...groups].join(", ")}.`);
  }

  async update() {
    const { ctx, found } = this;
    if (found.kind === "reproduction") return;
    this.notify();
    if (!found.columns.length) {
      this.course?.message("The results have no column of numbers beside the time.");
      this.shown.message(found.n_rows ? "The results have no column of numbers." : "No session is done yet.");
      return;
    }
    fill(this.controls,
      choose("Column", found.columns, this.column, (column) => ctx.set({ column })),
      choose("By", [["", "session"], ...found.groups.map((name) => [name, name === AREA ? "structure" : spaced(name)])], this.group ?? "", (by) => ctx.set({ by })),
      h("label", h("input", { type: "checkbox", checked: ctx.state.log, onchange: (event) => ctx.set({ log: event.target.checked }) }), "logarithmic"));
    await Promise.all([
      this.course?.load(ctx.api("results_over_time", this.when), (d) => { this.course.sub(`mean over ${d.counted}`); return d; }),
      this.shown.load(ctx.api("results_distribution", this.question), (d) => { this.shown.sub(`${d.is_averaged ? `the mean over the rows of each unit; ` : ""}${describeGroups(d)}`); return d; }),
    ]);
  }

  onKey({ key }) {
    const { ctx, found } = this;
    if (!found.columns?.length) return false;
    if (key === "j" || key === "k") ctx.set({ column: this.step(found.columns, this.column, key === "j" ? 1 : -1) }, { replace: true });
    else if (key === "l") ctx.set({ log: !ctx.state.log }, { replace: true });
    else return false;
    return true;
  }
}

// ---- drawings

function describeGroups(d) {
  const beyond = d.areas.columns.n_outside.reduce((a, b) => a + b, 0);
  return `each violin has its own scale${d.is_circular ? "; circular: no medians" : "; dots: medians of sessions; bar: quartiles of all"}${beyond ? `; ${formatNumber(beyond)} beyond the axis` : ""}${d.left_out.length ? `; too few units: ${d.left_out.join(", ")}` : ""}${d.n_beyond ? `; ${formatNumber(d.n_beyond)} values are not positive` : ""}`;
}

function paintViolins(s, d, unit) {
  const t = theme();
  const { areas, edges, counts, sessions } = d;
  const n = areas.length, n_bins = edges.length - 1;
  const left = Math.min(120, Math.max(...areas.ids.map((name) => s.measure(String(name), { size: 11 }))) + 34);
  const plot = axes(s, { x: { domain: [edges[0], edges[n_bins]], log: d.is_log, label: unit }, y: { domain: [0, n], hide: true }, grid: false, left, right: 96, top: 8 });
  const { box, sx } = plot;
  const step = Math.min(46, box.height / n);
  const clamp = (value) => Math.min(Math.max(sx(value), box.x), box.x + box.width);
  areas.ids.forEach((name, r) => {
    const middle = box.y + (r + 0.5) * step, half = step * 0.42;
    const { color, pattern } = structureStyle(name);
    const own = counts.subarray(r * n_bins, (r + 1) * n_bins);
    // three neighbouring bins together: a violin of few units is a comb otherwise
    const smooth = Array.from(own, (v, c) => ((own[c - 1] ?? 0) + 2 * v + (own[c + 1] ?? 0)) / 4);
    const most = Math.max(...smooth, 1e-9);
    const xs = [], up = [], down = [];
    smooth.forEach((v, c) => { xs.push((sx(edges[c]) + sx(edges[c + 1])) / 2); up.push(middle - (half * v) / most); down.push(middle + (half * v) / most); });
    s.line(box.x, middle, box.x + box.width, middle, { color: t.line });
    s.band(xs, up, down, { color, alpha: t.dark ? 0.45 : 0.35 });
    const { q25, q50, q75, n_units, n_sessions } = areas.columns;
    if (q50) s.line(clamp(q25[r]), middle, clamp(q75[r]), middle, { color: t.ink_2, width: 3 });
    for (let k = 0; k < sessions.length; k++) {
      if (sessions.columns.area[k] !== name) continue;
      // beside each other by their place in the table, so that equal ones are seen
      s.circle(clamp(sessions.columns.median[k]), middle + half * (((k * 7) % 11) / 11 - 0.5), 2, { fill: t.ink, alpha: 0.45 });
    }
    if (q50) s.circle(clamp(q50[r]), middle, 3.5, { fill: t.panel, stroke: t.ink, width: 1.5 });
    s.patterned(box.x - 14, middle - half, 8, 2 * half, { fill: color, pattern });
    s.text(String(name), box.x - 20, middle, { color: t.ink_2, align: "right", baseline: "middle" });
    s.text(`${formatNumber(n_units[r])} in ${n_sessions[r]}`, s.width, middle, { color: t.muted, size: 10, align: "right", baseline: "middle" });
  });
  s.text(`${d.counted ?? "units"} in sessions`, s.width, box.y + box.height + 16, { color: t.muted, size: 10, align: "right" });
  return Object.assign(plot, { step });
}

function pointViolin(d, { box, step }, x, y) {
  const r = Math.floor((y - box.y) / step);
  if (r < 0 || r >= d.areas.length) return null;
  const own = d.areas.row(r), name = d.areas.ids[r];
  const { name: full } = structureStyle(name);
  const counted = d.counted ?? "units", title = full === name || full === "no structure" ? name : `${name}: ${full}`;
  const n = `${formatNumber(own.n_units)} ${own.n_units === 1 ? counted.slice(0, -1) : counted} in ${own.n_sessions} ${own.n_sessions === 1 ? "session" : "sessions"}${own.n_outside ? `, ${formatNumber(own.n_outside)} beyond the axis` : ""}`;
  if (d.is_circular) return { lines: [title, n] };
  return { lines: [title, `median ${formatNumber(own.q50)}, quartiles ${formatNumber(own.q25)} and ${formatNumber(own.q75)}`,
    `90 % between ${formatNumber(own.q05)} and ${formatNumber(own.q95)}; mean ${formatNumber(own.mean)}`, n] };
}

const ofCourse = (d, i) => `${d.groups[i]}${i < 8 ? "" : " (dashed)"}: ${formatNumber(d.n_units[i])} ${d.n_units[i] === 1 ? d.counted.slice(0, -1) : d.counted}`;

function paintCourse(s, d, label) {
  const n = d.times.length;
  const [, hi] = extent(d.means), [lo] = extent(d.means, [0]);
  const right = 12 + Math.max(...d.groups.map((name, i) => s.measure(ofCourse(d, i), { size: 11 })));
  const plot = axes(s, { x: { domain: extent(d.times), label: "s" }, y: { domain: [lo, hi > lo ? hi * 1.05 : lo + 1], label }, right });
  const { sx, sy, box } = plot;
  const xs = Array.from(d.times, sx);
  d.groups.forEach((name, i) => {
    s.polyline(xs, xs.map((_, k) => sy(d.means[i * n + k])), { color: category(i), width: 1.5, dash: i < 8 ? null : [4, 3] });
    const y = box.y + 6 + i * Math.min(15, box.height / d.groups.length);
    s.text(ofCourse(d, i), box.x + box.width + 10, y, { color: category(i), size: 11, baseline: "middle" });
  });
  return plot;
}

function pointCourse(d, { sx, box }, x, time) {
  if (x < box.x || x > box.x + box.width) return null;
  const n = d.times.length;
  const k = Array.from(d.times, (t) => Math.abs(sx(t) - x)).reduce((best, gap, i, all) => (gap < all[best] ? i : best), 0);
  return { lines: [`${time} ${formatNumber(d.times[k])}`, ...d.groups.map((name, i) => `${name}: ${formatNumber(d.means[i * n + k])}`)] };
}

function paintHierarchy(s, d, label) {
  const t = theme();
  const { areas, sessions, correlation } = d;
  const c = areas.columns;
  const [lo, hi] = extent(c.mean, c.ci_low, c.ci_high, sessions.columns.mean);
  const pad = 0.08 * (hi - lo || 1);
  const plot = axes(s, { x: { domain: [-0.6, 0.55], label: "anatomical hierarchy score" }, y: { domain: [lo - pad, hi + pad], label: `mean ${label}` }, right: 16 });
  const { sx, sy, box } = plot;
  s.clip(box.x, box.y, box.width, box.height, () => {
    for (let k = 0; k < sessions.length; k++) {
      const i = areas.ids.indexOf(sessions.columns.area[k]);
      if (i >= 0) s.circle(sx(c.score[i]) + ((k * 7) % 9) - 4, sy(sessions.columns.mean[k]), 1.8, { fill: t.muted, alpha: 0.4 });
    }
    if (correlation.slope !== null && Number.isFinite(correlation.slope)) {
      s.line(sx(-0.6), sy(correlation.intercept - 0.6 * correlation.slope), sx(0.55), sy(correlation.intercept + 0.55 * correlation.slope), { color: t.line_strong, dash: [4, 4] });
    }
  });
  if (Number.isFinite(correlation.pearson_r ?? NaN)) {
    const ends = Number.isFinite(correlation.pearson_r_low ?? NaN) ? ` (resampled ${formatNumber(correlation.pearson_r_low, 2)} to ${formatNumber(correlation.pearson_r_high, 2)})` : "";
    const words = `r = ${formatNumber(correlation.pearson_r, 2)}, n = ${correlation.n_areas} areas${ends}`;
    const is_wide = s.measure(words, { weight: 500 }) + s.measure(label) + 60 < s.width;
    s.text(words, box.x + box.width, is_wide ? 10 : 26, { color: t.ink, weight: 500, align: "right" });
  }
  areas.ids.forEach((name, i) => {
    const x = sx(c.score[i]), y = sy(c.mean[i]);
    const { color } = structureStyle(name);
    if (Number.isFinite(c.ci_low[i])) s.line(x, sy(c.ci_low[i]), x, sy(c.ci_high[i]), { color: t.ink_2, width: 1.5 });
    // squares for thalamus, circles for cortex
    if (name.startsWith("VIS")) s.circle(x, y, 5, { fill: color, stroke: t.panel });
    else s.rect(x - 5, y - 5, 10, 10, { fill: color, stroke: t.panel });
    s.text(name, x + 8, y - 6, { color: t.ink_2 });
  });
  return plot;
}

function pointHierarchy(d, { sx, sy }, x, y) {
  const c = d.areas.columns;
  const i = d.areas.ids.findIndex((_, k) => Math.hypot(sx(c.score[k]) - x, sy(c.mean[k]) - y) < 14);
  if (i < 0) return null;
  const ends = Number.isFinite(c.ci_low[i]) ? `95 % of resampled sessions: ${formatNumber(c.ci_low[i])} to ${formatNumber(c.ci_high[i])}` : "one session: no interval";
  return { lines: [`${d.areas.ids[i]}: ${formatNumber(c.mean[i])}`, ends, `${formatNumber(c.n[i])} units in ${c.n_sessions[i]} sessions; score ${formatNumber(c.score[i])}`] };
}

// ---- tables

function tableOf(heads, rows, numbers = []) {
  return h("table.plain", h("thead", h("tr", heads.map((name, c) => h(numbers.includes(c) ? "th.number" : "th", name)))),
    h("tbody", rows.map((row) => h("tr", row.map((value, c) => h(numbers.includes(c) ? "td.number" : "td", value instanceof Node ? value : String(value)))))));
}

/** What a study found beside what is computed here, with verdicts; what has none is counted. */
function describePublished(values) {
  const rows = Array.from({ length: values.length }, (_, i) => values.row(i)).filter(({ verdict }) => verdict);
  const shown = rows.filter(({ verdict }) => !["not computed", "not comparable"].includes(verdict));
  const counts = new Map();
  // on simulated units nothing is reproduced or refuted
  for (const row of rows) if (SIMULATED.includes(row.verdict)) row.verdict = "simulated";
  for (const { verdict } of rows) counts.set(verdict, (counts.get(verdict) ?? 0) + 1);
  const tone = { reproduced: "good", differs: "bad" };
  const reasons = [...new Set(rows.filter(({ verdict }) => verdict === "not computed").map(({ reason }) => reason).filter(Boolean))];
  return [
    h("p.verdicts", [...counts].map(([verdict, n]) => h("span.chip", `${n} ${verdict}`))),
    shown.length ? h("div.scrolled", tableOf(["figure", "measure", "quantity", "ours", "95 %, sessions", "published", "tolerance", "verdict"], shown.map((row) => [
      row.figure, spaced(row.measure), spaced(row.quantity) + (row.area ? ` ${row.area}` : ""), formatNumber(row.value),
      Number.isFinite(row.low) ? `${formatNumber(row.low, 2)} to ${formatNumber(row.high, 2)}` : "", formatNumber(row.published), formatNumber(row.tolerance),
      h(`span.verdict.${tone[row.verdict] ?? "plain"}`, row.verdict)]), [3, 4, 5, 6])) : null,
    reasons.length ? h("p.muted.small", `Not computed: ${reasons.join("; ")}.`) : null,
  ];
}
