import { toCsv } from "./api.js";
import { refreshTheme, theme } from "./colors.js";
import { download, fill, h, tip } from "./dom.js";
import { CanvasSurface, SvgSurface } from "./surface.js";

const all = new Set();
let active = null;

/** The panel that `e` and `s` speak of: the one with the focus or the pointer, else the first of the view. */
export const activePanel = () => active ?? Array.from(document.querySelectorAll("main .panel"), (root) => [...all].find((panel) => panel.root === root)).find(Boolean);

/** Speak of the first panel again, such as after another was enlarged. */
export const forgetActive = () => { active = null; };

/** Panels with one time axis: the cursor of one is drawn in all. */
export class Cursor {
  #members = new Set();
  at = null;
  add(member) { this.#members.add(member); return () => this.#members.delete(member); }
  move(at, from) { this.at = at; for (const member of this.#members) if (member !== from) member.showCursor(at); }
}

/**
 * A titled drawing.
 *
 * options: {title, sub, height, className, name (of saved files),
 *   draw(surface, data, {width, height, theme}) → the result of axes(), or nothing,
 *   hover(data, plot, x, y) → {lines: […], mark(surface)} | null   (x, y in pixels of the drawing),
 *   click(data, plot, x, y), zoom(x0, x1) after dragging, wheel(event, plot, x, y),
 *   describe(data) → one sentence for people who do not see it,
 *   csv(data) → {column: array}, code() → address of the code or nothing, cursor: a Cursor}
 */
export class Panel {
  #canvas = h("canvas", { role: "img" });
  #overlay = h("canvas", { "aria-hidden": "true" });
  #note = h("div.message", { hidden: true });
  #sub = h("span.sub");
  #ticket = 0;
  #plot = null;
  #drag = null;
  #leave = [];

  constructor(parent, options) {
    Object.assign(this, { options, data: null });
    this.place = h("div.plot", this.#canvas, this.#overlay, this.#note);
    if (options.height) this.place.style.minHeight = `${options.height}px`;
    this.title = h("h2", options.title);
    this.tools = h("div.tools",
      options.code ? h("button.button.quiet", { onclick: () => this.showCode(), title: "Show the code of this panel (e)" }, "Code") : null,
      h("button.button.quiet", { onclick: () => this.showSave(), title: "Save this panel (s)", "aria-haspopup": "menu" }, "Save"));
    this.root = h("section.panel", { "aria-label": options.title, // it moved itself: a panel that comes under a pointer at rest was not chosen
      onpointermove: () => { active = this; }, onfocusin: () => { active = this; } },
      h("header", this.title, this.#sub, this.tools), this.place);
    if (options.className) this.root.classList.add(...options.className.split(" "));
    this.sub(options.sub ?? "");
    parent.append(this.root);
    all.add(this);
    const observer = new ResizeObserver(() => this.redraw());
    observer.observe(this.place);
    this.#leave.push(() => observer.disconnect());
    if (options.cursor) this.#leave.push(options.cursor.add(this));
    this.#listen();
  }

  destroy() {
    this.#leave.forEach((leave) => leave());
    all.delete(this);
    if (active === this) active = null;
    this.root.remove();
  }

  sub(words) { this.#sub.textContent = words; this.#sub.title = words; }

  /** Wait for data (a promise) and show it; an error becomes a message. The newest call wins. */
  async load(promise, into = (data) => data) {
    const ticket = ++this.#ticket;
    this.expect();
    this.root.classList.add("stale");
    if (this.data === null) fill(this.#note, h("div.wait", "Loading …")).hidden = false;
    try {
      const data = into(await promise);
      if (ticket === this.#ticket) this.show(data);
    } catch (error) {
      if (ticket !== this.#ticket || error.name === "AbortError") return;
      this.message(error.message.charAt(0).toUpperCase() + error.message.slice(1), { bad: !(error.status >= 400 && error.status < 500), absent: error.absent });
    }
  }

  /** Say to those who do not see it that new data are on their way. */
  expect() { this.root.setAttribute("aria-busy", "true"); }

  show(data) {
    this.#ticket++;
    this.data = data;
    this.#settle();
    this.#note.hidden = true;
    this.root.classList.remove("absent");
    this.#canvas.setAttribute("aria-label", this.options.describe?.(data) ?? this.options.title);
    this.redraw();
  }

  /** Say in words why there is no drawing; `content` may be elements, such as a button. What is absent for good takes one line. */
  message(content, { bad = false, absent = false } = {}) {
    this.#ticket++;
    this.data = null;
    this.#plot = null;
    this.#settle();
    fill(this.#note, h("div", content)).hidden = false;
    this.#note.classList.toggle("bad", bad);
    this.root.classList.toggle("absent", absent);
    this.#canvas.setAttribute("aria-label", `${this.options.title}: ${this.#note.textContent}`);
    for (const canvas of [this.#canvas, this.#overlay]) canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
  }

  #settle() { this.root.classList.remove("stale"); this.root.removeAttribute("aria-busy"); }

  redraw() {
    const { clientWidth: width, clientHeight: height } = this.place;
    if (this.data === null || !width || !height) return;
    this.#plot = this.options.draw(new CanvasSurface(this.#canvas, width, height), this.data, { width, height, theme: theme() }) ?? null;
    this.#annotate(null);
  }

  showCursor(at) {
    this.cursorAt = at;
    this.#annotate(null);
  }

  #annotate(mark) {
    const { clientWidth: width, clientHeight: height } = this.place;
    if (!width || !height) return;
    const s = new CanvasSurface(this.#overlay, width, height);
    if (this.#plot && this.cursorAt !== null && this.cursorAt !== undefined) {
      const { sx, box } = this.#plot;
      const x = sx(this.cursorAt);
      if (x >= box.x && x <= box.x + box.width) s.line(x, box.y, x, box.y + box.height, { color: theme().muted, dash: [3, 3] });
    }
    mark?.(s);
  }

  #listen() {
    const { options, place } = this;
    const at = (event) => { const box = place.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
    const inside = (x, y) => this.#plot && x >= this.#plot.box.x && x <= this.#plot.box.x + this.#plot.box.width && y >= 0 && y <= this.place.clientHeight;
    place.addEventListener("pointermove", (event) => {
      const [x, y] = at(event);
      if (this.#drag) return this.#stretch(x);
      if (!this.data) return undefined;
      const found = options.hover?.(this.data, this.#plot, x, y);
      if (options.cursor && this.#plot) {
        this.cursorAt = inside(x, y) ? this.#plot.sx.invert(x) : null;
        options.cursor.move(this.cursorAt, this);
      }
      place.style.cursor = found && options.click ? "pointer" : options.zoom && inside(x, y) ? "crosshair" : "";
      tip(found?.lines, event.clientX, event.clientY);
      return this.#annotate(found?.mark);
    });
    place.addEventListener("pointerleave", () => {
      tip(null);
      this.cursorAt = null;
      options.cursor?.move(null, this);
      this.#annotate(null);
    });
    place.addEventListener("pointerdown", (event) => {
      const [x, y] = at(event);
      if (!options.zoom || event.button !== 0 || event.shiftKey || !inside(x, y)) return;
      this.#drag = { from: x, brush: null };
      place.setPointerCapture(event.pointerId);
    });
    place.addEventListener("pointerup", (event) => {
      const drag = this.#drag;
      this.#drag = null;
      const [x, y] = at(event);
      drag?.brush?.remove();
      if (drag?.brush) {
        const { sx, box } = this.#plot;
        const ends = [drag.from, x].map((p) => sx.invert(Math.min(Math.max(p, box.x), box.x + box.width))).sort((a, b) => a - b);
        if (ends[1] > ends[0]) options.zoom(...ends);
      } else if (this.data && event.button === 0) options.click?.(this.data, this.#plot, x, y);
    });
    if (options.wheel) {
      place.addEventListener("wheel", (event) => {
        const [x, y] = at(event);
        if (inside(x, y)) options.wheel(event, this.#plot, x, y);
      }, { passive: false });
    }
  }

  #stretch(x) {
    const { drag, box } = { drag: this.#drag, box: this.#plot.box };
    if (!drag.brush && Math.abs(x - drag.from) < 4) return;
    drag.brush ??= this.place.appendChild(h("div.brush"));
    const [a, b] = [drag.from, Math.min(Math.max(x, box.x), box.x + box.width)].sort((p, q) => p - q);
    Object.assign(drag.brush.style, { left: `${a}px`, width: `${b - a}px`, top: `${box.y}px`, height: `${box.height}px`, bottom: "auto" });
  }

  /** The drawing as an SVG document. */
  svg() {
    const { clientWidth: width, clientHeight: height } = this.place;
    return this.#picture((head) => new SvgSurface(width, height, head)).toString();
  }

  async png(ratio = 3) {
    const { clientWidth: width, clientHeight: height } = this.place;
    const canvas = document.createElement("canvas");
    this.#picture((head) => new CanvasSurface(canvas, width, height, ratio, head));
    return new Promise((resolve) => { canvas.toBlob(resolve, "image/png"); });
  }

  // the drawing below what it shows of what, in as many lines as that takes
  #picture(make) {
    const { clientWidth: width, clientHeight: height } = this.place;
    const words = [document.title, this.title.textContent, this.#sub.textContent, decodeURI(location.pathname) + location.search].filter(Boolean).join(" · ");
    const lines = [""];
    const ruler = make(0);
    for (const word of words.split(/(?<=[\s/?&,])/)) {
      if (ruler.measure(lines.at(-1) + word) > width - 16 && lines.at(-1)) lines.push("");
      lines[lines.length - 1] += word;
    }
    const head = 16 * lines.length + 8;
    const s = make(head);
    s.rect(0, -head, width, height + head, { fill: theme().panel });
    lines.forEach((line, i) => s.text(line.trim(), 8, 16 * (i + 1) - head, { color: theme().muted }));
    this.options.draw(s, this.data, { width, height, theme: theme() });
    return s;
  }

  showSave() {
    const name = this.options.name ?? this.options.title.toLowerCase().replace(/\W+/g, "-");
    const items = [
      ["PNG", async () => download(`${name}.png`, await this.png(), "image/png")],
      ["SVG", () => download(`${name}.svg`, this.svg(), "image/svg+xml")],
      this.options.csv ? ["CSV", () => download(`${name}.csv`, toCsv(this.options.csv(this.data)), "text/csv")] : null,
    ].filter(Boolean);
    const menu = h("div.menu", { role: "menu", onkeydown: (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (event.key === "Escape") { event.stopPropagation(); close(); }
      if (step) { const list = [...menu.children]; list[(list.indexOf(document.activeElement) + step + list.length) % list.length].focus(); event.preventDefault(); }
    } }, this.data === null ? h("span.small.muted", { style: { padding: "6px 10px" } }, "There is nothing to save yet.")
      : items.map(([label, run]) => h("button.button", { role: "menuitem", onclick: () => { close(); run(); } }, label)));
    const before = document.activeElement;
    const outside = (event) => { if (!menu.contains(event.target)) close(); };
    const close = () => { menu.remove(); removeEventListener("pointerdown", outside, true); before?.focus?.(); };
    this.root.querySelector(".menu")?.remove();
    this.root.append(menu);
    menu.querySelector("button")?.focus();
    addEventListener("pointerdown", outside, true);
  }

  async showCode() {
    const url = this.options.code?.();
    if (!url) return;
    const { showCode } = await import("./code.js");
    showCode(url, this.options.title);
  }
}

/** Draw everything again, such as after a change of theme. */
export function redrawAll() {
  refreshTheme();
  for (const panel of all) panel.redraw();
}
