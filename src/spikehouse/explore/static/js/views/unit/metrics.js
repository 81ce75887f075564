import { formatNumber } from "../../axes.js";
import { Panel } from "../../panel.js";

// first those that tell whether the unit is well isolated
const FIRST = ["firing_rate", "presence_ratio", "isi_violations", "amplitude_cutoff", "snr", "waveform_amplitude", "waveform_duration", "waveform_halfwidth", "waveform_PT_ratio", "d_prime", "isolation_distance", "silhouette_score"];
const ROW = 20;

/** Metrics with the unit's place among the units of its structure. */
export const metricsPanel = (parent, { code }) => new Panel(parent, {
  title: "Metrics", name: "metrics", height: 160, code,
  draw: drawMetrics,
  hover: ({ metrics, structure }, { cells }, x, y) => {
    const cell = cells.find((one) => x >= one.x && x < one.x + one.width && y >= one.y && y < one.y + ROW);
    if (!cell) return null;
    const { value, percentile, n_units: n, unit, meaning } = metrics.row(cell.row);
    const place = Number.isNaN(percentile) ? "no value" : `percentile ${Math.round(percentile)} among ${n} unit${n === 1 ? "" : "s"} ${structure ? `of ${structure}` : "outside the brain"} in this session`;
    return { lines: [`${metrics.ids[cell.row]} ${formatNumber(value)}${unit ? ` ${unit}` : ""}`, meaning, place], mark: (s) => s.rect(cell.x - 4, cell.y, cell.width, ROW, { fill: "rgb(128 128 128)", alpha: 0.12, radius: 4 }) };
  },
  describe: ({ metrics, structure }) => `${metrics.length} metrics, with percentiles among the units of ${structure ?? "no structure"}.`,
  csv: ({ metrics }) => metrics.columns,
});

function drawMetrics(s, { metrics, structure, n_units_in_structure: n }, { width, height, theme: t }) {
  const order = Array.from(metrics.ids, (_, i) => i).sort((a, b) => rank(metrics.ids[a]) - rank(metrics.ids[b]) || a - b);
  const columns = Math.max(1, Math.floor(width / 320));
  const perColumn = Math.floor((height - 22) / ROW);
  const shown = order.slice(0, columns * perColumn);
  const columnWidth = width / columns;
  const rows = Math.min(perColumn, Math.ceil(shown.length / columns));
  const cells = shown.map((row, i) => {
    const x = Math.floor(i / rows) * columnWidth, y = 20 + (i % rows) * ROW;
    const { value, percentile, unit } = metrics.row(row);
    const [valueX, barX] = [x + columnWidth - 128, x + columnWidth - 112];
    const middle = y + ROW / 2;
    s.clip(x, y, columnWidth - 190, ROW, () => s.text(metrics.ids[row].replaceAll("_", " "), x, middle, { size: 11, color: t.ink_2, baseline: "middle" }));
    s.text(`${formatNumber(value)}${unit && !Number.isNaN(value) ? ` ${unit}` : ""}`, valueX, middle, { size: 11, color: t.ink, align: "right", baseline: "middle" });
    s.rect(barX, middle - 2, 64, 4, { fill: t.sunken, radius: 2 });
    if (!Number.isNaN(percentile)) {
      s.circle(barX + (64 * percentile) / 100, middle, 3.5, { fill: t.accent });
      s.text(formatNumber(Math.round(percentile)), x + columnWidth - 24, middle, { size: 11, color: t.muted, align: "right", baseline: "middle" });
    }
    return { row, x, y, width: columnWidth };
  });
  for (let c = 0; c < columns && c * rows < shown.length; c++) s.text(`percentile in ${structure ?? "no structure"}, ${n} unit${n === 1 ? "" : "s"}`, (c + 1) * columnWidth - 24, 10, { size: 11, color: t.muted, align: "right" });
  if (shown.length < order.length) s.text(`${shown.length} of ${order.length}`, 0, 10, { size: 11, color: t.muted });
  return { cells, box: { x: 0, y: 0, width, height }, sx: { invert: (x) => x } };
}

const rank = (name) => (FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length);
