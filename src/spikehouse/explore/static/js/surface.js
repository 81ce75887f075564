// One way to draw, two backends: what is on the screen and what is saved as SVG come from the same calls.

const FONT = '"Inter", system-ui, sans-serif';

/** Things both backends draw from lines, rectangles and clips. */
class Surface {
  /** A filled rectangle with a pattern over it, for readers who cannot tell the colours apart. */
  patterned(x, y, width, height, { fill, pattern = "plain", color = "rgb(255 255 255 / 55%)", step = 6 }) {
    this.rect(x, y, width, height, { fill });
    if (pattern === "plain") return;
    this.clip(x, y, width, height, () => {
      const style = { color, width: 1.2 };
      const x1 = x + width, y1 = y + height;
      // lines start at multiples of the step, so that neighbouring rectangles match
      if (pattern === "dots") {
        for (let a = Math.floor(x / step) * step; a < x1 + step; a += step) {
          for (let b = Math.floor(y / step) * step; b < y1 + step; b += step) this.circle(a, b, 1.1, { fill: color });
        }
      }
      if (["horizontal", "grid"].includes(pattern)) for (let b = Math.floor(y / step) * step; b < y1; b += step) this.line(x, b, x1, b, style);
      if (["vertical", "grid"].includes(pattern)) for (let a = Math.floor(x / step) * step; a < x1; a += step) this.line(a, y, a, y1, style);
      if (["rising", "cross"].includes(pattern)) for (let d = Math.floor((x + y) / step) * step; d < x1 + y1; d += step) this.line(d - y1, y1, d - y, y, style);
      if (["falling", "cross"].includes(pattern)) for (let d = Math.floor((x - y1) / step) * step; d < x1 - y; d += step) this.line(d + y, y, d + y1, y1, style);
    });
  }
}

/** Draws on a canvas of `width` × `height` CSS pixels, below a `head` that has negative y. */
export class CanvasSurface extends Surface {
  constructor(canvas, width, height, ratio = devicePixelRatio, head = 0) {
    super();
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round((height + head) * ratio);
    Object.assign(this, { width, height, ratio, c: canvas.getContext("2d") });
    this.c.scale(ratio, ratio);
    this.c.translate(0, head);
  }

  #stroke({ color, width = 1, dash, alpha = 1 }) {
    Object.assign(this.c, { strokeStyle: color, lineWidth: width, globalAlpha: alpha, lineJoin: "round" });
    this.c.setLineDash(dash ?? []);
    this.c.stroke();
    this.c.globalAlpha = 1;
  }

  #fill(color, alpha = 1) {
    Object.assign(this.c, { fillStyle: color, globalAlpha: alpha });
    this.c.fill();
    this.c.globalAlpha = 1;
  }

  line(x0, y0, x1, y1, style) {
    this.c.beginPath();
    this.c.moveTo(x0, y0);
    this.c.lineTo(x1, y1);
    this.#stroke(style);
  }

  /** A line through points; NaN breaks it. */
  polyline(xs, ys, style) {
    trace(this.c, xs, ys, style.close);
    if (style.fill) this.#fill(style.fill, style.fillAlpha);
    if (style.color) this.#stroke(style);
  }

  /** The band between two lines. */
  band(xs, low, high, { color, alpha = 0.2 }) {
    this.c.beginPath();
    for (let i = 0; i < xs.length; i++) this.c.lineTo(xs[i], high[i]);
    for (let i = xs.length - 1; i >= 0; i--) this.c.lineTo(xs[i], low[i]);
    this.#fill(color, alpha);
  }

  rect(x, y, width, height, { fill, stroke, alpha, lineWidth = 1, radius = 0 }) {
    this.c.beginPath();
    if (radius) this.c.roundRect(x, y, width, height, radius);
    else this.c.rect(x, y, width, height);
    if (fill) this.#fill(fill, alpha);
    if (stroke) this.#stroke({ color: stroke, width: lineWidth });
  }

  circle(x, y, radius, { fill, stroke, alpha, width = 1 }) {
    this.c.beginPath();
    this.c.arc(x, y, radius, 0, 2 * Math.PI);
    if (fill) this.#fill(fill, alpha);
    if (stroke) this.#stroke({ color: stroke, width });
  }

  /** Many equal upright marks, such as spikes: their left edges and tops. */
  marks(xs, ys, width, height, { color, alpha = 1, start = 0, end = xs.length }) {
    Object.assign(this.c, { fillStyle: color, globalAlpha: alpha });
    for (let i = start; i < end; i++) this.c.fillRect(xs[i], ys[i], width, height);
    this.c.globalAlpha = 1;
  }

  text(words, x, y, { align = "left", baseline = "alphabetic", size = 11, weight = 400, color, rotate = 0 } = {}) {
    const c = this.c;
    c.save();
    c.translate(x, y);
    c.rotate(rotate);
    Object.assign(c, { font: `${weight} ${size}px ${FONT}`, textAlign: align, textBaseline: baseline, fillStyle: color });
    c.fillText(words, 0, 0);
    c.restore();
  }

  measure(words, { size = 11, weight = 400 } = {}) {
    this.c.font = `${weight} ${size}px ${FONT}`;
    return this.c.measureText(words).width;
  }

  /** An RGBA matrix stretched over a rectangle. */
  image(rgba, columns, rows, x, y, width, height, { smooth = false } = {}) {
    if (!columns || !rows) return;
    this.c.imageSmoothingEnabled = smooth;
    this.c.drawImage(bitmap(rgba, columns, rows), x, y, width, height);
  }

  clip(x, y, width, height, draw) {
    this.c.save();
    this.c.beginPath();
    this.c.rect(x, y, width, height);
    this.c.clip();
    draw();
    this.c.restore();
  }
}

function trace(path, xs, ys, close) {
  path.beginPath();
  let pen = false;
  for (let i = 0; i < xs.length; i++) {
    if (Number.isNaN(ys[i])) pen = false;
    else if (pen) path.lineTo(xs[i], ys[i]);
    else { path.moveTo(xs[i], ys[i]); pen = true; }
  }
  if (close) path.closePath();
}

// a matrix that is stretched by zooming is painted once
const bitmaps = new WeakMap();

function bitmap(rgba, columns, rows) {
  if (bitmaps.has(rgba)) return bitmaps.get(rgba);
  const canvas = document.createElement("canvas");
  bitmaps.set(rgba, canvas);
  canvas.width = columns;
  canvas.height = rows;
  canvas.getContext("2d").putImageData(new ImageData(rgba, columns, rows), 0, 0);
  return canvas;
}

// without what XML does not allow
const escape = (value) => String(value).replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, "").replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
const r = (value) => String(Math.round(value * 100) / 100);

/** Writes the same drawing as an SVG document. */
export class SvgSurface extends Surface {
  #parts = [];
  #clips = 0;
  #ruler = document.createElement("canvas").getContext("2d");

  constructor(width, height, head = 0) {
    super();
    Object.assign(this, { width, height, head, ratio: 2 });
  }

  #add(tag, attributes, content) {
    const written = Object.entries(attributes).filter(([, value]) => value !== undefined && value !== null)
      .map(([name, value]) => ` ${name}="${escape(typeof value === "number" ? r(value) : value)}"`).join("");
    this.#parts.push(content === undefined ? `<${tag}${written}/>` : `<${tag}${written}>${escape(content)}</${tag}>`);
  }

  #path(d, { color, width = 1, dash, alpha, fill, fillAlpha }) {
    this.#add("path", {
      d, fill: fill ?? "none", "fill-opacity": fillAlpha, stroke: color, "stroke-width": color && width,
      "stroke-dasharray": dash?.join(" "), "stroke-opacity": alpha, "stroke-linejoin": "round",
    });
  }

  line(x0, y0, x1, y1, style) { this.#path(`M${r(x0)} ${r(y0)}L${r(x1)} ${r(y1)}`, style); }

  polyline(xs, ys, style) {
    const steps = [];
    trace({ beginPath() {}, moveTo: (x, y) => steps.push(`M${r(x)} ${r(y)}`), lineTo: (x, y) => steps.push(`L${r(x)} ${r(y)}`), closePath: () => steps.push("Z") }, xs, ys, style.close);
    this.#path(steps.join(""), style);
  }

  band(xs, low, high, { color, alpha = 0.2 }) {
    const points = [];
    for (let i = 0; i < xs.length; i++) points.push(`${r(xs[i])} ${r(high[i])}`);
    for (let i = xs.length - 1; i >= 0; i--) points.push(`${r(xs[i])} ${r(low[i])}`);
    if (points.length) this.#path(`M${points.join("L")}Z`, { fill: color, fillAlpha: alpha });
  }

  rect(x, y, width, height, { fill, stroke, alpha, lineWidth, radius }) {
    this.#add("rect", { x, y, width, height, rx: radius, fill: fill ?? "none", "fill-opacity": alpha, stroke, "stroke-width": lineWidth });
  }

  circle(x, y, radius, { fill, stroke, alpha, width }) {
    this.#add("circle", { cx: x, cy: y, r: radius, fill: fill ?? "none", "fill-opacity": alpha, stroke, "stroke-width": width });
  }

  marks(xs, ys, width, height, { color, alpha, start = 0, end = xs.length }) {
    const steps = [];
    for (let i = start; i < end; i++) steps.push(`M${r(xs[i] + width / 2)} ${r(ys[i])}v${r(height)}`);
    this.#path(steps.join(""), { color, width, alpha });
  }

  text(words, x, y, { align = "left", baseline = "alphabetic", size = 11, weight = 400, color, rotate = 0 } = {}) {
    // viewers disagree about dominant-baseline, so the shift is written as a number
    const shift = { alphabetic: 0, middle: 0.36 * size, top: 0.76 * size, bottom: -0.2 * size }[baseline];
    const place = rotate ? { transform: `translate(${r(x)} ${r(y)}) rotate(${r((rotate * 180) / Math.PI)})`, y: shift } : { x, y: y + shift };
    this.#add("text", { ...place, "text-anchor": { left: "start", center: "middle", right: "end" }[align], "font-size": size, "font-weight": weight, fill: color }, words);
  }

  measure(words, { size = 11, weight = 400 } = {}) {
    this.#ruler.font = `${weight} ${size}px ${FONT}`;
    return this.#ruler.measureText(words).width;
  }

  image(rgba, columns, rows, x, y, width, height, { smooth = false } = {}) {
    if (!columns || !rows) return;
    this.#add("image", { href: bitmap(rgba, columns, rows).toDataURL(), x, y, width, height, preserveAspectRatio: "none", style: smooth ? null : "image-rendering:pixelated" });
  }

  clip(x, y, width, height, draw) {
    const id = `clip${++this.#clips}`;
    this.#parts.push(`<clipPath id="${id}"><rect x="${r(x)}" y="${r(y)}" width="${r(width)}" height="${r(height)}"/></clipPath><g clip-path="url(#${id})">`);
    draw();
    this.#parts.push("</g>");
  }

  toString() {
    return `<svg xmlns="http://www.w3.org/2000/svg" width="${this.width}" height="${this.height + this.head}" viewBox="0 ${-this.head} ${this.width} ${this.height + this.head}" font-family='${FONT}'>\n${this.#parts.join("\n")}\n</svg>\n`;
  }
}
