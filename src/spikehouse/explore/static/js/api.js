import { h } from "./dom.js";

/** What the server answered instead of data. */
export class ApiError extends Error {
  constructor(message, status) { super(message); this.status = status; }
}

export const GONE = "spikehouse does not answer any more: is `spikehouse explore` still running in its terminal?";

const ARRAYS = {
  float32: Float32Array, float64: Float64Array, int8: Int8Array, int16: Int16Array, int32: Int32Array,
  uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array, bool: Uint8Array,
};
const KEPT_BYTES = 32e6;
const kept = new Map();
let keptBytes = 0;
let pending = 0;

/** What streaming has read since the page was loaded, in bytes. */
export const traffic = { bytes: 0, listeners: new Set() };

/** The address of a recipe's answer or, with prefix "/code/", of its code. */
export function address(scope, recipe, params = {}, prefix = "/api/") {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value === null || value === undefined || value === "") continue;
    query.set(name, ArrayBuffer.isView(value) || Array.isArray(value) ? Array.from(value).join(",") : String(value));
  }
  const text = query.toString().replaceAll("%2C", ",");
  return `${prefix}${scope}/${recipe}${text ? "?" + text : ""}`;
}

/** Ask for a value; equal questions are answered from memory. */
export async function get(url, { signal, notice, keep = true } = {}) {
  if (kept.has(url)) {
    const entry = kept.get(url);
    kept.delete(url);
    kept.set(url, entry);
    return entry.value;
  }
  busy(1);
  try {
    let response;
    try {
      response = await fetch(url, { signal, credentials: "same-origin" });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ApiError(GONE, 0);
    }
    if (!response.ok) throw new ApiError(await explain(response), response.status);
    const read = Number(response.headers.get("X-Bytes-Read") ?? 0);
    if (read) { traffic.bytes += read; traffic.listeners.forEach((tell) => tell(read, url)); }
    for (const text of JSON.parse(response.headers.get("X-Notice") ?? "[]")) notice?.(text);
    const buffer = await response.arrayBuffer();
    const json = response.headers.get("Content-Type")?.startsWith("application/json");
    const value = json ? JSON.parse(new TextDecoder().decode(buffer)) : decode(buffer);
    if (keep) remember(url, value, buffer.byteLength);
    return value;
  } finally {
    busy(-1);
  }
}

/** Forget answers whose address holds a text. */
export function forget(part) {
  for (const [url, { size }] of kept) if (url.includes(part)) { kept.delete(url); keptBytes -= size; }
}

async function explain(response) {
  try {
    return (await response.json()).message;
  } catch {
    return `spikehouse answered with status ${response.status}.`;
  }
}

function remember(url, value, size) {
  kept.set(url, { value, size });
  keptBytes += size;
  for (const [old, entry] of kept) {
    if (keptBytes <= KEPT_BYTES || old === url) break;
    kept.delete(old);
    keptBytes -= entry.size;
  }
}

/** Read a container: the length of a JSON header, the header, then the arrays it speaks of. */
export function decode(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const base = 4 + length;
  return revive(JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length))), buffer, base);
}

function revive(node, buffer, base) {
  if (node === null || typeof node !== "object") return node;
  if (Array.isArray(node)) return node.map((item) => revive(item, buffer, base));
  if (node.$array) {
    const [dtype, shape, offset] = node.$array;
    const array = new ARRAYS[dtype](buffer, base + offset, shape.reduce((a, b) => a * b, 1));
    array.shape = shape;
    return array;
  }
  if (node.$table) return new Table(node.$table.index, revive(node.$table.columns, buffer, base));
  return Object.fromEntries(Object.entries(node).map(([name, value]) => [name, revive(value, buffer, base)]));
}

/** A table by columns; `index` names the column of ids. */
export class Table {
  constructor(index, columns) { this.index = index; this.columns = columns; }
  get names() { return Object.keys(this.columns); }
  get length() { return this.names.length ? this.columns[this.names[0]].length : 0; }
  get ids() { return this.columns[this.index]; }
  row(i) { return Object.fromEntries(this.names.map((name) => [name, this.columns[name][i]])); }
}

/** Values as CSV text; columns is {name: array}. */
export function toCsv(columns) {
  const names = Object.keys(columns);
  const quote = (value) => {
    if (value === null || value === undefined || (typeof value === "number" && Number.isNaN(value))) return "";
    const text = String(value);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const length = Math.max(0, ...names.map((name) => columns[name].length));
  const lines = [names.map(quote).join(",")];
  for (let i = 0; i < length; i++) lines.push(names.map((name) => quote(columns[name][i])).join(","));
  return lines.join("\n") + "\n";
}

let timer;
function busy(change) {
  pending += change;
  const bar = document.getElementById("progress") ?? document.getElementById("top")?.appendChild(h("div", { id: "progress" }));
  clearTimeout(timer);
  // a bar that flashes for fast answers is noise
  if (pending) timer = setTimeout(() => bar?.classList.add("busy"), 200);
  else bar?.classList.remove("busy");
}
