import { axes, extent, formatNumber, niceTicks } from "../../axes.js";
import { paint } from "../../colors.js";
import { toCsv } from "../../api.js";
import { download, h } from "../../dom.js";
import { Panel } from "../../panel.js";
import { colorRows, parameterName, valueColors, valueName } from "./groups.js";

// more lines than this are a heat map; errors are drawn while they can be told apart
const MOST_LINES = 10;
const MOST_ERRORS = 6;

/** A raster with its PSTH; `peak` is shared by those side by side, so that their rates have one scale. */
export function rasterPanel(parent, { zoom, code, peak }) {
  const panel = new Panel(parent, {
    title: "Raster and PSTH", name: "raster", height: 200, zoom, code,
    draw: (s, data, { theme }) => {
      const plot = draw(s, data, theme, peak);
      panel.sub(counts(data.answer, plot.bands));
      return plot;
    },
    hover,
    describe: ({ answer, by }) => `${counts(answer, 0)}, in ${answer.groups.length} groups${by ? ` by ${parameterName(by)}` : ""}.`,
    csv,
  });
  // two tables: rows are spikes in one and bins in the other
  const showSave = panel.showSave.bind(panel);
  panel.showSave = () => {
    showSave();
    const save = () => { panel.root.querySelector(".menu").remove(); download("psth.csv", toCsv(psthCsv(panel.data)), "text/csv"); };
    if (panel.data) panel.root.querySelector(".menu").append(h("button.button", { role: "menuitem", onclick: save }, "CSV of the PSTH"));
  };
  return panel;
}

// what is shown, in numbers; a spike in two windows has two marks
function counts({ rows, bin_edges: edges, n_spikes: marks, n_different_spikes: spikes }, bands) {
  const n = formatNumber(rows.length);
  const invalid = rows.columns.is_invalid.filter(Boolean).length;
  return [
    `${n} presentation${rows.length === 1 ? "" : "s"}`,
    invalid ? `${formatNumber(invalid)} of them overlap${invalid === 1 ? "s" : ""} an invalid interval` : "",
    `${formatNumber(spikes)} spike${spikes === 1 ? "" : "s"} from ${formatNumber(edges[0])} to ${formatNumber(edges[edges.length - 1])} s`,
    `${formatNumber(1000 * (edges[1] - edges[0]))} ms bins`,
    marks > spikes ? `windows overlap: ${formatNumber(marks)} marks` : "",
    bands ? `rows shown as ${formatNumber(bands)} bands` : "",
  ].filter(Boolean).join(" · ");
}

/** How many bands the rows are shown as; 0 if each has a line of its own. */
const bandsOf = ({ rows, band_counts: counted }, height) => (counted ? counted.shape[0] : rows.length > height ? Math.floor(height) : 0);

function layout(s, { answer, by }) {
  const below = Math.round(Math.min(220, Math.max(112, 0.3 * s.height)));
  const { label: values, n_presentations: sizes } = answer.groups.columns;
  const names = values.map((label) => valueName(by, label));
  const room = Math.max(40, 0.3 * s.width);
  const widest = (words) => (words.length > 1 ? Math.max(...words.map((word) => s.measure(word, { size: 11 }))) + 18 : 0);
  const whole = names.map((name, g) => `${name} · n = ${formatNumber(sizes[g])}`);
  // where there is no room for n it is in a line below, or in the tooltip alone
  const isWhole = widest(whole) <= room;
  const labels = (isWhole ? whole : names).map((word) => shorten(s, word, room - 18));
  const left = Math.max(40, widest(labels));
  const { bin_edges: edges } = answer;
  return { below, labels, isWhole, left, domain: [edges[0], edges[edges.length - 1]] };
}

function shorten(s, word, room) {
  if (s.measure(word, { size: 11 }) <= room) return word;
  let end = word.length - 1;
  while (end > 1 && s.measure(`${word.slice(0, end)}…`, { size: 11 }) > room) end--;
  return `${word.slice(0, end)}…`;
}

function draw(s, data, t, peak) {
  const { answer, by, color, event } = data;
  const { below, labels, isWhole, left, domain } = layout(s, data);
  const n = answer.rows.length;
  const common = { left, right: 12, grid: false };
  const raster = axes(s, { ...common, top: color ? 30 : 14, bottom: 8, area: { height: s.height - below }, x: { domain, hide: true }, y: { domain: [0, n], flip: true, hide: true } });
  const { box, sx, sy } = raster;
  const groups = valueColors(by, answer.groups.columns.label);
  const psth = drawPsth(s, data, t, { ...common, below, domain, groups, peak });
  const whole = psth.box.y + psth.box.height - box.y;

  const span = [0, answer.stimulus_duration].map((x) => (event === "offset" ? -x : x)).sort((a, b) => a - b);
  s.clip(box.x, 0, box.width, s.height, () => {
    s.rect(sx(span[0]), box.y - 11, sx(span[1]) - sx(span[0]), 4, { fill: t.line_strong, radius: 2 });
    for (const x of span) for (const part of [box, psth.box]) s.line(sx(x), part.y, sx(x), part.y + part.height, { color: x === 0 ? t.muted : t.line_strong });
  });
  const painted = colorRows(answer, by, color);
  const bands = bandsOf(answer, box.height);
  if (answer.band_counts) drawBands(s, answer, painted, box);
  else if (bands) drawImage(s, answer, painted, box, bands);
  else drawMarks(s, answer, painted, raster);

  // a line between many groups would be all that is seen
  const isCoarse = box.height / labels.length > 12;
  let first = 0, last = -Infinity;
  answer.groups.columns.n_presentations.forEach((size, i) => {
    const middle = sy(first + size / 2);
    if (!color && labels.length > 1) s.rect(box.x - 6, sy(first) + (isCoarse ? 1 : 0), 3, sy(first + size) - sy(first) - (isCoarse ? 2 : 0), { fill: groups[i] });
    if (first && isCoarse) s.line(box.x, sy(first), box.x + box.width, sy(first), { color: t.line });
    if (labels.length > 1 && middle - last >= 13) {
      const words = isWhole || sy(first + size) - sy(first) < 30 ? [labels[i]] : [labels[i], `n = ${formatNumber(size)}`];
      words.forEach((word, line) => s.text(word, box.x - 12, middle + 14 * (line - (words.length - 1) / 2), { size: 11, color: t.ink_2, align: "right", baseline: "middle" }));
      last = middle;
    }
    first += size;
  });
  answer.rows.columns.is_invalid.forEach((is, row) => { if (is) s.rect(box.x + box.width + 4, sy(row), 4, Math.max(2, sy(row + 1) - sy(row)), { fill: t.bad }); });
  if (color) legend(s, painted, t, box);
  return { ...raster, box: { ...box, height: whole }, rasterBox: box, psth, bands };
}

function drawMarks(s, answer, { of, colors }, { sx, sy, box }) {
  const { spike_time: times, spike_row: rows } = answer;
  const pitch = box.height / answer.rows.length;
  // few spikes are drawn larger, or they are not seen
  const height = Math.max(times.length < 4000 ? 3 : 1, Math.min(14, 0.84 * pitch));
  const width = times.length < 4000 ? 2 : 1.25;
  const byColor = colors.map(() => [[], []]);
  for (let i = 0; i < times.length; i++) {
    const [xs, ys] = byColor[of[rows[i]]];
    xs.push(sx(times[i]) - width / 2);
    ys.push(sy(rows[i] + 0.5) - height / 2);
  }
  s.clip(box.x, box.y, box.width, box.height, () => byColor.forEach(([xs, ys], k) => xs.length && s.marks(xs, ys, width, height, { color: colors[k] })));
}

// where rows are thinner than a pixel: spikes are added up in the pixels of a picture
function drawImage(s, answer, painted, box, bands) {
  const columns = Math.floor(box.width * s.ratio);
  const { spike_time: times, spike_row: rows, bin_edges: edges } = answer;
  const n = answer.rows.length;
  const scale = columns / (edges[edges.length - 1] - edges[0]);
  // few spikes are two pixels large, or they are not seen
  const isSparse = times.length < 0.04 * bands * columns;
  const sums = new Float32Array(bands * columns);
  for (let i = 0; i < times.length; i++) {
    const column = Math.min(columns - 1, Math.max(0, Math.floor((times[i] - edges[0]) * scale)));
    const at = Math.floor((rows[i] * bands) / n) * columns + column;
    sums[at]++;
    if (isSparse) for (const next of [at + 1, at + columns, at + columns + 1]) if (next < sums.length && column < columns - 1) sums[next]++;
  }
  fillImage(s, sums, bands, columns, painted, n, box, (count) => 1 - 0.25 ** count);
}

function drawBands(s, answer, painted, box) {
  const [bands, columns] = answer.band_counts.shape;
  const sorted = Float32Array.from(answer.band_counts).filter((count) => count > 0).sort();
  const most = sorted[Math.floor(0.99 * (sorted.length - 1))] || 1;
  fillImage(s, answer.band_counts, bands, columns, painted, answer.rows.length, box, (count) => Math.min(1, count / most));
}

function fillImage(s, sums, bands, columns, { of, colors }, n, box, opacity) {
  const rgba = new Uint8ClampedArray(4 * bands * columns);
  const channels = colors.map(channelsOf);
  for (let b = 0; b < bands; b++) {
    const [red, green, blue] = channels[of[Math.min(n - 1, Math.floor(((b + 0.5) * n) / bands))]];
    for (let c = 0; c < columns; c++) {
      const count = sums[b * columns + c];
      if (!count) continue;
      const o = 4 * (b * columns + c);
      rgba[o] = red; rgba[o + 1] = green; rgba[o + 2] = blue; rgba[o + 3] = 255 * opacity(count);
    }
  }
  s.image(rgba, columns, bands, box.x, box.y, box.width, box.height);
}

const pixel = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const known = new Map();
function channelsOf(color) {
  if (!known.has(color)) {
    pixel.fillStyle = color;
    pixel.fillRect(0, 0, 1, 1);
    known.set(color, pixel.getImageData(0, 0, 1, 1).data);
  }
  return known.get(color);
}

function drawPsth(s, { answer, event, by }, t, { below, domain, groups, peak, ...common }) {
  const { psth: mean, psth_sem: sem, bin_edges: edges } = answer;
  const [n, bins] = mean.shape;
  const isMap = n > MOST_LINES;
  const [, top] = extent(isMap ? mean : peak.values());
  const words = isMap ? `mean by ${parameterName(by)}; colours 0 to ${formatNumber(top, 2)} spikes/s` : n <= MOST_ERRORS ? "mean ± SEM (spikes/s)" : `mean (spikes/s); no SEM with more than ${MOST_ERRORS} groups`;
  const plot = axes(s, {
    ...common, area: { y: s.height - below, height: below }, grid: !isMap,
    x: { domain, label: `time from ${event} (s)` }, y: { domain: isMap ? [0, n] : [0, top * 1.04 || 1], ticks: niceTicks(0, top || 1, 3), flip: isMap, label: words, hide: isMap }, top: 20,
  });
  const { sx, sy, box } = plot;
  if (isMap) {
    s.image(paint(mean, n, bins, 0, top || 1), bins, n, box.x, box.y, box.width, box.height);
    return plot;
  }
  const xs = Array.from({ length: bins }, (_, i) => sx((edges[i] + edges[i + 1]) / 2));
  s.clip(box.x, box.y - 2, box.width, box.height + 2, () => {
    for (let g = 0; g < n; g++) {
      const line = mean.subarray(g * bins, (g + 1) * bins), error = sem.subarray(g * bins, (g + 1) * bins);
      if (n <= MOST_ERRORS && !Number.isNaN(error[0])) s.band(xs, Array.from(line, (v, i) => sy(v - error[i])), Array.from(line, (v, i) => sy(v + error[i])), { color: groups[g], alpha: 0.18 });
      s.polyline(xs, Array.from(line, sy), { color: groups[g], width: 1.4 });
    }
  });
  return plot;
}

/** The largest rate that the lines of a PSTH have to show; a heat map has its own scale. */
export function highest({ psth, psth_sem: sem }) {
  if (psth.shape[0] > MOST_LINES) return 0;
  const withErrors = psth.shape[0] <= MOST_ERRORS;
  let top = 0;
  for (let i = 0; i < psth.length; i++) top = Math.max(top, psth[i] + (withErrors && sem[i] > 0 ? sem[i] : 0));
  return top;
}

function legend(s, { colors, labels, range, parameter }, t, box) {
  const size = { size: 11, color: t.muted };
  const words = range ? range.map((value) => valueName(parameter, String(value))) : labels.map((label) => valueName(parameter, label));
  let x = box.x + box.width;
  const put = (word) => { x -= s.measure(word, size); s.text(word, x, 11, size); x -= 4; };
  if (range) {
    put(words[1]);
    x -= 64;
    colors.slice(0, 32).forEach((color, i) => s.rect(x + 2 * i, 3, 2.5, 8, { fill: color }));
    x -= 4;
    put(words[0]);
  } else {
    for (let i = words.length - 1; i >= 0; i--) { put(words[i]); x -= 8; s.rect(x, 3, 8, 8, { fill: colors[i], radius: 2 }); x -= 10; }
  }
  put(`${parameterName(parameter)} `);
}

function hover({ answer, by }, plot, x, y) {
  if (!plot || x < plot.box.x || x > plot.box.x + plot.box.width) return null;
  const { rasterBox: box, psth } = plot;
  const at = plot.sx.invert(x);
  if (y >= box.y && y < box.y + box.height) {
    const n = answer.rows.length;
    const bands = plot.bands || n;
    const band = Math.floor(((y - box.y) / box.height) * bands);
    const [first, end] = [Math.ceil((band * n) / bands), Math.max(Math.ceil(((band + 1) * n) / bands), Math.ceil((band * n) / bands) + 1)];
    return { lines: describeRows(answer, by, first, Math.min(end, n), at), mark: (s) => s.rect(box.x, plot.sy(first), box.width, Math.max(2, plot.sy(end) - plot.sy(first)), { fill: "rgb(128 128 128)", alpha: 0.22 }) };
  }
  if (y < psth.box.y || y > psth.box.y + psth.box.height) return null;
  const { psth: mean, psth_sem: sem, bin_edges: edges, groups } = answer;
  const [count, bins] = mean.shape;
  const bin = Math.min(bins - 1, Math.max(0, Math.floor(((at - edges[0]) / (edges[bins] - edges[0])) * bins)));
  const shown = count > MOST_LINES ? [Math.min(count - 1, Math.floor(psth.sy.invert(y)))] : [...Array(count).keys()];
  const lines = shown.map((g) => `${by ? `${valueName(by, groups.columns.label[g])}, ` : ""}n = ${formatNumber(groups.columns.n_presentations[g])}: ${formatNumber(mean[g * bins + bin])}${Number.isNaN(sem[g * bins + bin]) ? "" : ` ± ${formatNumber(sem[g * bins + bin], 2)}`} spikes/s`);
  return { lines: [`mean ± SEM, ${formatNumber(edges[bin])} to ${formatNumber(edges[bin + 1])} s`, ...lines], mark: (s) => s.rect(plot.sx(edges[bin]), psth.box.y, plot.sx(edges[bin + 1]) - plot.sx(edges[bin]), psth.box.height, { fill: "rgb(128 128 128)", alpha: 0.2 }) };
}

function describeRows(answer, by, first, end, at) {
  const { columns, ids } = answer.rows;
  const { label, n_presentations: sizes } = answer.groups.columns;
  const group = `${valueName(by, label[columns.group[first]])} · n = ${formatNumber(sizes[columns.group[first]])}`;
  const spikes = answer.spike_row ? below(answer.spike_row, end) - below(answer.spike_row, first) : null;
  const found = spikes === null ? [] : [`${formatNumber(spikes)} spike${spikes === 1 ? "" : "s"} in the window`];
  const time = `${formatNumber(at)} s`;
  const invalid = columns.is_invalid.subarray(first, end).filter(Boolean).length;
  if (invalid) found.push(end - first > 1 ? `${invalid} overlap an invalid interval of the probe` : "overlaps an invalid interval of the probe");
  if (end - first > 1) return [`${end - first} presentations, from ${ids[first]} to ${ids[end - 1]}`, ...(by ? [`${parameterName(by)}: ${group}`] : []), ...found, time];
  const hidden = new Set([answer.rows.index, "zero", "group", "is_invalid"]);
  const facts = answer.rows.names.filter((name) => !hidden.has(name)).map((name) => {
    const value = columns[name][first];
    return typeof value === "number" && Number.isNaN(value) ? null : `${parameterName(name)}: ${valueName(name, typeof value === "number" ? String(Number(value.toPrecision(6))) : String(value ?? ""))}`;
  });
  return [`presentation ${ids[first]}`, ...(by ? [`group ${group}`] : []), ...facts.filter(Boolean), ...found, time];
}

// how many of the sorted rows are before this one
function below(rows, row) {
  let lo = 0, hi = rows.length;
  while (lo < hi) { const middle = (lo + hi) >> 1; if (rows[middle] < row) lo = middle + 1; else hi = middle; }
  return lo;
}

// a row a spike, in the order drawn; a presentation without spikes has a row without a time
function csv(data) {
  const { answer, by, unit } = data;
  const { rows, groups, spike_time: times, spike_row: of } = answer;
  // too many spikes came as counts
  if (!times) return psthCsv(data);
  const found = { unit_id: [], [rows.index]: [], ...(by ? { [by]: [] } : {}), time: [] };
  let spike = 0;
  for (let row = 0; row < rows.length; row++) {
    const first = spike;
    while (spike < of.length && of[spike] === row) spike++;
    for (let i = first; i < Math.max(spike, first + 1); i++) {
      found.unit_id.push(unit);
      found[rows.index].push(rows.ids[row]);
      if (by) found[by].push(groups.columns.label[rows.columns.group[row]]);
      found.time.push(i < spike ? Number(times[i].toFixed(6)) : NaN);
    }
  }
  return found;
}

function psthCsv({ answer: { groups, psth, psth_sem: sem, bin_edges: edges }, by, unit }) {
  const bins = edges.length - 1;
  const { label, n_presentations: n } = groups.columns;
  const columns = (get) => Array.from(psth, (_, i) => get(Math.floor(i / bins), i % bins, i));
  const time = (at) => Number(edges[at].toFixed(6));
  return {
    unit_id: columns(() => unit), ...(by ? { [by]: columns((g) => label[g]) } : {}), n_presentations: columns((g) => n[g]),
    start: columns((_, b) => time(b)), stop: columns((_, b) => time(b + 1)), rate: psth, sem,
  };
}
