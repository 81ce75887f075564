/** Colours of the page's theme, for drawing. */
export function theme() {
  if (!cache) {
    const style = getComputedStyle(document.documentElement);
    const names = ["page", "panel", "sunken", "line", "line-strong", "ink", "ink-2", "muted", "accent", "accent-soft", "good", "warn", "bad"];
    cache = Object.fromEntries(names.map((name) => [name.replaceAll("-", "_"), style.getPropertyValue(`--${name}`).trim()]));
    cache.dark = luminance(cache.panel) < 0.2;
    cache.categories = cache.dark ? CATEGORIES_DARK : CATEGORIES_LIGHT;
  }
  return cache;
}
let cache = null;
export const refreshTheme = () => { cache = null; };

// Okabe & Ito's palette without black, its yellow replaced; lighter on dark ground
const CATEGORIES_LIGHT = ["#0072b2", "#d55e00", "#009e73", "#b3528a", "#b87f00", "#3d9bd1", "#6b5bb5", "#7d7d7d"];
const CATEGORIES_DARK = ["#4fa9e0", "#f0813a", "#2fc79b", "#dd8fbd", "#e6b03c", "#8fd0f5", "#a99bf0", "#a8a8a8"];

/** The colour of the i-th category; after eight they come again. */
export const category = (i) => theme().categories[i % theme().categories.length];

/** Red, green and blue of "#rrggbb", 0 to 255. */
export function rgb(hex) {
  const value = parseInt(hex.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

function luminance(hex) {
  const [r, g, b] = rgb(hex).map((c) => { const s = c / 255; return s <= 0.03928 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4; });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

// a few anchors of each map are enough: between them colours change almost linearly
const ANCHORS = {
  viridis: ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"],
  diverging: ["#2166ac", "#4393c3", "#92c5de", "#d1e5f0", "#f7f7f7", "#fddbc7", "#f4a582", "#d6604d", "#b2182b"],
  diverging_dark: ["#7ab8ec", "#4b8cc4", "#2f5f8a", "#20394f", "#16191c", "#4f2a22", "#8d4432", "#cc6549", "#f79a7c"],
  ink: ["#ffffff", "#d8d8d6", "#a9a9a8", "#757677", "#434548", "#17191c"],
  ink_dark: ["#16191c", "#2c3136", "#565d64", "#8a9199", "#bfc5cb", "#f4f5f6"],
  cyclic: ["#e2d9e2", "#8ca7c0", "#6276ba", "#5d3789", "#2f1436", "#6d2044", "#a64a47", "#c4946e", "#e2d9e2"],
};
const tables = {};

/** 256 × 3 bytes of a colour map: viridis, diverging, ink (white to black, or the reverse on dark ground), cyclic. */
export function colormap(name) {
  const key = theme().dark && ANCHORS[`${name}_dark`] ? `${name}_dark` : name;
  if (!tables[key]) {
    const anchors = ANCHORS[key].map(rgb);
    tables[key] = new Uint8Array(768);
    for (let i = 0; i < 256; i++) {
      const position = (i / 255) * (anchors.length - 1);
      const k = Math.min(Math.floor(position), anchors.length - 2);
      for (let c = 0; c < 3; c++) tables[key][3 * i + c] = anchors[k][c] + (anchors[k + 1][c] - anchors[k][c]) * (position - k);
    }
  }
  return tables[key];
}

/** The colour of a value in 0…1. */
export function mapColor(name, value) {
  const table = colormap(name);
  const i = 3 * Math.max(0, Math.min(255, Math.round(value * 255)));
  return `rgb(${table[i]} ${table[i + 1]} ${table[i + 2]})`;
}

/** RGBA of a matrix (row by row) between lo and hi; NaN is transparent. */
export function paint(values, rows, columns, lo, hi, name = "viridis", { flip = false } = {}) {
  const table = colormap(name);
  const out = new Uint8ClampedArray(4 * rows * columns);
  const scale = hi > lo ? 255 / (hi - lo) : 0;
  for (let r = 0; r < rows; r++) {
    const from = (flip ? rows - 1 - r : r) * columns;
    for (let c = 0; c < columns; c++) {
      const value = values[from + c];
      if (Number.isNaN(value)) continue;
      const i = 3 * Math.max(0, Math.min(255, Math.round((value - lo) * scale)));
      const o = 4 * (r * columns + c);
      out[o] = table[i]; out[o + 1] = table[i + 1]; out[o + 2] = table[i + 2]; out[o + 3] = 255;
    }
  }
  return out;
}

const PATTERNS = ["plain", "rising", "dots", "falling", "horizontal", "cross", "vertical", "grid"];
const structures = new Map();

/** Take the atlas's colours: parallel lists of acronyms, "#rrggbb" and full names. */
export function setStructures(acronyms, colors, names) {
  acronyms.forEach((acronym, i) => structures.set(acronym, { color: colors[i], name: names?.[i] ?? acronym, pattern: null }));
}

/** Colour, pattern and name of a structure. Structures of one colour get different patterns, in order of their names. */
export function structureStyle(acronym) {
  if (!structures.size || !structures.has(acronym)) return { color: "#9a9a9a", pattern: "plain", name: acronym ?? "no structure" };
  const style = structures.get(acronym);
  if (!style.pattern) {
    const alike = [...structures].filter(([, other]) => other.color === style.color).map(([name]) => name).sort();
    style.pattern = PATTERNS[alike.indexOf(acronym) % PATTERNS.length];
  }
  return style;
}
