import { axes, extent, formatNumber, formatTime, timeTicks } from "../../axes.js";
import { Panel } from "../../panel.js";

function bars(s, { sx, sy, box }, edges, heights, color) {
  for (let i = 0; i < heights.length; i++) {
    // whole pixels, or neighbours show a seam
    const [x, end] = [Math.round(sx(edges[i])), Math.round(sx(edges[i + 1]))];
    if (heights[i] > 0) s.rect(x, sy(heights[i]), Math.max(1, end - x - (end - x > 4 ? 1 : 0)), box.y + box.height - sy(heights[i]), { fill: color });
  }
}

function nearestBin(plot, edges, x) {
  if (x < plot.box.x || x > plot.box.x + plot.box.width) return -1;
  const share = (plot.sx.invert(x) - edges[0]) / (edges[edges.length - 1] - edges[0]);
  return Math.min(edges.length - 2, Math.max(0, Math.floor(share * (edges.length - 1))));
}

const ms = (seconds) => formatNumber(Number((1000 * seconds).toPrecision(6)));
const percent = (share) => `${formatNumber(100 * share, 2)} %`;

/** Inter-spike intervals, with the time that no cell can fire twice in. */
export const intervalsPanel = (parent, { code }) => new Panel(parent, {
  title: "Intervals", name: "interspike-intervals", height: 160, code,
  draw: (s, { counts, bin_edges: edges, refractory, violation_fraction: share }, { width, theme: t }) => {
    const plot = axes(s, { x: { domain: [0, edges[edges.length - 1] * 1000], label: "interval (ms)" }, y: { domain: [0, Math.max(1, ...counts) * 1.05], label: "intervals" } });
    const { sx, box } = plot;
    s.rect(box.x, box.y, sx(refractory * 1000) - box.x, box.height, { fill: t.bad, alpha: 0.12 });
    bars(s, plot, edges.map((edge) => edge * 1000), counts, t.categories[0]);
    s.text(`${percent(share)} below ${ms(refractory)} ms`, width, 10, { size: 11, color: t.muted, align: "right" });
    return plot;
  },
  hover: ({ counts, bin_edges: edges, n_longer: longer, refractory, violation_fraction: share, n_violations: n, isi_violations: published }, plot, x) => {
    const bin = nearestBin(plot, edges.map((edge) => edge * 1000), x);
    if (bin < 0) return null;
    return { lines: [`${formatNumber(counts[bin])} intervals of ${ms(edges[bin])} to ${ms(edges[bin + 1])} ms`, `${formatNumber(n)} (${percent(share)}) shorter than ${ms(refractory)} ms`,
      published === null ? null : `isi_violations ${formatNumber(published)}: rate of violations over the unit's rate`, `${formatNumber(longer)} are longer than shown`].filter(Boolean) };
  },
  describe: ({ n_intervals: n, violation_fraction: share, refractory }) => `${n} intervals; ${percent(share)} are shorter than ${ms(refractory)} ms.`,
  csv: ({ counts, bin_edges: edges }) => ({ from: edges.subarray(0, counts.length), to: edges.subarray(1), intervals: counts }),
});

/** The autocorrelogram. */
export const correlogramPanel = (parent, { code }) => new Panel(parent, {
  title: "Autocorrelogram", name: "autocorrelogram", height: 160, code,
  draw: (s, { lags, rates, bin }, { theme: t }) => {
    const reach = (lags[lags.length - 1] + bin / 2) * 1000;
    const plot = axes(s, { x: { domain: [-reach, reach], label: "lag (ms)" }, y: { domain: [0, (extent(rates)[1] || 1) * 1.05], label: "spikes/s" } });
    bars(s, plot, edgesOf(lags, bin), rates, t.categories[0]);
    s.line(plot.sx(0), plot.box.y, plot.sx(0), plot.box.y + plot.box.height, { color: t.line_strong });
    return plot;
  },
  hover: ({ lags, rates, bin }, plot, x) => {
    const at = nearestBin(plot, edgesOf(lags, bin), x);
    return at < 0 ? null : { lines: [`${formatNumber(rates[at])} spikes/s`, `${ms(lags[at])} ms from a spike`] };
  },
  describe: ({ n_spikes: n }) => `Firing rate around each of ${n} spikes.`,
  csv: ({ lags, rates }) => ({ lag: lags, rate: rates }),
});

const edgesOf = (lags, bin) => Array.from({ length: lags.length + 1 }, (_, i) => (lags[0] + (i - 0.5) * bin) * 1000);

/** Firing rate and spike amplitude over the session, with the stimuli under them. */
export const stabilityPanel = (parent, { code, cursor }) => new Panel(parent, {
  title: "Over the session", name: "stability", height: 160, code, cursor,
  draw: drawStability,
  hover: ({ bin_edges: edges, firing_rate: rate, amplitude_quantiles: amplitude, blocks }, plot, x) => {
    const at = nearestBin(plot, edges, x);
    if (at < 0) return null;
    const time = plot.sx.invert(x);
    const { columns } = blocks;
    const shown = Array.from(columns.stimulus_name).find((_, i) => columns.start_time[i] <= time && time < columns.stop_time[i]);
    const n = rate.length;
    return { lines: [formatTime(time), `${formatNumber(rate[at])} spikes/s`, amplitude ? `amplitude ${[n, 0, 2 * n].map((k) => formatNumber(amplitude[k + at])).join(" (")} µV)`.replace(" (", " (10–90 %: ").replace(/ \(([^(]*)$/, " to $1") : null, shown?.replaceAll("_", " ")].filter(Boolean) };
  },
  describe: ({ firing_rate: rate }) => `Firing rate in ${rate.length} bins, ${extent(rate).map((v) => formatNumber(v)).join(" to ")} spikes/s.`,
  csv: ({ bin_edges: edges, firing_rate: rate, amplitude_quantiles: amplitude }) => ({ start: edges.subarray(0, rate.length), firing_rate: rate, ...(amplitude ? { amplitude_10: amplitude.subarray(0, rate.length), amplitude_50: amplitude.subarray(rate.length, 2 * rate.length), amplitude_90: amplitude.subarray(2 * rate.length) } : {}) }),
});

function drawStability(s, { bin_edges: edges, firing_rate: rate, amplitude_quantiles: amplitude, blocks }, { height, width, theme: t }) {
  const strip = blocks.length ? 18 : 10;
  const domain = [edges[0], edges[edges.length - 1]];
  const room = height - 24 - strip;
  const upper = amplitude ? Math.round(room * 0.52) : room;
  const n = rate.length;
  const common = { left: 40, right: 8 };
  const x = { domain, ticks: timeTicks(...domain, Math.max(2, Math.floor(width / 90))), format: (v) => formatTime(v, domain[1] - domain[0]) };
  const plot = axes(s, { ...common, bottom: 8, area: { height: upper }, x: { ...x, hide: true }, y: { domain: [0, (extent(rate)[1] || 1) * 1.05], label: "spikes/s" } });
  const xs = Array.from(rate, (_, i) => plot.sx((edges[i] + edges[i + 1]) / 2));
  s.polyline(xs, Array.from(rate, plot.sy), { color: t.categories[0], width: 1.2 });
  if (amplitude) {
    const [lo, hi] = extent(amplitude);
    const lower = axes(s, { ...common, bottom: 8, area: { y: upper, height: room - upper }, x: { ...x, hide: true }, y: { domain: [Math.min(lo, 0), hi * 1.05], label: "amplitude (µV)" } });
    const part = (k) => Array.from(amplitude.subarray(k * n, (k + 1) * n), lower.sy);
    const [low, middle, high] = [part(0), part(1), part(2)];
    // bins without a spike interrupt the band
    for (let start = 0; start < n; start++) {
      if (Number.isNaN(low[start])) continue;
      let end = start;
      while (end < n && !Number.isNaN(low[end])) end++;
      s.band(xs.slice(start, end), low.slice(start, end), high.slice(start, end), { color: t.categories[1], alpha: 0.2 });
      start = end;
    }
    s.polyline(xs, middle, { color: t.categories[1], width: 1.2 });
  }
  const bottom = height - 24 - strip;
  axes(s, { ...common, top: 0, bottom: 22, area: { y: bottom, height: 22 + strip }, x, y: { domain: [0, 1], hide: true } });
  for (let i = 0; i < blocks.length; i++) {
    const { start_time: from, stop_time: to, stimulus_name: name } = blocks.row(i);
    if (name === "spontaneous") continue;
    const [x0, x1] = [plot.sx(from), plot.sx(to)];
    s.rect(x0, bottom, Math.max(1, x1 - x0 - 1), 14, { fill: t.sunken, radius: 3 });
    const words = name.replaceAll("_", " ");
    const fitting = [words, words.split(" ").map((word) => word[0]).join("")].find((text) => s.measure(text, { size: 11 }) < x1 - x0 - 6);
    if (fitting) s.text(fitting, (x0 + x1) / 2, bottom + 7, { size: 11, color: t.muted, align: "center", baseline: "middle" });
  }
  return { ...plot, box: { ...plot.box, height: bottom - plot.box.y } };
}
