import { category, mapColor, theme } from "../../colors.js";
import { formatNumber } from "../../axes.js";

// parameter → its name and the unit written behind its values
const KNOWN = {
  orientation: ["orientation", "°"], Dir: ["direction", "°"], temporal_frequency: ["temporal frequency", " Hz"],
  spatial_frequency: ["spatial frequency", " c/°"], x_position: ["x position", "°"], y_position: ["y position", "°"],
  phase: ["phase", " cycles"], frame: ["frame", ""], stimulus_block: ["block", ""], running_speed: ["running speed", " cm/s"],
  response: ["response", " spikes/s"], color: ["colour", ""], level: ["light level", " V"], Speed: ["speed", ""],
};
const CYCLIC = new Set(["orientation", "Dir", "phase"]);
/** Parameters whose values have no order. */
export const CATEGORICAL = new Set(["color", "stimulus_block", "condition", "stimulus_name", "running_speed"]);
const MISSING = new Set(["blank", "speed unknown"]);

/** The name of a parameter in words. */
export const parameterName = (name) => KNOWN[name]?.[0] ?? name.replaceAll("_", " ");

/** A value of a parameter in words: "45°", "dark". */
export function valueName(parameter, label) {
  if (parameter === "color") return { "-1": "dark", 1: "bright" }[label] ?? label;
  const number = Number(label);
  if (label === "" || Number.isNaN(number)) return label;
  return formatNumber(number) + (KNOWN[parameter]?.[1] ?? "");
}

/** A colour for each value of a parameter: a wheel for angles, a ramp for what is ordered, categories else. */
export function valueColors(parameter, labels) {
  const known = labels.filter((label) => !MISSING.has(label));
  const numbers = known.map(Number);
  const period = parameter === "phase" ? 1 : Math.max(...numbers) >= 180 ? 360 : 180;
  return labels.map((label, i) => {
    if (MISSING.has(label)) return theme().muted;
    if (known.length < 2) return theme().ink;
    if (CYCLIC.has(parameter) && numbers.every(Number.isFinite)) return wheel(numbers[i] / period);
    if (CATEGORICAL.has(parameter) && known.length <= 8) return category(i);
    return ramp(i / (known.length - 1));
  });
}

/** Viridis without its end that is as bright, or as dark, as the ground. */
const ramp = (share) => mapColor("viridis", theme().dark ? 0.35 + 0.65 * share : 0.8 * share);

const wheel = (turn) => `hsl(${Math.round(250 + 360 * turn) % 360}, ${theme().dark ? "58%, 66%" : "56%, 42%"})`;

/** Colours of rows: {of: colour number of each row, colors, labels, parameter}. */
export function colorRows({ rows, groups }, by, color) {
  const { columns, length } = rows;
  const own = color && columns[color] ? color : null;
  if (!own) return { of: columns.group, colors: valueColors(by, groups.columns.label), labels: groups.columns.label, parameter: by };
  const values = columns[own];
  const distinct = [...new Set(Array.from(values, (v) => (typeof v === "number" ? Number(v.toPrecision(6)) : v)))];
  if (distinct.length <= 12 && own !== "running_speed") {
    const isText = typeof distinct[0] === "string";
    const present = distinct.filter((v) => isText || !Number.isNaN(v)).sort((a, b) => (isText ? (a < b ? -1 : 1) : a - b)).map(String);
    const of = Uint16Array.from({ length }, (_, i) => {
      const at = present.indexOf(String(typeof values[i] === "number" ? Number(values[i].toPrecision(6)) : values[i]));
      return at < 0 ? present.length : at;
    });
    const labels = of.some((i) => i === present.length) ? [...present, "blank"] : present;
    return { of, colors: valueColors(own, labels), labels, parameter: own };
  }
  // a ramp from the 2nd to the 98th percentile, so that one odd row does not leave all others alike
  const sorted = Float64Array.from(values).filter(Number.isFinite).sort();
  const [lo, hi] = [0.02, 0.98].map((q) => sorted[Math.floor(q * (sorted.length - 1))] ?? 0);
  const of = Uint16Array.from(values, (v) => (Number.isFinite(v) ? Math.round(31 * Math.min(1, Math.max(0, hi > lo ? (v - lo) / (hi - lo) : 0))) : 32));
  return { of, colors: [...Array.from({ length: 32 }, (_, i) => ramp(i / 31)), theme().muted], labels: [], range: [lo, hi], parameter: own };
}
