import { theme } from "./colors.js";
import { formatNumber, formatTime, timeTicks } from "./axes.js";
import { axes, extent } from "./axes.js";
import { h } from "./dom.js";
import { Panel } from "./panel.js";

let loading;

// loaded when the first time series is shown
function loadUplot() {
  loading ??= new Promise((resolve, reject) => {
    document.head.append(
      h("link", { rel: "stylesheet", href: "/static/vendor/uplot/uPlot.min.css" }),
      h("script", { src: "/static/vendor/uplot/uPlot.iife.min.js", onload: () => resolve(window.uPlot), onerror: () => reject(new Error("uPlot did not load.")) }),
    );
  });
  return loading;
}

/**
 * A panel of time series drawn by uPlot: data is {x: seconds, series: [{name, values, color, unit}]}.
 *
 * options as for Panel, with {left (width of the axis, so that panels stand in one line), label (of y), domain: [t0, t1],
 * zoom(t0, t1), cursor: Cursor}. Saved as PNG, SVG and CSV like every panel.
 */
export class TimeSeries extends Panel {
  #uplot = null;
  #domain = null;

  constructor(parent, options) {
    super(parent, {
      describe: (data) => `${options.title}: ${data.series.map(({ name }) => name).join(", ")} over time.`,
      csv: (data) => ({ time: data.x, ...Object.fromEntries(data.series.map(({ name, values }) => [name, values])) }),
      ...options,
      zoom: undefined, cursor: undefined,
      draw: (s, data, size) => this.#paint(s, data, size),
    });
    this.series = options;
    this.forget = options.cursor?.add(this);
  }

  destroy() {
    this.forget?.();
    this.#uplot?.destroy();
    super.destroy();
  }

  /** Show another stretch of time without new data. */
  setDomain(domain) {
    this.#domain = domain;
    this.#uplot?.setScale("x", { min: domain[0], max: domain[1] });
  }

  message(...words) {
    this.#uplot?.destroy();
    this.#uplot = null;
    super.message(...words);
  }

  redraw() {
    if (this.data === null || !this.place.clientWidth) return;
    this.#build();
  }

  showCursor(at) {
    if (!this.#uplot) return;
    const left = at === null ? -10 : this.#uplot.valToPos(at, "x");
    this.#uplot.setCursor({ left, top: at === null ? -10 : this.#uplot.height / 2 }, false);
  }

  async #build() {
    const uPlot = await loadUplot();
    if (this.data === null || !this.place.isConnected) return;
    const t = theme();
    const { data, series: options } = this;
    const width = this.place.clientWidth;
    const height = this.place.clientHeight;
    this.#uplot?.destroy();
    const font = '11px "Inter", system-ui, sans-serif';
    const axis = { stroke: t.muted, font, grid: { show: false }, ticks: { stroke: t.line_strong, width: 1, size: 4 } };
    const span = () => { const d = this.#domain ?? options.domain ?? extent(data.x); return d[1] - d[0]; };
    this.#uplot = new uPlot({
      width, height, padding: [8, 8, 0, 0], legend: { show: false },
      cursor: {
        y: false, points: { size: 5 }, drag: { x: Boolean(options.zoom), y: false, setScale: false },
      },
      select: { show: Boolean(options.zoom) },
      scales: { x: { time: false, min: (this.#domain ?? options.domain)?.[0], max: (this.#domain ?? options.domain)?.[1] }, y: { range: options.range } },
      axes: [
        { ...axis, size: 24, gap: 4, splits: (u, i, lo, hi) => timeTicks(lo, hi, Math.max(2, Math.floor(width / 110))), values: (u, ticks) => ticks.map((v) => formatTime(v, span())), show: options.hideTime !== true },
        { ...axis, size: options.left ?? 48, gap: 6, grid: { stroke: t.line, width: 1 }, ticks: { show: false }, values: (u, ticks) => ticks.map((v) => formatNumber(v)), space: 36 },
      ],
      series: [{}, ...data.series.map((one, i) => ({ label: one.name, stroke: one.color ?? t.categories[i], width: 1.2, points: { show: false }, spanGaps: false }))],
      hooks: {
        setSelect: [(u) => {
          if (!u.select.width || !options.zoom) return;
          const ends = [u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x")];
          u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
          options.zoom(...ends);
        }],
        setCursor: [(u) => {
          const inside = u.cursor.left >= 0 && u.cursor.idx !== null && u.cursor.idx !== undefined;
          this.sub(inside ? this.#read(u.cursor.idx, span()) : options.sub ?? "");
          if (u.cursor.event) options.cursor?.move(inside ? u.posToVal(u.cursor.left, "x") : null, this);
        }],
      },
    }, [data.x, ...data.series.map(({ values }) => values)], this.place);
    this.#uplot.root.classList.add("series");
    // the panel's own canvas, which is empty, says in words what this one shows
    this.#uplot.root.querySelector("canvas").setAttribute("aria-hidden", "true");
  }

  #read(i, span) {
    const { data } = this;
    return [formatTime(data.x[i], span), ...data.series.map(({ name, values, unit }) =>
      `${data.series.length > 1 ? name + " " : ""}${formatNumber(values[i])}${unit ? " " + unit : ""}`)].join(" · ");
  }

  // for files to save: uPlot writes no SVG
  #paint(s, data) {
    const domain = this.#domain ?? this.series.domain ?? extent(data.x);
    const plot = axes(s, {
      left: this.series.left, y: { domain: this.series.range?.(null, ...extent(...data.series.map(({ values }) => values))) ?? extent(...data.series.map(({ values }) => values)), label: this.series.label },
      x: { domain, ticks: timeTicks(...domain), format: (v) => formatTime(v, domain[1] - domain[0]) },
    });
    const { box } = plot;
    s.clip(box.x, box.y, box.width, box.height, () => data.series.forEach(({ values, color }, i) =>
      s.polyline(Array.from(data.x, plot.sx), Array.from(values, plot.sy), { color: color ?? theme().categories[i], width: 1.2 })));
    return plot;
  }
}
