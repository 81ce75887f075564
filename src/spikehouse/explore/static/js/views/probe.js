import { axes, colorBar, extent, formatBytes, formatNumber } from "../axes.js";
import { follow } from "../app.js";
import { mapColor, paint, structureStyle } from "../colors.js";
import { choose, fill, h } from "../dom.js";
import { swatch } from "../facets.js";
import { Panel } from "../panel.js";
import { choice, flag, number, text } from "../state.js";
import { Grid } from "../table.js";

const NOT_METRICS = /(^|_)id$|^(probe_vertical_position|probe_horizontal_position|probe_channel_number|local_index|probe_sampling_rate|probe_lfp_sampling_rate|peak_channel|probe_has_lfp_data)/;

const CHANNEL_COLUMNS = [
  ["probe_channel_number", "number"], ["probe_vertical_position", "depth"], ["probe_horizontal_position", "across"], ["ecephys_structure_acronym", "structure"],
  ["anterior_posterior_ccf_coordinate", "anterior–posterior"], ["dorsal_ventral_ccf_coordinate", "dorsal–ventral"], ["left_right_ccf_coordinate", "left–right"],
];

export const view = {
  title: (path) => `Probe ${path.probe}`,
  params: { metric: text("snr"), as: choice(["color", "size"]), unit: number(null, { min: 0 }), channels: flag() },
  keys: [["j  k", "next or previous unit, by depth"], ["Enter", "open the unit"], ["n  p", "next or previous probe"], ["h", "table of channels"]],
  async mount(root, ctx) {
    const probe_id = Number(ctx.path.probe);
    const [{ probes, structures }, { units }] = await Promise.all([ctx.api("probes"), ctx.api("probe_units", { probe_id: ctx.path.probe })]);
    const place = Array.from(probes.ids).indexOf(probe_id);
    const probe = probes.row(place);
    const set = (patch) => ctx.set(patch, { replace: true });
    const step = (by) => { const id = probes.ids[place + by]; if (id !== undefined) ctx.go(ctx.link("p", id) + location.search.replace(/[?&]unit=\d+/, "")); };
    const runs = Array.from({ length: structures.length }, (_, i) => structures.row(i)).filter((run) => run.probe_id === probe_id);
    const depth = runs.length ? [Math.min(0, ...runs.map(({ from_um }) => from_um)), Math.max(...runs.map(({ to_um }) => to_um))] : [0, 3840];
    const metrics = Object.keys(units.columns).filter((name) => ArrayBuffer.isView(units.columns[name]) && name !== units.index && !NOT_METRICS.test(name) && units.columns[name].some(Number.isFinite));
    const metric = () => (metrics.includes(ctx.state.metric) ? ctx.state.metric : metrics[0]);
    if (metrics.length && location.search.includes("metric=") && !metrics.includes(ctx.state.metric)) ctx.notice(`Units of this probe have no ${ctx.state.metric}; ${metrics[0]} is shown.`);

    fill(root, h("div.view-head", h("div", h("h1", `${probe.description}`),
      h("p.facts", [`probe ${probe_id}`, `${formatNumber(units.length)} units`, Number.isFinite(probe.sampling_rate) ? `${formatNumber(probe.sampling_rate / 1000, 3)} kHz` : null, probe.has_lfp_data ? `LFP at ${formatNumber(probe.lfp_sampling_rate, 4)} Hz` : "no LFP"].filter(Boolean).map((fact) => h("span", fact)))),
    h("nav.buttons", { "aria-label": "Probes" }, Array.from(probes.ids, (id, i) => h("a.button", { href: ctx.link("p", id), onclick: follow, "aria-current": id === probe_id ? "page" : null }, probes.columns.description[i])))),
    h("div.controls", ...(metrics.length ? [choose("Metric", metrics, metric(), (name) => set({ metric: name })), choose("shown as", [["color", "colour"], ["size", "size"]], ctx.state.as, (as) => set({ as }))] : []),
      h("button.button", { type: "button", title: "Channels of this probe (h)", onclick: () => set({ channels: !ctx.state.channels }) }, "Channels")),
    h("div.grid.probe-grid"));
    const grid = root.querySelector(".grid");

    let shown = { unit: ctx.state.unit };
    // the map and what is beside it fill the window
    const tall = Math.max(420, innerHeight - 312);
    const map = new Panel(grid, {
      title: "Units by depth", height: tall, className: "span-7", name: `probe-${probe_id}`, code: () => ctx.code("probe_units", { probe_id }),
      draw: drawUnits, hover: (data, plot, x, y) => hoverUnits(data, plot, x, y),
      click: (data, plot, x, y) => { const i = unitAt(plot, x, y); if (i !== null) open(i); },
      describe: (data) => `${units.length} units by depth on ${probe.description}${data.metric ? `, with ${data.metric}` : ""}.`,
      csv: () => ({ unit_id: units.ids, depth: units.columns.probe_vertical_position, structure: units.columns.ecephys_structure_acronym, ...(metric() ? { [metric()]: units.columns[metric()] } : {}) }),
    });
    const side = h("div.side.span-5");
    grid.append(side);
    const csd = new Panel(side, { title: "Current source density", sub: "after a flash", height: (tall - 70) / 2, name: `csd-${probe_id}`, code: () => ctx.code("csd", { probe_id }), draw: drawCsd, hover: hoverCsd,
      describe: () => "Current source density by depth and time after a flash.", csv: ({ csd: values, time, depth_um }) => flatten(values, depth_um, time, "csd") });
    const lfp = new Panel(side, { title: "Local field potential", sub: "one second", height: (tall - 70) / 2, name: `lfp-${probe_id}`, code: () => ctx.code("lfp_piece", { probe_id }), draw: drawLfp,
      describe: () => "One second of the local field potential by depth.", csv: ({ lfp: values, time, depth_um }) => flatten(values, depth_um, time, "lfp") });
    const channels = h("div.channels", { hidden: true });
    root.append(channels);
    let table = null;

    const open = (i) => ctx.go(ctx.link("u", units.ids[i]));
    const ids = Array.from(units.ids);
    // the units of this probe are what j and k in the unit view go through
    const readLfp = () => {
      csd.load(ctx.api("csd", { probe_id }), (data) => ({ ...there(data, data.csd), values: data.csd }));
      lfp.load(ctx.api("lfp_piece", { probe_id }), (data) => ({ ...there(data, data.lfp), domain: depth }));
    };
    offerLfp(ctx, probe, probe_id, [csd, lfp], readLfp);

    async function showChannels(on) {
      channels.hidden = !on;
      if (!on || table) return;
      const { channels: rows } = await ctx.api("probe_channels", { probe_id });
      fill(channels, h("h2", { style: { margin: "16px 0 8px" } }, "Channels"));
      table = new Grid(channels, { label: "Channels", open: () => {}, columns: [
        { key: rows.index, label: "channel", values: rows.ids, format: String, numeric: false, width: 112 },
        ...CHANNEL_COLUMNS.filter(([name]) => rows.columns[name]).map(([name, label]) => ({ key: name, label, meaning: name, values: rows.columns[name],
          render: name.endsWith("acronym") ? (cell, row) => { const value = rows.columns[name][row]; fill(cell, value === null ? "–" : [swatch(value), ` ${value}`]); } : undefined })),
      ] });
      table.setRows(Array.from({ length: rows.length }, (_, i) => i));
      channels.scrollIntoView({ block: "nearest" });
    }

    function update(state) {
      shown = { unit: state.unit };
      const select = root.querySelector(".controls select");
      if (select && select.value !== metric()) select.value = metric();
      if (!units.length) map.message(`No unit of ${probe.description} passes the filters of this session.`);
      else map.show({ units, runs, domain: depth, metric: metric(), as: state.as, current: ids.indexOf(shown.unit) });
      showChannels(state.channels).catch((error) => { if (error.name !== "AbortError") ctx.notice(error.message); });
    }
    update(ctx.state);
    return {
      update,
      onKey(event) {
        if (table && document.activeElement === table.root) return table.onKey(event);
        const at = ids.indexOf(ctx.state.unit);
        if (event.key === "j" || event.key === "k") { const to = at < 0 ? 0 : Math.max(0, Math.min(ids.length - 1, at + (event.key === "j" ? 1 : -1))); if (ids.length) set({ unit: ids[to] }); return true; }
        if (event.key === "Enter" && ids.length) { open(at < 0 ? 0 : at); return true; }
        if (event.key === "n") { step(1); return true; }
        if (event.key === "p") { step(-1); return true; }
        if (event.key === "h") { set({ channels: !ctx.state.channels }); return true; }
        return false;
      },
      destroy() { table?.destroy(); [map, csd, lfp].forEach((panel) => panel.destroy()); },
    };
  },
};

function there(data, values) {
  if (values?.length) return data;
  const reason = data.reason ?? "There are no samples in this stretch of time.";
  throw Object.assign(new Error(reason[0].toUpperCase() + reason.slice(1)), { status: 404 });
}

/** Read LFP and current source density at once if their file is here, else after a click that says how much it is. */
async function offerLfp(ctx, probe, probe_id, panels, read) {
  if (!probe.has_lfp_data) return panels.forEach((panel) => panel.message(`There is no LFP of ${probe.description}.`));
  // a file that was opened by its path is beside its LFP files, or has none
  if (!/^\d+(-all)?$/.test(ctx.path.key)) return read();
  // they wait until it is known where the file is
  panels.forEach((panel) => panel.load(new Promise(() => {})));
  try {
    const { files } = await ctx.api("files", { session_ids: [ctx.path.key.replace("-all", "")], lfp: true }, { in: "survey" });
    const row = Array.from(files.columns.probe_id).indexOf(probe_id);
    if (row < 0 || files.columns.is_here[row]) return read();
    const size = files.columns.n_bytes[row];
    const words = files.columns.source[row] === "demo" ? "It is simulated when it is first read, which may take some seconds." : `${Number.isFinite(size) ? `Its file of ${formatBytes(size)}` : "Its file"} is remote: about 4 MB of it are read.`;
    panels[0].message([h("p", words), h("button.button", { type: "button", style: { marginTop: "12px" }, onclick: read }, "Read LFP")]);
    panels[1].message("Not read yet.");
  } catch (error) {
    if (error.name !== "AbortError") panels.forEach((panel) => panel.message(error.message));
  }
  return undefined;
}

function drawUnits(s, { units, runs, domain, metric, as, current }, { width, height, theme }) {
  const plot = axes(s, { x: { domain: [0, 1], hide: true }, y: { domain, label: "µm from the tip" }, left: 52, right: 64, top: 24, bottom: 12, grid: false });
  const { box, sy } = plot;
  const labelled = box.x + 20;
  for (const { structure, from_um, to_um } of runs) {
    const y = sy(to_um), tall = sy(from_um) - y;
    if (structure === null) { s.rect(box.x, y, 12, tall, { fill: theme.sunken }); continue; }
    const { color, pattern } = structureStyle(structure);
    s.rect(box.x + 12, y, box.width - 12, tall, { fill: color, alpha: theme.dark ? 0.13 : 0.1 });
    s.patterned(box.x, y, 12, Math.max(1, tall - 1), { fill: color, pattern });
    s.line(box.x, y, box.x + box.width, y, { color: theme.panel });
    if (tall > 12) s.text(structure, labelled, y + Math.min(tall / 2, 14), { baseline: "middle", color: theme.ink_2, weight: 500 });
  }
  const values = units.columns[metric] ?? new Float64Array(units.length).fill(NaN), depths = units.columns.probe_vertical_position, across = units.columns.probe_horizontal_position;
  const finite = Array.from(values).filter(Number.isFinite).sort((a, b) => a - b);
  // outliers would leave one colour for all others
  const lo = finite[Math.floor(0.02 * (finite.length - 1))] ?? 0, hi = finite[Math.ceil(0.98 * (finite.length - 1))] ?? 1;
  const share = (v) => (hi > lo ? Math.max(0, Math.min(1, (v - lo) / (hi - lo))) : 0.5);
  const [left, right] = extent(across);
  const sx = (um) => box.x + 96 + (right > left ? (um - left) / (right - left) : 0.5) * (box.width - 136);
  plot.points = [];
  const taken = [];
  for (let i = 0; i < units.length; i++) {
    const radius = as === "size" ? (Number.isNaN(values[i]) ? 2 : 2.5 + 6.5 * share(values[i])) : 5;
    const y = sy(depths[i]);
    let x = sx(across[i]);
    // units of one channel stand side by side
    for (let k = 0; k < 24 && taken.some((p) => (p.x - x) ** 2 + (p.y - y) ** 2 < (p.radius + radius) ** 2 * 0.7); k++) x = sx(across[i]) + (k % 2 ? -1 : 1) * (Math.floor(k / 2) + 1) * radius * 1.1;
    const point = { x, y, radius, i };
    taken.push(point);
    plot.points.push(point);
    const fillColor = Number.isNaN(values[i]) ? theme.line_strong : as === "size" ? structureStyle(units.columns.ecephys_structure_acronym?.[i]).color : mapColor("viridis", share(values[i]));
    s.circle(x, y, radius, { fill: fillColor });
    // the darkest of the colour map must be seen on dark ground, too
    s.circle(x, y, radius, { stroke: theme.dark ? "rgb(255 255 255 / 50%)" : theme.panel, width: 1 });
    if (i === current) s.circle(x, y, radius + 3, { stroke: theme.ink, width: 2 });
  }
  if (!metric) return plot;
  if (as === "color") {
    const paintBar = (row) => paint(row, 128, 1, 0, 1, "viridis");
    colorBar(s, { x: width - 48, y: box.y + 20, height: 120, lo, hi, paintBar });
    s.text(metric.replaceAll("_", " "), width, box.y + 8, { align: "right", color: theme.ink_2 });
  } else s.text(`size: ${metric.replaceAll("_", " ")}, ${formatNumber(lo)} to ${formatNumber(hi)}`, width, 10, { align: "right", color: theme.ink_2 });
  return plot;
}

function unitAt(plot, x, y) {
  const near = plot.points.map((point) => ({ ...point, far: Math.hypot(point.x - x, point.y - y) - point.radius })).sort((a, b) => a.far - b.far)[0];
  return near && near.far < 4 ? near.i : null;
}

function hoverUnits({ units, metric, runs }, plot, x, y) {
  const i = unitAt(plot, x, y);
  if (i === null) {
    const at = plot.sy.invert(y);
    const run = runs.find(({ from_um, to_um, structure }) => structure !== null && at >= from_um && at < to_um);
    return run && x < plot.box.x + 90 ? { lines: [run.structure, structureStyle(run.structure).name, `${formatNumber(run.from_um)} to ${formatNumber(run.to_um)} µm`] } : null;
  }
  const { ecephys_structure_acronym: acronyms, probe_vertical_position: depths, firing_rate: rates, snr } = units.columns;
  const lines = [`Unit ${units.ids[i]}`, `${acronyms?.[i] ?? "no structure"}, ${formatNumber(depths[i])} µm`];
  if (rates) lines.push(`${formatNumber(rates[i])} spikes/s`);
  if (snr) lines.push(`snr ${formatNumber(snr[i])}`);
  if (metric && !["snr", "firing_rate"].includes(metric)) lines.push(`${metric.replaceAll("_", " ")} ${formatNumber(units.columns[metric][i])}`);
  const point = plot.points.find((one) => one.i === i);
  return { lines, mark: (s) => s.circle(point.x, point.y, point.radius + 3, { stroke: "currentColor", width: 2 }) };
}

function drawCsd(s, { values, time, depth_um }, { width, height }) {
  const rows = depth_um.length, columns = time.length;
  const finite = Array.from(values).filter(Number.isFinite).map(Math.abs).sort((a, b) => a - b);
  const most = finite[Math.floor(0.98 * finite.length)] || 1;
  const [low, high] = extent(depth_um);
  const plot = axes(s, { x: { domain: [time[0] * 1000, time[columns - 1] * 1000], label: "ms after the flash" }, y: { domain: [low, high], label: "µm from the tip" }, right: 56, grid: false });
  const { box } = plot;
  // rows go from the tip up; the picture begins at the top
  s.image(paint(values, rows, columns, -most, most, "diverging", { flip: depth_um[0] < depth_um[rows - 1] }), columns, rows, box.x, box.y, box.width, box.height, { smooth: true });
  const zero = plot.sx(0);
  s.line(zero, box.y, zero, box.y + box.height, { color: "rgb(0 0 0 / 45%)", dash: [2, 3] });
  colorBar(s, { x: width - 46, y: box.y, height: Math.min(96, height - 60), lo: -most, hi: most, paintBar: (row) => paint(row.map((v) => 2 * v - 1), 128, 1, -1, 1, "diverging"), format: (v) => formatNumber(v, 2) });
  return plot;
}

function hoverCsd({ values, time, depth_um }, { sx, sy, box }, x, y) {
  if (x < box.x || x > box.x + box.width || y < box.y || y > box.y + box.height) return null;
  const nearest = (list, value) => list.reduce((best, one, i) => (Math.abs(one - value) < Math.abs(list[best] - value) ? i : best), 0);
  const column = nearest(time, sx.invert(x) / 1000), row = nearest(depth_um, sy.invert(y));
  return { lines: [`${formatNumber(values[row * time.length + column], 3)} V/cm²`, `${formatNumber(time[column] * 1000)} ms, ${formatNumber(depth_um[row])} µm`] };
}

function drawLfp(s, { lfp, time, depth_um, domain }, { theme }) {
  const columns = time.length;
  const span = time[columns - 1] - time[0];
  const plot = axes(s, { x: { domain: [0, span], label: `s from ${formatNumber(time[0], 5)} s on` }, y: { domain, label: "µm from the tip" }, grid: false });
  const { sx, sy, box } = plot;
  const order = Array.from(depth_um.keys()).filter((row) => Number.isFinite(depth_um[row])).sort((a, b) => depth_um[a] - depth_um[b]);
  // as many traces as stand apart
  const every = Math.max(1, Math.ceil(order.length / Math.max(4, Math.floor(box.height / 9))));
  const sizes = Array.from(lfp, Math.abs).filter(Number.isFinite).sort((a, b) => a - b);
  const gain = 14 / (sizes[Math.floor(0.99 * sizes.length)] || 1);
  const xs = Array.from(time, (t) => sx(t - time[0]));
  s.clip(box.x, 0, box.width, box.y + box.height, () => {
    for (let k = 0; k < order.length; k += every) {
      const row = order[k], base = sy(depth_um[row]);
      s.polyline(xs, xs.map((_, i) => base - gain * lfp[row * columns + i]), { color: theme.ink_2, width: 0.8, alpha: 0.85 });
    }
  });
  return plot;
}

/** A matrix as the columns of a table: depth, time, value. */
function flatten(values, depth_um, time, name) {
  const at = Array.from(values, (_, i) => i);
  return { depth_um: at.map((i) => depth_um[Math.floor(i / time.length)]), time: at.map((i) => time[i % time.length]), [name]: values };
}
