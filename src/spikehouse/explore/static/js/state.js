// Parameters of a link: each has a default, which is left out of the link, a way to read text and to write it.

const parameter = (initial, parse, format = String) => ({ initial, parse, format });

/** Any text. */
export const text = (initial = "") => parameter(initial, (raw) => raw);

/** One of a list. */
export const choice = (options, initial = options[0]) => parameter(initial, (raw) => (options.includes(raw) ? raw : undefined));

/** A number within limits. */
export const number = (initial, { min = -Infinity, max = Infinity } = {}) =>
  parameter(initial, (raw) => within(raw, min, max), short);

/** A whole number within limits. */
export const integer = (initial, limits = {}) =>
  parameter(initial, (raw) => { const value = number(0, limits).parse(raw); return Number.isInteger(value) ? value : undefined; });

/** Two rising numbers, "-0.1,0.5"; the default may be null. */
export const range = (lo, hi, { min = -Infinity, max = Infinity } = {}) =>
  parameter(lo === null ? null : [lo, hi], (raw) => {
    const parts = raw.split(",").map((part) => within(part, min, max));
    return parts.length === 2 && parts.every((part) => part !== undefined) && parts[0] < parts[1] ? parts : undefined;
  }, (value) => value.map(short).join(","));

/** Yes or no. */
export const flag = (initial = false) =>
  parameter(initial, (raw) => ({ 1: true, true: true, 0: false, false: false })[raw], (value) => (value ? "1" : "0"));

/** Several texts or numbers as one text; commas within them are escaped. */
export const writeList = (values) => Array.from(values, (item) => String(item).replace(/[%,]/g, (c) => encodeURIComponent(c))).join(",");

/** Several texts. */
export const list = (initial = []) =>
  parameter(initial, (raw) => (raw ? raw.split(",").map((item) => item.replaceAll("%2C", ",").replaceAll("%25", "%")) : []), writeList);

function within(raw, min, max) {
  const value = raw.trim() === "" ? NaN : Number(raw);
  return Number.isFinite(value) && value >= min && value <= max ? value : undefined;
}

function short(value) {
  return String(Number(value.toPrecision(10)));
}

/** Read the parameters of a query; what is unknown or invalid is named in `ignored`. */
export function readState(params, query) {
  const state = Object.fromEntries(Object.entries(params).map(([name, { initial }]) => [name, initial]));
  const ignored = [];
  for (const [name, raw] of query) {
    const value = Object.hasOwn(params, name) ? params[name].parse(raw) : undefined;
    if (value === undefined) ignored.push(`${name}=${raw}`);
    else state[name] = value;
  }
  return { state, ignored };
}

/** Write the parameters that differ from their defaults. */
export function writeState(params, state) {
  const query = new URLSearchParams();
  for (const [name, { initial, format }] of Object.entries(params)) {
    const value = state[name];
    if (value === null || value === undefined) continue;
    const written = format(value);
    if (initial === null || written !== format(initial)) query.set(name, written);
  }
  // commas and slashes are legal in a query, and a readable link is worth more than their escapes
  return query.toString().replaceAll("%2C", ",").replaceAll("%2F", "/");
}
