import { formatNumber } from "./axes.js";
import { h, tip } from "./dom.js";

const ROW = 32;
const SPARE = 8; // rows drawn above and below what is seen
const PADDING = 20;
const ruler = document.createElement("canvas").getContext("2d");

/**
 * A table of any length, of which only the rows in sight are elements.
 *
 * options: {label, columns, open(row), sort: "key" or "-key", onSort(sort), onCurrent(row), current: row}
 * A column: {key, label, unit, meaning, values: array by row, format(value, row) → text, render(cell, row),
 * width, grow (takes the space that is left), narrow: false (left out on narrow screens)}; the first stays in sight.
 */
export class Grid {
  #order = [];
  #top = 0;
  #scrolled = 0;
  #pool = [];
  #cells = [];

  constructor(parent, options) {
    this.options = options;
    this.current = options.current ?? null;
    this.head = h("div.grid-head", { role: "row", "aria-rowindex": "1" });
    this.body = h("div.grid-body", { role: "rowgroup" });
    this.none = h("p.grid-none.muted", { hidden: true });
    this.root = h("div.table", {
      role: "grid", tabindex: "0", "aria-label": options.label,
      onscroll: () => { this.#scrolled = this.root.scrollTop; this.#paint(); },
      onclick: (event) => this.#click(event),
      onpointerover: (event) => this.#explain(event), onpointerleave: () => tip(null),
      onfocus: () => { if (this.current === null && this.#order.length) this.#move(0); },
    }, h("div", { role: "rowgroup" }, this.head), this.body, this.none);
    parent.append(this.root);
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(parent);
    this.resize = this.resize.bind(this);
    addEventListener("resize", this.resize);
    this.options.columns = options.columns;
    this.resize();
  }

  destroy() {
    this.observer.disconnect();
    removeEventListener("resize", this.resize);
    tip(null);
    this.root.remove();
  }

  /** The rows in the order in which they are shown. */
  get order() { return this.#order; }

  /** Show other columns. */
  setColumns(columns) {
    this.options.columns = columns;
    this.#columns = null;
    this.layout();
  }
  #columns = null;

  /** Show these rows (numbers), sorted; `none` says why there are none. */
  setRows(rows, none = "No rows.") {
    this.none.textContent = none;
    const isSame = rows.length === this.#rows.length && this.#sortedBy === this.options.sort && rows.every((row, i) => row === this.#rows[i]);
    if (isSame && rows.length) return;
    // widths are measured on the first rows there are
    if (!this.#rows.length) this.#columns = null;
    this.#rows = rows;
    this.#sort();
    if (this.current !== null && !this.#order.includes(this.current)) this.current = null;
    this.layout();
  }
  #rows = [];
  #sortedBy;

  #sort() {
    this.#sortedBy = this.options.sort;
    const [, minus, key] = /^(-?)(.*)$/.exec(this.options.sort ?? "");
    const column = this.options.columns.find((one) => one.key === key);
    this.#order = column ? sortRows(this.#rows, column.values, minus === "-") : Array.from(this.#rows);
  }

  /** Sort by a column: "snr", or "-snr" from the top down. */
  setSort(sort) {
    this.options.sort = sort;
    this.#sort();
    if (this.#columns) this.#drawHead();
    this.layout();
  }

  /** Measure the space there is; asking the browser after every change of rows would cost as much as drawing them. */
  resize() {
    const { width, top } = this.root.getBoundingClientRect();
    this.#space = { width: width - 2, room: Math.max(innerWidth < 1100 ? 360 : 280, innerHeight - top - scrollY - 24) };
    this.layout();
  }
  #space = { width: 0, room: 0 };

  /** Fit columns and height to the space there is, and draw. */
  layout() {
    const { width, room } = this.#space;
    if (width <= 0) return;
    const isNarrow = innerWidth < 640;
    const columns = this.options.columns.filter((column) => !(isNarrow && column.narrow === false));
    if (!this.#columns || columns.length !== this.#columns.length || isNarrow !== this.wasNarrow) {
      this.wasNarrow = isNarrow;
      this.#columns = columns;
      this.#setWidths();
      this.#drawHead();
    }
    const content = ROW * (this.#order.length + 1) + 2 + (this.total > width ? 12 : 0);
    this.height = Math.min(room, Math.max(content, 4 * ROW));
    this.root.style.height = `${this.height}px`;
    this.body.style.height = `${ROW * this.#order.length}px`;
    this.none.hidden = this.#order.length > 0;
    this.root.setAttribute("aria-rowcount", String(this.#order.length + 1));
    this.root.setAttribute("aria-colcount", String(columns.length));
    this.#paint(true);
  }

  #setWidths() {
    const columns = this.#columns;
    const widths = columns.map((column) => column.width ?? measure(column, this.#rows));
    this.root.style.setProperty("--columns", widths.map((w, i) => (columns[i].grow ? `minmax(${w}px, 1fr)` : `${w}px`)).join(" ") + (columns.some(({ grow }) => grow) ? "" : " 1fr"));
    this.total = widths.reduce((a, b) => a + b, 0);
    this.root.style.setProperty("--width", `${this.total}px`);
    this.#pool.forEach((row) => row.remove());
    this.#pool = [];
    this.#cells = [];
  }

  #drawHead() {
    const [, minus, sorted] = /^(-?)(.*)$/.exec(this.options.sort ?? "");
    this.head.replaceChildren(...this.#columns.map((column, i) => h("div", {
      role: "columnheader", "aria-colindex": String(i + 1), className: isNumeric(column) ? "number" : "",
      "aria-sort": column.key === sorted ? (minus ? "descending" : "ascending") : "none",
    }, h("button", {
      dataset: { key: column.key }, "aria-description": explain(column).slice(1).join(" "),
      onclick: (event) => { event.stopPropagation(); this.#askSort(column, sorted, minus); },
    }, column.label ?? column.key, column.key === sorted ? h("span", { "aria-hidden": "true" }, minus ? " ↓" : " ↑") : null))));
  }

  #askSort(column, sorted, minus) {
    // numbers are most often wanted from the largest down
    const next = column.key === sorted ? (minus ? column.key : `-${column.key}`) : (isNumeric(column) ? `-${column.key}` : column.key);
    this.setSort(next);
    this.options.onSort?.(next);
    this.head.querySelector(`[data-key="${CSS.escape(column.key)}"]`)?.focus();
  }

  #paint(all = false) {
    if (!this.#columns) return;
    const seen = Math.ceil(this.height / ROW) + 2 * SPARE;
    const first = Math.max(0, Math.min(Math.floor(this.#scrolled / ROW) - SPARE, this.#order.length - seen));
    if (!all && first === this.#top && this.#pool.length) return;
    this.#top = first;
    const count = Math.min(seen, this.#order.length - first);
    while (this.#pool.length < count) this.#addRow();
    // a row keeps its element while it is in sight: only those that came in are written
    for (let k = 0; k < count; k++) {
      const place = first + k;
      const slot = place % this.#pool.length;
      const element = this.#pool[slot];
      if (!all && element.place === place) continue;
      element.place = place;
      const row = this.#order[place];
      element.style.transform = `translateY(${place * ROW}px)`;
      element.hidden = false;
      element.id = `row-${row}`;
      element.setAttribute("aria-rowindex", String(place + 2));
      this.#mark(element, row);
      this.#columns.forEach((column, i) => {
        const cell = this.#cells[slot][i];
        if (column.render) column.render(cell, row);
        else cell.textContent = show(column, row);
      });
    }
    for (const element of this.#pool) if (element.place < first || element.place >= first + count) { element.hidden = true; element.place = -1; }
  }

  #addRow() {
    const cells = this.#columns.map((column, i) => h("div", { role: i ? "gridcell" : "rowheader", className: isNumeric(column) ? "number" : "", "aria-colindex": String(i + 1) }));
    const element = h("div.grid-row", { role: "row" }, cells);
    element.place = -1;
    this.#pool.push(element);
    this.#cells.push(cells);
    this.body.append(element);
    // places are taken modulo the size of the pool, which has just changed
    for (const other of this.#pool) other.place = -1;
  }

  #mark(element, row) {
    element.setAttribute("aria-selected", String(row === this.current));
  }

  #move(place) {
    if (!this.#order.length) return;
    const at = Math.max(0, Math.min(place, this.#order.length - 1));
    this.setCurrent(this.#order[at]);
    this.options.onCurrent?.(this.current);
  }

  /** Mark a row and bring it into sight. */
  setCurrent(row) {
    this.current = row;
    const place = this.#order.indexOf(row);
    if (place >= 0) {
      const { scrollTop, clientHeight } = this.root;
      if (place * ROW < scrollTop) this.root.scrollTop = place * ROW;
      else if ((place + 2) * ROW > scrollTop + clientHeight) this.root.scrollTop = (place + 2) * ROW - clientHeight;
      this.#scrolled = this.root.scrollTop;
    }
    this.#paint();
    for (const element of this.#pool) if (element.place >= 0) this.#mark(element, this.#order[element.place]);
    if (place >= 0) this.root.setAttribute("aria-activedescendant", `row-${row}`);
    else this.root.removeAttribute("aria-activedescendant");
  }

  /** Take a key: j, k, arrows, Home, End, page up and down, Enter. */
  onKey(event) {
    const place = this.current === null ? -1 : this.#order.indexOf(this.current);
    const page = Math.max(1, Math.floor(this.root.clientHeight / ROW) - 2);
    const focused = document.activeElement === this.root;
    const to = {
      j: place + 1, k: Math.max(0, place - 1), ArrowDown: place + 1, ArrowUp: Math.max(0, place - 1), Home: 0, End: this.#order.length - 1,
      PageDown: place + page, PageUp: place - page,
    }[event.key];
    if (event.key === "Enter") {
      const row = this.current ?? this.#order[0];
      if (row === undefined) return false;
      this.options.open(row);
      return true;
    }
    // elsewhere on the page these keys scroll
    if (to === undefined || (!["j", "k"].includes(event.key) && !focused)) return false;
    this.#move(to);
    return true;
  }

  #click(event) {
    if (event.defaultPrevented || event.target.closest("a, button, input") || String(getSelection())) return;
    const element = event.target.closest(".grid-row");
    if (!element) return;
    this.setCurrent(this.#order[element.place]);
    this.options.open(this.current);
  }

  #explain(event) {
    const button = event.target.closest?.(".grid-head button");
    const column = button && this.#columns.find(({ key }) => key === button.dataset.key);
    const at = event.target.closest?.("[data-tip]");
    if (column) tip(explain(column), event.clientX, event.clientY);
    else tip(at ? at.dataset.tip.split("\n") : null, event.clientX, event.clientY);
  }
}

// missing values come last in either direction
function sortRows(rows, values, descending = false) {
  const sign = descending ? -1 : 1;
  const missing = (v) => v === null || v === undefined || v === "" || (typeof v === "number" && Number.isNaN(v));
  const [there, absent] = [[], []];
  for (const row of rows) (missing(values[row]) ? absent : there).push(row);
  if (there.length && typeof values[there[0]] === "string") {
    // comparing ranks is many times faster than comparing texts again and again
    const texts = [...new Set(there.map((row) => values[row]))].sort();
    const rank = new Map(texts.map((text, i) => [text, i]));
    there.sort((a, b) => sign * (rank.get(values[a]) - rank.get(values[b])) || a - b);
  } else {
    there.sort((a, b) => sign * (values[a] - values[b]) || a - b);
  }
  return there.concat(absent);
}

const isNumeric = (column) => column.numeric ?? ArrayBuffer.isView(column.values);
const show = (column, row) => {
  const value = column.values[row];
  if (column.format) return column.format(value, row);
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (typeof value !== "number") return String(value);
  column.decimals ??= chooseDecimals(column.values);
  return Number.isFinite(value) ? value.toFixed(column.decimals).replace("-", "−") : formatNumber(value);
};

/** The same number of decimals in all of a column, so that its digits stand in line. */
function chooseDecimals(values) {
  const step = Math.max(1, Math.floor(values.length / 1000));
  const sizes = Array.from({ length: Math.floor(values.length / step) }, (_, i) => Math.abs(values[i * step])).filter(Number.isFinite).sort((a, b) => a - b);
  if (!sizes.length || sizes.every(Number.isInteger)) return 0;
  const size = sizes[Math.floor(0.75 * sizes.length)] || sizes.at(-1);
  return Math.max(0, Math.min(5, 2 - Math.floor(Math.log10(size))));
}

function explain(column) {
  return [[column.label ?? column.key, column.unit ? `[${column.unit}]` : ""].join(" ").trim(), ...[column.meaning].filter(Boolean)];
}

function measure(column, rows) {
  ruler.font = '500 12px "Inter", sans-serif';
  const head = ruler.measureText(`${column.label ?? column.key} ↓`).width;
  ruler.font = '400 13px "Inter", sans-serif';
  let widest = head;
  const step = Math.max(1, Math.floor(rows.length / 60));
  for (let i = 0; i < rows.length; i += step) widest = Math.max(widest, ruler.measureText(show(column, rows[i])).width);
  return Math.ceil(Math.min(Math.max(widest, 40), 260) + PADDING);
}
