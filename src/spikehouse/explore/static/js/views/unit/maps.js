import { axes, colorBar, extent, formatNumber } from "../../axes.js";
import { paint } from "../../colors.js";
import { Panel } from "../../panel.js";

const MEASURES = [["azimuth_rf", "azimuth (°)"], ["elevation_rf", "elevation (°)"], ["width_rf", "width, SD (°)"], ["height_rf", "height, SD (°)"], ["area_rf", "area (deg²)"], ["p_value_rf", "p"]];
const WHY = "These values are recomputed from the spikes with the corrected definition. The Gaussian of the published ones has no baseline, so that its width and height grow with the rate far from the field; their area is that of another threshold, and their p that of another test.";

/** The receptive field: the map, its outline, the fitted Gaussian, and the measures beside it. */
export function fieldPanel(parent, { code }) {
  const panel = new Panel(parent, field(code));
  panel.root.querySelector(".sub").title = WHY;
  return panel;
}

const field = (code) => ({
  title: "Receptive field", name: "receptive-field", height: 160, code, sub: "recomputed, corrected definition",
  draw: drawField,
  hover: ({ map, azimuth, elevation, measures }, plot, x, y) => {
    const measure = plot.lines.find((line) => x > plot.textX && y > line.y - 14 && y <= line.y + 4);
    if (measure) return { lines: [measure.words, measures.columns.meaning[measures.ids.indexOf(measure.name)]] };
    const { box } = plot;
    const [column, row] = [Math.floor(((x - box.x) / box.width) * azimuth.length), Math.floor(((y - box.y) / box.height) * elevation.length)];
    if (column < 0 || row < 0 || column >= azimuth.length || row >= elevation.length) return null;
    return { lines: [`${formatNumber(map[row * azimuth.length + column])} spikes per presentation`, `azimuth ${formatNumber(azimuth[column])}°, elevation ${formatNumber(elevation[row])}°`] };
  },
  describe: (data) => `Map of ${data.elevation.length} by ${data.azimuth.length} positions; ${data.is_fitted ? `the fitted field is at azimuth ${formatNumber(data.center_azimuth)}°, elevation ${formatNumber(data.center_elevation)}°` : "no Gaussian fits it"}.`,
  csv: ({ map, azimuth, elevation }) => ({ azimuth: Array.from(map, (_, i) => azimuth[i % azimuth.length]), elevation: Array.from(map, (_, i) => elevation[Math.floor(i / azimuth.length)]), spikes_per_presentation: map }),
});

const threeOf = (values) => [...new Set([0, values.length >> 1, values.length - 1])].map((i) => values[i]);

function drawField(s, data, { width, height, theme: t }) {
  const { map, mask, azimuth, elevation, measures } = data;
  const [rows, columns] = [elevation.length, azimuth.length];
  const step = rows > 1 ? (elevation[0] - elevation[rows - 1]) / (rows - 1) : 10;
  const side = Math.max(60, Math.min(height - 60, width - 268));
  const { sx, sy, box } = axes(s, {
    area: { width: 40 + side + 8, height: side + 60 }, left: 40, right: 8, top: 24, bottom: 36, grid: false,
    x: { domain: [azimuth[0] - step / 2, azimuth[columns - 1] + step / 2], ticks: threeOf(azimuth), label: "azimuth (°)" }, y: { domain: [elevation[rows - 1] - step / 2, elevation[0] + step / 2], ticks: threeOf(elevation), label: "elevation (°)" },
  });
  const [, top] = extent(map);
  s.image(paint(map, rows, columns, Math.min(0, ...map), top || 1), columns, rows, box.x, box.y, box.width, box.height);
  // the mask's edges; white on black shows on all colours
  const [w, h] = [box.width / columns, box.height / rows];
  const inside = (r, c) => r >= 0 && c >= 0 && r < rows && c < columns && mask[r * columns + c];
  const edges = [];
  for (let r = 0; r <= rows; r++) {
    for (let c = 0; c <= columns; c++) {
      if (inside(r, c) !== inside(r - 1, c) && c < columns && Boolean(inside(r, c)) !== Boolean(inside(r - 1, c))) edges.push([c, r, c + 1, r]);
      if (r < rows && Boolean(inside(r, c)) !== Boolean(inside(r, c - 1))) edges.push([c, r, c, r + 1]);
    }
  }
  for (const style of [{ color: "#000", width: 3, alpha: 0.6 }, { color: "#fff", width: 1.4 }]) {
    for (const [c0, r0, c1, r1] of edges) s.line(box.x + c0 * w, box.y + r0 * h, box.x + c1 * w, box.y + r1 * h, style);
    if (!data.is_fitted) continue;
    const turn = Array.from({ length: 73 }, (_, i) => (i * Math.PI) / 36);
    const [x, y] = [data.center_azimuth, data.center_elevation];
    s.clip(box.x, box.y, box.width, box.height, () => {
      s.polyline(turn.map((a) => sx(x + data.width * Math.cos(a))), turn.map((a) => sy(y + data.height * Math.sin(a))), { ...style, dash: [4, 3] });
      s.line(sx(x) - 5, sy(y), sx(x) + 5, sy(y), style);
      s.line(sx(x), sy(y) - 5, sx(x), sy(y) + 5, style);
    });
  }
  const textX = box.x + box.width + 48;
  colorBar(s, { x: box.x + box.width + 8, y: box.y, height: box.height, lo: Math.min(0, ...map), hi: top, paintBar: (values) => paint(values, 128, 1, 0, 1), format: (v) => formatNumber(v, 2) });
  const isNarrow = side < 120;
  s.text("spikes per presentation", isNarrow ? 0 : textX - 8, isNarrow ? box.y + box.height + 50 : 10, { size: 11, color: t.ink_2, align: isNarrow ? "left" : "right" });
  const { value: values, published } = measures.columns;
  const hasPublished = published.some((value) => !Number.isNaN(value));
  const right = Math.min(width, textX + 180);
  const ours = hasPublished ? right - 64 : right;
  const pitch = Math.min(20, (height - 24) / (MEASURES.length + 2));
  const lineY = (i) => 24 + 12 + pitch * i;
  if (hasPublished) for (const [words, x] of [["here", ours], ["published", right]]) s.text(words, x, lineY(-1), { size: 11, color: t.muted, align: "right" });
  const lines = MEASURES.map(([name, words], i) => {
    const at = measures.ids.indexOf(name);
    const value = values[at];
    const text = name === "p_value_rf" && value <= 1 / (data.n_resamples + 1) ? `< ${formatNumber(2 / (data.n_resamples + 1), 1)}` : formatNumber(value);
    const y = lineY(i);
    s.text(words, textX, y, { size: 11, color: t.muted });
    s.text(text, ours, y, { size: 11, color: t.ink, align: "right" });
    if (hasPublished) s.text(formatNumber(published[at]), right, y, { size: 11, color: t.muted, align: "right" });
    return { name, words: `${words} ${text}${hasPublished ? `, published ${formatNumber(published[at])}` : ""}`, y };
  });
  const note = !data.is_fitted ? "no Gaussian fits" : data.is_suppressed ? "fires less inside" : "dashed: fit, 1 SD";
  s.text(note, textX, lineY(lines.length), { size: 11, color: t.muted });
  return { sx, sy, box, lines, textX };
}

/** The mean waveform where it was recorded: a line a channel, at the channel's place on the probe. */
export const waveformPanel = (parent, { code }) => new Panel(parent, {
  title: "Waveform", name: "waveform", height: 160, code,
  draw: drawWaveform,
  hover: ({ channels }, plot, x, y) => {
    const near = plot.places.map((place) => ({ ...place, away: Math.hypot((place.x - x) / 2, place.y - y) })).sort((a, b) => a.away - b.away)[0];
    if (!near || near.away > 40) return null;
    const { channel_id: id, probe_vertical_position: up, ecephys_structure_acronym: structure } = channels.row(near.row);
    return { lines: [`channel ${id}`, `${up} µm from the tip${structure ? `, ${structure}` : ""}`, `${formatNumber(near.size)} µV peak to trough`] };
  },
  describe: ({ channels, peak_channel_id: peak }) => `Mean waveform on ${channels.length} channels around channel ${peak}.`,
  csv: ({ channels, time, waveform }) => ({ channel_id: Array.from(waveform, (_, i) => channels.ids[Math.floor(i / time.length)]), time: Array.from(waveform, (_, i) => time[i % time.length]), microvolts: waveform }),
});

function drawWaveform(s, { channels, time, waveform, peak_channel_id: peak }, { width, height, theme: t }) {
  const { probe_vertical_position: up, probe_horizontal_position: across } = channels.columns;
  const n = time.length;
  const columns = [...new Set(across)].sort((a, b) => a - b);
  const [low, high] = extent(up);
  const [left, right, top, bottom] = [44, 64, 22, 44];
  const pitch = (width - left - right) / columns.length;
  const rows = Math.max(1, new Set(up).size);
  const gap = (height - top - bottom) / rows;
  const sy = (depth) => height - bottom - gap / 2 - ((depth - low) / (high - low || 1)) * (height - top - bottom - gap);
  const biggest = Math.max(...Array.from(channels.ids, (_, row) => { const [a, b] = extent(waveform.subarray(row * n, (row + 1) * n)); return b - a; })) || 1;
  // the largest may reach over its neighbours, as in the usual stacked plots
  const scale = (gap * 2.4) / biggest;
  s.text("µm from the tip", 0, 10, { size: 11, color: t.ink_2 });
  let last = Infinity;
  for (const depth of [...new Set(up)].sort((a, b) => a - b)) {
    if (last - sy(depth) < 16) continue;
    last = sy(depth);
    s.text(String(depth), left - 10, last, { size: 11, color: t.muted, align: "right", baseline: "middle" });
  }
  const places = Array.from(channels.ids, (id, row) => {
    const line = waveform.subarray(row * n, (row + 1) * n);
    const x0 = left + columns.indexOf(across[row]) * pitch + pitch * 0.04;
    const y = sy(up[row]);
    const isPeak = id === peak;
    s.polyline(Array.from(time, (_, i) => x0 + (i / (n - 1)) * pitch * 0.92), Array.from(line, (v) => y - v * scale), { color: isPeak ? t.accent : t.ink_2, width: isPeak ? 2 : 1.1 });
    const [a, b] = extent(line);
    return { row, x: x0 + pitch / 2, y, size: b - a };
  });
  const bar = [500, 200, 100, 50, 20, 10, 5].find((size) => size * scale <= (height - top - bottom) / 3) ?? 2;
  const [bx, by] = [width - right + 16, top + 8];
  s.line(bx, by, bx, by + bar * scale, { color: t.ink_2, width: 1.5 });
  s.text(`${bar} µV`, bx + 6, by + (bar * scale) / 2, { size: 11, color: t.muted, baseline: "middle" });
  const ms = (time[n - 1] - time[0]) * 1000;
  s.line(left, height - 6, left + (pitch * 0.92) / ms, height - 6, { color: t.ink_2, width: 1.5 });
  s.text("1 ms", left + (pitch * 0.92) / ms + 6, height - 6, { size: 11, color: t.muted, baseline: "middle" });
  return { places, box: { x: 0, y: 0, width, height }, sx: { invert: (x) => x } };
}
