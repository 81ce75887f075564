import { axes, colorBar, extent, formatNumber, niceTicks } from "../../axes.js";
import { mapColor, paint } from "../../colors.js";
import { Panel } from "../../panel.js";
import { CATEGORICAL, parameterName, valueName } from "./groups.js";

/** Parameters with more values than this are shown where the panel is large. */
export const FEW = 20;
const ANGLES = new Set(["orientation", "Dir"]);
// beside the name of a parameter, where two stimuli have the same one
const SHORT = { drifting_gratings: "drifting", static_gratings: "static", natural_scenes: "scenes", drifting_gratings_contrast: "contrast", drifting_gratings_75_repeats: "75 repeats", dot_motion: "dots" };
const BRIEF = { orientation: "ori.", temporal_frequency: "TF", spatial_frequency: "SF" };
const shortName = (stimulus) => SHORT[stimulus] ?? stimulus.replaceAll("_", " ");

/** Which stimuli have tuning curves: those with few values of a parameter; gabors are the receptive field's. */
export function tunedStimuli({ parameters: { columns, length } }, { large }) {
  const most = large ? 200 : FEW;
  const found = Array.from({ length }, (_, i) => i).filter((i) => columns.n_values[i] <= most && columns.parameter[i] !== "stimulus_block");
  return [...new Set(found.map((i) => columns.stimulus[i]))].filter((name) => name !== "gabors" && name !== "optotagging" && !name.startsWith("natural_movie"));
}

/** Tuning curves, one small plot a parameter. */
export const tuningPanel = (parent, { code }) => new Panel(parent, {
  title: "Tuning", name: "tuning", height: 160, code, sub: "mean ± SEM; dashed: blank ± SEM; scale by stimulus",
  draw: drawCurves,
  hover: ({ curves }, plot, x, y) => {
    const near = plot.points.map((point) => ({ ...point, away: Math.hypot(point.x - x, point.y - y) })).sort((a, b) => a.away - b.away)[0];
    if (!near || near.away > 24) return null;
    const { parameter, label, rate, sem, n_presentations: n, stimulus } = curves[near.curve].points[near.i];
    return { lines: [valueName(parameter, label), `${formatNumber(rate)}${Number.isNaN(sem) ? "" : ` ± ${formatNumber(sem, 2)}`} spikes/s`, `${n} presentations of ${stimulus.replaceAll("_", " ")}`, ...describeBlank(curves[near.curve])], mark: (s) => s.circle(near.x, near.y, 5, { stroke: "rgb(128 128 128)", width: 1.5 }) };
  },
  describe: ({ curves }) => `Mean rates by ${curves.map(({ parameter, stimulus }) => `${parameterName(parameter)} of ${shortName(stimulus)}`).join(", ")}.`,
  csv: ({ curves }) => {
    const rows = curves.flatMap(({ points }) => points);
    return Object.fromEntries(["stimulus", "parameter", "label", "rate", "sem", "n_presentations"].map((name) => [name, rows.map((row) => row[name])]));
  },
});

const describeBlank = ({ blank, error, nBlank }) => (blank === null ? [] : [`dashed: blank, ${formatNumber(blank)}${error ? ` ± ${formatNumber(error, 2)}` : ""} spikes/s, n = ${nBlank}`]);

/** The curves of the answers of `tuning`, by stimulus; what has more values than `most` is left out. */
export function collectCurves(answers, most) {
  return answers.flatMap(([stimulus, { curves, blank_rate: blank, blank_sem: error, n_blank: nBlank }]) => {
    const rows = Array.from({ length: curves.length }, (_, i) => ({ ...curves.row(i), stimulus }));
    return [...new Set(rows.map(({ parameter }) => parameter))].map((parameter) => ({ stimulus, parameter, blank, error, nBlank, points: rows.filter((row) => row.parameter === parameter) }));
  }).filter(({ points }) => points.length <= most);
}

function drawCurves(s, { curves }, { width, height, theme: t }) {
  const columns = Math.max(1, Math.min(curves.length, Math.round(Math.sqrt((curves.length * width) / (1.35 * height)))));
  const rows = Math.ceil(curves.length / columns);
  // one scale for each stimulus, but what has many values, such as images, has its own
  const highest = (some) => extent(some.flatMap(({ points }) => points.map(({ rate, sem }) => rate + (sem || 0))), some.map(({ blank }) => blank ?? 0))[1] || 1;
  const found = [];
  curves.forEach(({ stimulus, parameter, points, blank, error }, k) => {
    const area = { x: ((k % columns) * width) / columns, y: (Math.floor(k / columns) * height) / rows, width: width / columns - (columns > 1 ? 8 : 0), height: height / rows };
    const isOwn = points.length > FEW;
    const top = highest(isOwn ? [curves[k]] : curves.filter((curve) => curve.stimulus === stimulus && curve.points.length <= FEW));
    const values = points.map(({ value }) => value);
    const isEven = values.some(Number.isNaN) || !ANGLES.has(parameter);
    const places = isEven ? values.map((_, i) => i) : values;
    const period = Math.max(...places) >= 180 ? 360 : 180;
    const [name, brief] = [parameterName(parameter), BRIEF[parameter] ?? parameterName(parameter)];
    const titles = [`spikes/s by ${name}, ${shortName(stimulus)}`, `spikes/s, ${brief}, ${shortName(stimulus)}`, `${brief}, ${shortName(stimulus)}`];
    // every value has a label where there is room
    const step = Math.ceil((points.length * 34) / area.width);
    const { sx, sy, box } = axes(s, {
      area, right: 6, top: 24, bottom: 22,
      x: isEven ? { domain: [-0.5, points.length - 0.5], ticks: places.filter((i) => i % step === 0), format: (i) => valueName(parameter, points[i].label).replace(/( Hz| c\/°| cycles|°)$/, "") }
        : { domain: [-0.4 * (period / points.length), period - 0.4 * (period / points.length)], ticks: area.width > 160 ? [0, period / 4, period / 2, (3 * period) / 4] : [0, period / 2], format: (v) => `${v}°` },
      y: { domain: [0, top * 1.05], ticks: niceTicks(0, top * 1.05, 3), label: titles.find((title) => s.measure(title, { size: 11 }) <= area.width) ?? titles.at(-1) },
    });
    if (blank !== null) {
      if (error) s.rect(box.x, sy(blank + error), box.width, sy(blank - error) - sy(blank + error), { fill: t.muted, alpha: 0.14 });
      s.line(box.x, sy(blank), box.x + box.width, sy(blank), { color: t.muted, dash: [4, 3] });
    }
    const color = t.categories[0];
    const xs = places.map(sx), ys = points.map(({ rate }) => sy(rate));
    // a line is for values that have an order
    if (!CATEGORICAL.has(parameter) && parameter !== "frame" && !values.some(Number.isNaN)) s.polyline(xs, ys, { color, width: 1.4 });
    points.forEach(({ rate, sem }, i) => {
      if (sem > 0) s.line(xs[i], sy(rate - sem), xs[i], sy(rate + sem), { color, width: 1.2 });
      s.circle(xs[i], ys[i], points.length > 40 ? 1.5 : 2.5, { fill: color });
      found.push({ x: xs[i], y: ys[i], curve: k, i });
    });
  });
  return { points: found, box: { x: 0, y: 0, width, height }, sx: { invert: (x) => x } };
}

/** Star plots: direction by what else varies, one star a stimulus. */
export const starPanel = (parent, { code }) => new Panel(parent, {
  title: "Star", name: "star", height: 160, code, sub: "angles as in the data set, anticlockwise from 0° at the right",
  draw: drawStars,
  hover: ({ stars }, plot, x, y) => {
    for (const { cx, cy, inner, step, star, answer } of plot.stars) {
      const radius = Math.hypot(x - cx, y - cy);
      const { angles, rings, arcs, period, rates, sem, n_presentations: n } = answer;
      const [a, b, c] = rates.shape;
      const ring = Math.floor((radius - inner) / step);
      if (ring < 0 || ring >= b) continue;
      const turn = (Math.atan2(cy - y, x - cx) * 180) / Math.PI + 360;
      const pitch = period / a;
      const place = (((turn - angles[0] + pitch / 2) % period) + period) % period / pitch;
      const angle = Math.floor(place), arc = Math.min(c - 1, Math.floor((place - angle) * c));
      const i = (angle * b + ring) * c + arc;
      const what = [
        `${angles[angle]}° ${period === 360 ? "(the data set does not say which way 0° moves)" : "(the same after half a turn)"}`,
        rings && `${parameterName(answer.ring_parameter)} ${valueName(answer.ring_parameter, String(rings[ring]))}, ring ${ring + 1} of ${b} from the inside`,
        arcs && `phase ${valueName("phase", String(arcs[arc]))}, part ${arc + 1} of ${c} of a ring's wedge, anticlockwise`,
      ].filter(Boolean);
      return { lines: [...what, n[i] ? `${formatNumber(rates[i])}${Number.isNaN(sem[i]) ? "" : ` ± ${formatNumber(sem[i], 2)}`} spikes/s` : "not shown", `${n[i]} presentations of ${stars[star][0].replaceAll("_", " ")}`] };
    }
    return null;
  },
  describe: ({ stars }) => `Mean rates by direction of ${stars.map(([name]) => shortName(name)).join(" and ")}.`,
  csv: ({ stars }) => {
    const rows = stars.flatMap(([stimulus, { angles, rings, arcs, rates, n_presentations: n }]) => Array.from(rates, (rate, i) => {
      const [, b, c] = rates.shape;
      return { stimulus, angle: angles[Math.floor(i / (b * c))], ring: rings?.[Math.floor(i / c) % b] ?? NaN, arc: arcs?.[i % c] ?? NaN, rate, n: n[i] };
    }));
    return Object.fromEntries(["stimulus", "angle", "ring", "arc", "rate", "n"].map((name) => [name, rows.map((row) => row[name])]));
  },
});

function drawStars(s, { stars }, { width, height, theme: t }) {
  const top = extent(...stars.map(([, { rates }]) => rates))[1] || 1;
  const room = (width - 44) / stars.length;
  const found = stars.map(([name, answer], k) => {
    const { angles, rings, period, rates, blank } = answer;
    const [a, b, c] = rates.shape;
    const outer = Math.max(30, Math.min(room / 2 - 30, (height - 56) / 2));
    const cx = room * (k + 0.5), cy = 18 + (height - 40) / 2;
    const inner = outer * 0.2, step = (outer - inner) / b;
    const pitch = period / a;
    for (let turn = 0; turn < 360; turn += period) {
      for (let i = 0; i < a * b * c; i++) {
        const from = angles[Math.floor(i / (b * c))] + turn - pitch / 2 + ((i % c) * pitch) / c;
        const r0 = inner + (Math.floor(i / c) % b) * step;
        wedge(s, cx, cy, r0, r0 + step, from, from + pitch / c, { fill: Number.isNaN(rates[i]) ? t.sunken : mapColor("viridis", rates[i] / top), color: t.panel, width: c > 1 ? 0.5 : 1 });
      }
    }
    if (blank !== null) s.circle(cx, cy, inner - 2, { fill: mapColor("viridis", blank / top) });
    for (let turn = 0; turn < 360; turn += 45) {
      const angle = (turn * Math.PI) / 180;
      s.text(`${turn % period}°`, cx + (outer + 15) * Math.cos(angle), cy - (outer + 10) * Math.sin(angle), { size: 11, color: t.muted, align: "center", baseline: "middle" });
    }
    s.text(shortName(name), cx, 10, { size: 11, color: t.ink_2, align: "center" });
    const ends = rings && [0, b - 1].map((i) => formatNumber(rings[i]));
    const unit = rings && valueName(answer.ring_parameter, "1").slice(1);
    const words = rings && [`rings from the inside: ${Array.from(rings, (v) => formatNumber(v)).join(", ")}${unit}${c > 1 ? "; within a wedge: phase" : ""}`, `inner ring ${ends[0]}, outer ${ends[1]}${unit}`, `inner ${ends[0]}, outer ${ends[1]}${unit}`].find((text) => s.measure(text, { size: 11 }) < room - 4);
    if (words) s.text(words, cx, height - 2, { size: 11, color: t.muted, align: "center" });
    return { cx, cy, inner, step, star: k, answer };
  });
  colorBar(s, { x: width - 36, y: 24, height: Math.max(40, height - 60), lo: 0, hi: top, paintBar: (values) => paint(values, 128, 1, 0, 1), format: (v) => formatNumber(v, 2) });
  s.text("spikes/s", width, 12, { size: 11, color: t.muted, align: "right" });
  return { stars: found, box: { x: 0, y: 0, width, height }, sx: { invert: (x) => x } };
}

function wedge(s, cx, cy, r0, r1, from, to, style) {
  const steps = Math.max(2, Math.ceil((to - from) / 4));
  const xs = [], ys = [];
  for (const [radius, start, end] of [[r0, from, to], [r1, to, from]]) {
    for (let i = 0; i <= steps; i++) {
      const angle = ((start + ((end - start) * i) / steps) * Math.PI) / 180;
      xs.push(cx + radius * Math.cos(angle));
      ys.push(cy - radius * Math.sin(angle));
    }
  }
  s.polyline(xs, ys, { ...style, close: true });
}
