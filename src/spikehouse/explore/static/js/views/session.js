import { axes, extent, formatBytes, formatNumber, formatTime, timeTicks } from "../axes.js";
import { follow } from "../app.js";
import { category, structureStyle } from "../colors.js";
import { fill, h } from "../dom.js";
import { Cursor, Panel } from "../panel.js";
import { range } from "../state.js";
import { TimeSeries } from "../timeseries.js";

const LEFT = 56;

export const view = {
  title: () => "Session",
  params: { t: range(null, null) },
  keys: [["Enter", "units of this session"], ["z", "the whole session"]],
  async mount(root, ctx) {
    const { session } = ctx;
    const set = (t) => ctx.set({ t }, { replace: true });
    fill(root, head(session));
    const zoomed = h("button.button", { type: "button", hidden: true, title: "Show the whole session (z)", onclick: () => set(null) }, "Whole session");
    root.querySelector(".view-head").append(h("div.buttons", zoomed,
      h("a.button.primary", { href: ctx.link("units"), onclick: follow, title: "Units of this session (Enter)" }, "Units")));
    if (session.notes?.length) root.append(h("div.note", { style: { marginBottom: "16px" } }, session.notes.map(({ probe_id, note, source }) =>
      h("div", probe_id ? `Probe ${probe_id}: ${note}. ` : `${note[0].toUpperCase()}${note.slice(1)}. `, h("span.small", source)))));
    const grid = h("div.grid");
    root.append(grid);

    const cursor = new Cursor();
    let whole = null;
    const zoom = (a, b) => set([a, b]);
    const stack = h("div.stack");
    grid.append(stack);
    const timeline = new Panel(stack, {
      title: "Timeline", height: 76, name: "stimuli", cursor, zoom, code: () => ctx.code("timeline"),
      draw: drawTimeline, hover: hoverTimeline,
      describe: ({ epochs }) => `${epochs.length} epochs of stimuli over the session.`,
      csv: ({ epochs }) => epochs.columns,
    });
    const legend = h("div.legend", { style: { marginLeft: `${LEFT}px` } });
    timeline.root.append(legend);
    const traces = [
      { recipe: "running", title: "Running speed", label: "cm/s", unit: "cm/s", column: "mean", none: "The running speed was not recorded.", share: 0.008 },
      { recipe: "pupil", title: "Pupil area", label: "cm²", unit: "cm²", column: "mean", none: "This session has no eye tracking.", share: 0.017 },
    ].map((trace) => ({ ...trace, panel: new TimeSeries(stack, {
      title: trace.title, sub: trace.label, label: trace.label, height: 88, name: trace.recipe, hideTime: true, left: LEFT, cursor, zoom,
      code: () => ctx.code(trace.recipe, span(ctx.state)),
    }) }));

    const probes = new Panel(grid, {
      title: "Probes", height: 320, className: "span-12", name: "probes", code: () => ctx.code("probes"),
      draw: drawProbes, hover: (data, plot, x, y) => hoverProbes(data, plot, x, y),
      click: (data, plot, x) => { const probe = probeAt(plot, x); if (probe) ctx.go(ctx.link("p", probe.id)); },
      describe: ({ probes: list }) => `Units by depth of ${list.map(({ name, count }) => `${name} (${count} units)`).join(", ")}.`,
      csv: ({ units }) => units.columns,
    });
    const probeLinks = h("div.probe-links");
    // six probes do not fit a narrow window: there they are scrolled
    const across = h("div");
    probes.place.before(h("div.scroll", across));
    across.append(probeLinks, probes.place);
    // data that were given in Python are in no file
    const hasFile = Boolean(session.file) || !ctx.path.key.startsWith("file-");
    const stimuli = h(`section.panel.span-${hasFile ? 8 : 12}`, { "aria-label": "Stimuli" }, h("header", h("h2", "Stimuli")), h("p.muted", "…"));
    const fileBox = h("section.panel.span-4", { "aria-label": "Files" }, h("header", h("h2", "Files")), h("p.muted", "…"));
    grid.append(stimuli);
    if (hasFile) grid.append(fileBox);

    const span = ({ t }) => (t ? { span: [t[0] - 1, t[1] + 1] } : {});
    let asking = null;
    const asked = new Set();
    const files = ctx.path.key.startsWith("file-") ? Promise.resolve(null) : ctx.api("files", { session_ids: [ctx.path.key.replace("-all", "")], lfp: true }, { in: "survey" });
    function loadTraces(state) {
      asking?.abort();
      const { signal } = (asking = new AbortController());
      for (const { recipe, panel, column, title, unit, none, share } of traces) {
        const answer = (async () => {
          const size = ctx.page.stream && !asked.has(recipe) ? await sizeToStream(files) : 0;
          if (size) throw Object.assign(new Error("not asked for"), { status: 400, size });
          return ctx.api(recipe, span(state), { signal });
        })();
        panel.load(answer, ({ [recipe]: table }) => {
          if (!table?.length) throw Object.assign(new Error(table && state.t ? `There is no ${title.toLowerCase()} in this stretch of time.` : none), { status: 404, absent: !(table && state.t) });
          return { x: table.ids, series: [{ name: title, values: table.columns[column], unit }] };
        }).then(() => answer).catch(({ size }) => {
          if (!size || signal.aborted) return;
          panel.message([h("span", `It would be read from the server, about ${formatBytes(Math.max(1.1e6, share * size))}. `), h("button.button", { type: "button", onclick: () => { asked.add(recipe); loadTraces(ctx.state); } }, "Read")]);
        });
      }
    }
    function showSpan(state) {
      const domain = state.t ?? whole;
      zoomed.hidden = !state.t;
      if (!domain) return;
      for (const { panel } of traces) panel.setDomain(domain);
      if (timeline.data) timeline.show({ ...timeline.data, domain });
    }
    function update(state) {
      showSpan(state);
      for (const { panel } of traces) panel.expect();
      clearTimeout(update.timer);
      update.timer = setTimeout(() => loadTraces(state), 60);
    }

    const course = ctx.api("timeline");
    course.then(({ epochs, invalid, start, stop }) => {
      whole = Number.isFinite(start) && start !== null ? [Math.min(0, start), stop] : null;
      const names = [...new Set(epochs.columns.stimulus_name)];
      if (!epochs.length) timeline.message("This session has no stimuli.");
      else timeline.show({ epochs, invalid, names, domain: ctx.state.t ?? whole });
      fill(legend, names.filter((name) => name !== "invalid_presentation").map((name) => h("span", colorBox(stimulusColor(name, names) ?? "var(--line-strong)"), name.replaceAll("_", " "))),
        invalid.length ? h("span", h("span.swatch.invalid"), `invalid intervals (${invalid.length})`) : null);
      showSpan(ctx.state);
    }, (error) => { if (error.name !== "AbortError") timeline.message(error.message); });
    loadTraces(ctx.state);
    probes.load(ctx.api("probes"), (answer) => arrangeProbes(answer)).then(() => {
      if (!probes.data) return;
      across.style.minWidth = `${LEFT + 104 * probes.data.probes.length}px`;
      probes.sub(`units per 100 µm of depth, at most ${probes.data.most}`);
      fill(probeLinks, probes.data.probes.map(({ id, name, count }) => h("a", { href: ctx.link("p", id), onclick: follow }, h("b", name), ` ${count} units`)));
    });
    listStimuli(stimuli, ctx, course);
    listFiles(fileBox, ctx, files);
    return {
      update,
      onKey(event) {
        if (event.key === "Enter") { ctx.go(ctx.link("units")); return true; }
        if (event.key === "z" && ctx.state.t) { set(null); return true; }
        return false;
      },
      destroy() { clearTimeout(update.timer); [timeline, probes, ...traces.map(({ panel }) => panel)].forEach((panel) => panel.destroy()); },
    };
  },
};

function head(session) {
  const sex = { M: "male", F: "female" }[session.sex];
  return h("div.view-head", h("div", h("h1", session.session_id ? `Session ${session.session_id}` : session.title),
    h("p.facts", [
      session.is_simulated ? "simulated data" : null, session.session_type?.replaceAll("_", " "), session.full_genotype, sex,
      Number.isFinite(session.age_in_days) ? `${formatNumber(session.age_in_days)} days old` : null, session.recorded ? session.recorded.slice(0, 10) : null,
      session.n_units === null ? null : `${formatNumber(session.n_units)} units`, session.n_probes ? `${session.n_probes} probe${session.n_probes === 1 ? "" : "s"}` : null,
      session.n_presentations ? `${formatNumber(session.n_presentations)} presentations` : null,
    ].filter(Boolean).map((fact) => h("span", fact)))));
}

async function listStimuli(box, ctx, course) {
  const title = h("header", h("h2", "Stimuli"));
  try {
    const [{ stimuli }, { epochs }] = await Promise.all([ctx.api("stimuli"), course]);
    if (!stimuli.length) throw new Error("This session has no stimuli.");
    const unit = ctx.selection.get()?.ids[0] ?? ctx.session.first_unit;
    const rows = Array.from({ length: stimuli.length }, (_, i) => stimuli.row(i)).map(({ stimulus_name: name, presentation_count: count, duration, parameters }) => {
      const words = name.replaceAll("_", " ");
      const first = epochs.columns.stimulus_name.indexOf(name);
      const times = ["start_time", "stop_time"].map((end) => Number(epochs.columns[end][first]?.toFixed(1)));
      // spikes are aligned to what was shown
      const isShown = !isPause(name) && name !== "invalid_presentation";
      return h("tr", h("td", isShown && unit ? h("a", { href: `${ctx.link("u", unit)}?align=${encodeURIComponent(name)}`, onclick: follow }, words) : words),
        h("td.number", formatNumber(count)), h("td.number", formatTime(duration, 60)), h("td.only-wide", parameters.replaceAll("_", " ") || h("span.muted", "none vary")),
        h("td", first < 0 ? null : h("a", { href: `${ctx.link("population")}?t=${times}`, onclick: follow, "aria-label": `Population during ${words}` }, "population")));
    });
    fill(box, h("header", h("h2", "Stimuli"), h("span.sub", "a name opens the responses of a unit to it")), h("div.scroll", h("table.plain",
      h("thead", h("tr", h("th", "Stimulus"), h("th.number", "Presentations"), h("th.number", "Duration"), h("th.only-wide", "Parameters (values)"), h("th", h("span.hidden-label", "Population")))), h("tbody", rows))));
  } catch (error) {
    if (error.name !== "AbortError") fill(box, title, h("p.muted", error.message));
  }
}

/** The size of the session's file if it is read from a server, else 0. */
async function sizeToStream(asked) {
  try {
    const { files } = await asked;
    const row = Array.from(files.columns.probe_id).findIndex(Number.isNaN);
    return files.columns.is_here[row] ? 0 : files.columns.n_bytes[row] || 2e9;
  } catch { return 2e9; }
}

async function listFiles(box, ctx, asked) {
  const title = h("header", h("h2", "Files"));
  const streamed = ctx.page.stream ? h("p.small.muted", { style: { marginTop: "8px" } }, "Parts that are not on this machine are read from the server when a view needs them; the bar at the top says how much.") : null;
  if (ctx.path.key.startsWith("file-")) {
    fill(box, title, h("p", ctx.session.file), h("p.small.muted", "Opened by its path."));
    return;
  }
  try {
    const { files } = await asked;
    fill(box, title, h("table.plain", h("tbody", Array.from({ length: files.length }, (_, i) => files.row(i)).map(({ file, n_bytes, n_bytes_here, is_here, source, problem }) => h("tr",
      h("td", file.split("/").at(-1), problem ? h("div.small.muted", problem) : null),
      h("td.number", Number.isFinite(n_bytes) ? formatBytes(n_bytes) : ""),
      h("td.muted", is_here ? "here" : n_bytes_here ? `${formatBytes(n_bytes_here)} here` : source === "demo" ? "simulated when read" : "remote"))))), streamed);
  } catch (error) {
    if (error.name !== "AbortError") fill(box, title, h("p.muted", error.message));
  }
}

function colorBox(color) {
  const box = h("span.swatch");
  box.style.backgroundColor = color;
  return box;
}

const isPause = (name) => name.startsWith("spontaneous");
const stimulusColor = (name, names) => category(names.filter((one) => !isPause(one) && one !== "invalid_presentation").indexOf(name));

function drawTimeline(s, { epochs, invalid, names, domain }, { width, height, theme }) {
  const plot = axes(s, { x: { domain, ticks: timeTicks(...domain, Math.max(2, Math.floor(width / 110))), format: (v) => formatTime(v, domain[1] - domain[0]) }, y: { domain: [0, 1], hide: true }, left: LEFT, top: 4, bottom: 24 });
  const { sx, box } = plot;
  const { start_time: starts, stop_time: stops, stimulus_name: labels } = epochs.columns;
  s.clip(box.x, box.y, box.width, box.height, () => {
    for (let i = 0; i < epochs.length; i++) {
      const x0 = Math.max(sx(starts[i]), box.x), x1 = Math.min(sx(stops[i]), box.x + box.width);
      if (x1 <= x0) continue;
      const color = isPause(labels[i]) || labels[i] === "invalid_presentation" ? theme.sunken : stimulusColor(labels[i], names);
      s.rect(x0, box.y + 4, Math.max(1, x1 - x0 - (x1 - x0 > 4 ? 1 : 0)), box.height - 8, { fill: color });
      const words = labels[i].replaceAll("_", " ");
      if (!isPause(labels[i]) && s.measure(words) + 12 < x1 - x0) s.text(words, (x0 + x1) / 2, box.y + box.height / 2, { align: "center", baseline: "middle", color: theme.dark ? "#101214" : "#ffffff", weight: 500 });
    }
    for (let i = 0; i < invalid.length; i++) {
      const x0 = sx(invalid.columns.start_time[i]), x1 = Math.max(x0 + 2, sx(invalid.columns.stop_time[i]));
      s.patterned(x0, box.y, x1 - x0, box.height, { fill: "rgb(0 0 0 / 0%)", pattern: "rising", color: theme.ink, step: 5 });
      s.line(x0, box.y, x0, box.y + box.height, { color: theme.ink });
      s.line(x1, box.y, x1, box.y + box.height, { color: theme.ink });
    }
  });
  return plot;
}

function hoverTimeline({ epochs, invalid, domain }, { sx }, x) {
  const t = sx.invert(x);
  const lines = [];
  const find = (table) => { for (let i = 0; i < table.length; i++) if (t >= table.columns.start_time[i] && t < table.columns.stop_time[i]) return table.row(i); return null; };
  const epoch = find(epochs), wrong = find(invalid);
  const times = ({ start_time: a, stop_time: b }) => `${formatTime(a, domain[1] - domain[0])} to ${formatTime(b, domain[1] - domain[0])}, ${formatNumber(b - a)} s`;
  if (epoch) lines.push(epoch.stimulus_name.replaceAll("_", " "), times(epoch), Number.isFinite(epoch.stimulus_block) ? `block ${epoch.stimulus_block}` : null);
  if (wrong) lines.push(lines.length ? `Invalid: ${wrong.tags}` : "Invalid interval", lines.length ? null : wrong.tags, times(wrong));
  const found = lines.filter(Boolean);
  return found.length ? { lines: found } : null;
}

function arrangeProbes({ probes, structures, units }) {
  if (!probes.length) throw Object.assign(new Error("This session has no probes."), { status: 404, absent: true });
  const runs = structures.columns, bins = units.columns;
  const list = Array.from(probes.ids, (id, i) => ({
    id, name: probes.columns.description[i], count: probes.columns.unit_count[i],
    runs: Array.from({ length: structures.length }, (_, k) => k).filter((k) => runs.probe_id[k] === id).map((k) => structures.row(k)),
    bins: Array.from({ length: units.length }, (_, k) => k).filter((k) => bins.probe_id[k] === id).map((k) => units.row(k)),
  }));
  return { probes: list, units, depth: extent(runs.from_um, runs.to_um), most: Math.max(1, ...list.flatMap(({ bins: rows }) => [...totals(rows).values()])) };
}

function totals(rows) {
  const sums = new Map();
  for (const { from_um, unit_count } of rows) sums.set(from_um, (sums.get(from_um) ?? 0) + unit_count);
  return sums;
}

function drawProbes(s, { probes, depth, most }, { theme }) {
  const plot = axes(s, { x: { domain: [0, 1], hide: true }, y: { domain: depth, label: "µm from the tip", ticks: depth[1] < 1000 ? undefined : [0, 1000, 2000, 3000].filter((v) => v <= depth[1]) }, left: LEFT, right: 0, bottom: 8, grid: false });
  const { box, sy } = plot;
  plot.columns = [];
  const gap = 24, each = (box.width - gap * (probes.length - 1)) / probes.length;
  probes.forEach((probe, i) => {
    const x = box.x + i * (each + gap);
    plot.columns.push({ probe, x, width: each });
    const bar = Math.min(12, each / 5), from = x + bar + 52, room = each - bar - 52;
    for (const { structure, from_um, to_um } of probe.runs) {
      const { color, pattern } = structureStyle(structure);
      const y = sy(to_um), tall = sy(from_um) - y;
      if (structure === null) { s.rect(x, y, bar, tall, { fill: theme.sunken }); continue; }
      s.patterned(x, y, bar, Math.max(1, tall - 1), { fill: color, pattern });
      if (tall > 13) s.text(structure, x + bar + 6, y + tall / 2, { baseline: "middle", color: theme.muted });
    }
    const filled = new Map();
    const tall = Math.max(1, sy(0) - sy(100) - 1);
    for (const { from_um, structure, unit_count } of probe.bins) {
      const start = filled.get(from_um) ?? 0;
      filled.set(from_um, start + unit_count);
      const { color, pattern } = structureStyle(structure);
      s.patterned(from + (room * start) / most, sy(from_um + 100), Math.max(1, (room * unit_count) / most), tall, { fill: color, pattern, step: 5 });
    }
  });
  return plot;
}

const probeAt = (plot, x) => plot.columns.find((column) => x >= column.x - 8 && x < column.x + column.width + 16)?.probe;

function hoverProbes(data, plot, x, y) {
  const probe = probeAt(plot, x);
  if (!probe) return null;
  const depth = plot.sy.invert(y);
  const run = probe.runs.find(({ from_um, to_um }) => depth >= from_um && depth < to_um);
  const bin = Math.floor(depth / 100) * 100;
  const here = totals(probe.bins).get(bin) ?? 0;
  return { lines: [probe.name, run?.structure ? `${run.structure}: ${structureStyle(run.structure).name}` : "outside the brain", `${here} units from ${bin} to ${bin + 100} µm`, "Click to open the probe"] };
}
