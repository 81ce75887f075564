import { h } from "./dom.js";
import { writeList } from "./state.js";

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
const kept = new Map(); // address → {value, notices, size}
const asking = new Map(); // address → {controller, askers, answer}
const versions = new Map(); // "/api/s/<key>/" → version of the session's file
let keptBytes = 0;
let pending = 0;

/** Told the key of a session whose file is another one than at the last answer. */
export const replaced = new Set();

/** What streaming has read since the page was loaded, in bytes. */
export const traffic = { bytes: 0, listeners: new Set() };

/** The address of a recipe's answer or, with prefix "/code/", of its code. */
export function address(scope, recipe, params = {}, prefix = "/api/") {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value === null || value === undefined || value === "") continue;
    query.set(name, ArrayBuffer.isView(value) || Array.isArray(value) ? writeList(value) : String(value));
  }
  const text = query.toString().replaceAll("%2C", ",");
  return `${prefix}${scope}/${recipe}${text ? "?" + text : ""}`;
}

/** Ask for a value; equal questions are answered from memory, and at the same time they are one. */
export async function get(url, { signal, notice, keep = true } = {}) {
  const known = kept.get(url);
  if (known) { kept.delete(url); kept.set(url, known); }
  const { value, notices } = known ?? await share(url, signal, keep);
  for (const words of notices) notice?.(words);
  return value;
}

// a question ends when the last who asked it is gone
function share(url, signal, keep) {
  if (signal?.aborted) return Promise.reject(signal.reason);
  let question = asking.get(url);
  const end = () => { if (asking.get(url) === question) asking.delete(url); };
  if (!question) {
    question = { controller: new AbortController(), askers: 0 };
    asking.set(url, question);
    question.answer = ask(url, question.controller.signal, keep).finally(() => end());
  }
  question.askers++;
  return new Promise((resolve, reject) => {
    const leave = () => {
      reject(signal.reason);
      if (!--question.askers) { end(); question.controller.abort(); }
    };
    signal?.addEventListener("abort", leave, { once: true });
    question.answer.then(resolve, reject).finally(() => signal?.removeEventListener("abort", leave));
  });
}

async function ask(url, signal, keep) {
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
    const notices = JSON.parse(response.headers.get("X-Notice") ?? "[]");
    const isCurrent = compare(url, response.headers.get("X-Version"));
    const kind = response.headers.get("Content-Type") ?? "";
    const buffer = await response.arrayBuffer();
    const words = () => new TextDecoder().decode(buffer);
    const value = kind.startsWith("text/") ? words() : kind.startsWith("application/json") ? JSON.parse(words()) : decode(buffer);
    if (keep && isCurrent()) remember(url, { value, notices, size: buffer.byteLength });
    return { value, notices };
  } finally {
    busy(-1);
  }
}

// Forget what was read from a file that has been replaced; returns whether an answer is still of the newest version.
function compare(url, version) {
  const scope = /^\/api\/s\/([^/]+)\//.exec(url)?.[0];
  if (!scope || !version) return () => true;
  const before = versions.get(scope);
  versions.set(scope, version);
  if (before && before !== version) {
    forget(scope);
    replaced.forEach((tell) => tell(decodeURIComponent(scope.split("/")[3])));
  }
  return () => versions.get(scope) === version;
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

function remember(url, answer) {
  keptBytes += answer.size - (kept.get(url)?.size ?? 0);
  kept.set(url, answer);
  for (const [old, entry] of kept) {
    if (keptBytes <= KEPT_BYTES || old === url) break;
    kept.delete(old);
    keptBytes -= entry.size;
  }
}

// a container: the length of a JSON header, the header, then the arrays it speaks of
function decode(buffer) {
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

// a table by columns; `index` names the column of ids
class Table {
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
    let text = String(value);
    // a spreadsheet would run it
    if (/^[=+\-@\t\r]/.test(text) && !/^[+-]?[\d.]+(e[+-]?\d+)?$/i.test(text)) text = `'${text}`;
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
