import { formatNumber } from "../axes.js";
import { follow } from "../app.js";
import { toCsv } from "../api.js";
import { showCode } from "../code.js";
import { download, fill, h } from "../dom.js";
import { DEFAULT_FILTERS, Facet, Range, countValues, passing, swatch } from "../facets.js";
import { list, text } from "../state.js";
import { Grid } from "../table.js";

const USUAL = ["probe_description", "ecephys_structure_acronym", "probe_vertical_position", "firing_rate", "snr", "waveform_duration", "waveform_amplitude", "isi_violations", "presence_ratio", "amplitude_cutoff"];
const MORE = ["waveform_halfwidth", "waveform_PT_ratio", "max_drift", "d_prime", "nn_hit_rate", "isolation_distance", "L_ratio"];
const RANGES = ["firing_rate", "snr", "waveform_duration"];
const SHORT = { probe_description: "probe", ecephys_structure_acronym: "structure", probe_vertical_position: "from tip (µm)", waveform_duration: "duration (ms)", waveform_amplitude: "amplitude (µV)" };
// "snr:2..,firing_rate:0.5..20": the limits of numeric columns in a link
const LIMIT = /^(\w+):(-?[\d.e+-]*)\.\.(-?[\d.e+-]*)$/;
const NO_STRUCTURE = "none";

export const view = {
  title: () => "Units",
  params: { q: text(), structure: list(), probe: list(), waveform: list(), limits: list(), off: list(), columns: list(), ranges: list(), sort: text() },
  keys: [["j  k", "next or previous unit"], ["Enter", "open the unit"], ["/", "search"]],
  async mount(root, ctx) {
    const [{ units, columns, published }, { filters }] = await Promise.all([ctx.api("units"), ctx.api("unit_filters").catch(() => ({ filters: null }))]);
    if (!units.length) return showNone(root, ctx, filters);
    return mountTable(root, ctx, { units, described: columns, published, filters });
  },
};

// in the atlas of the survey, what is in no structure is outside the brain
const outside = ({ path }) => (/^\d/.test(path.key) ? "outside the brain" : "no structure");

function showNone(root, ctx, filters) {
  const all = filters?.length ? filters.columns.remaining_count[0] : 0;
  fill(root, h("div.view-head", h("div", h("h1", "Units"), h("p.muted", all ? `None of the ${formatNumber(all)} sorted units passes the filters.` : "This session has no units."))), all ? h("div", { style: { maxWidth: "320px" } }, inForce(ctx, filters)) : null);
  return {};
}

/** The key of the same session without filters, or with them again. */
const otherKey = (key) => (key.endsWith("-all") ? key.slice(0, -4) : `${key}-all`);

const otherLink = (ctx, words) => h("a.small", { href: `/s/${encodeURIComponent(otherKey(ctx.path.key))}/units`, onclick: follow }, words);

/** What the session's own filters left out, with the way to open it without them. */
function inForce(ctx, filters) {
  const { filter, condition, failing_count: failing, remaining_count: left } = filters.columns;
  return h("fieldset.facet", h("legend", "Quality"),
    Array.from(filter, (name, i) => (name ? h("label.fixed", h("input", { type: "checkbox", checked: true, disabled: true }), h("span.facet-label", { title: condition[i] }, condition[i]), h("span.number", { title: "units that it leaves out" }, `−${formatNumber(failing[i])}`)) : null)),
    otherLink(ctx, `Open all ${formatNumber(left[0])} units to change these`));
}

function mountTable(root, ctx, { units, described, published, filters }) {
  const { ids, length } = units;
  const data = units.columns;
  const meanings = new Map(Array.from({ length: described.length }, (_, i) => [described.columns.name[i], described.row(i)]));
  const structureOf = (data.ecephys_structure_acronym ?? data.structure_acronym ?? []).length ? (i) => (data.ecephys_structure_acronym ?? data.structure_acronym)[i] ?? NO_STRUCTURE : () => NO_STRUCTURE;
  const probeOf = (i) => data.probe_description?.[i] ?? "–";
  const classOf = (i) => data.waveform_class?.[i] ?? "unknown";
  const [hasStructures, hasProbes] = [(i) => structureOf(i) !== NO_STRUCTURE, (i) => data.probe_description?.[i]].map((has) => ids.some((_, i) => has(i)));
  const set = (patch) => ctx.set(patch, { replace: true });
  const isKnown = (name) => data[name]?.some((value) => value !== null && !Number.isNaN(value));
  // of the survey's columns those with values; a table of one's own has others
  const own = Object.keys(data).filter((name) => name !== units.index && !meanings.get(name)?.meaning);
  const usual = () => [...(innerWidth > 1900 ? [...USUAL, ...MORE] : USUAL), ...own.slice(0, 6)].filter(isKnown);
  const isNumber = (name) => ArrayBuffer.isView(data[name]);
  const hasSurvey = /^\d+(-all)?$/.test(ctx.path.key); // only there are published metrics
  const isFiltered = filters?.length > 1;
  // the survey's limits apply to units that have all of its measures
  const switchable = filters && !isFiltered && DEFAULT_FILTERS.every(({ key }) => data[key]) ? DEFAULT_FILTERS : [];

  const summary = h("p.facts");
  const search = h("input", { type: "search", placeholder: ["Search id", hasStructures && "structure", hasProbes && "probe"].filter(Boolean).join(", "), "aria-label": "Search units", value: ctx.state.q, oninput: () => set({ q: search.value }) });
  const quality = h("fieldset.facet", { hidden: !switchable.length }, h("legend", "Quality"));
  const facetColumn = h("div.facets");
  const rangeColumn = h("div.ranges");
  const tableColumn = h("div.table-column");
  const selectionLine = h("p.selection", { role: "status" });
  const clear = () => { search.value = ""; set({ q: "", structure: [], probe: [], waveform: [], limits: [], off: [] }); };
  fill(root, h("div.view-head", h("div", h("h1", "Units"), summary),
    h("div.buttons",
      h("button.button", { type: "button", onclick: chooseColumns }, "Columns"),
      h("button.button", { type: "button", onclick: () => showCode(code(), "Units"), title: "Python code that lists these units (e)" }, "Code"),
      h("button.button", { type: "button", onclick: save, title: "The rows and columns shown, as CSV (s)" }, "Save CSV"))),
  h("div.browse.two", h("details.filters", { open: innerWidth > 800 }, h("summary", "Filter"), search, facetColumn, isFiltered ? inForce(ctx, filters) : quality, rangeColumn), h("div.table-column", selectionLine, tableColumn)));

  const facets = {
    structure: new Facet(facetColumn, { title: "Structure", top: 6, label: (name) => (name === NO_STRUCTURE ? outside(ctx) : [swatch(name), ` ${name}`]), change: (structure) => set({ structure }) }),
    probe: new Facet(facetColumn, { title: "Probe", change: (probe) => set({ probe }) }),
    waveform: new Facet(facetColumn, { title: "Waveform", change: (waveform) => set({ waveform }) }),
  };
  facets.structure.root.hidden = !hasStructures;
  facets.probe.root.hidden = !hasProbes;
  facets.waveform.root.hidden = !data.waveform_class;
  const ranges = new Map();
  const addRange = h("select", { "aria-label": "Filter by another column", onchange: () => addFilter(addRange.value) });
  const open = (row) => ctx.go(ctx.link("u", ids[row]));
  const grid = new Grid(tableColumn, { label: "Units", columns: makeColumns(ctx.state), sort: ctx.state.sort, onSort: (sort) => set({ sort }), open, onCurrent: () => {} });

  function shownRanges(state) {
    const limited = state.limits.map((limit) => LIMIT.exec(limit)?.[1]).filter(Boolean);
    return [...new Set([...limited, ...state.ranges, ...RANGES])].filter((name) => data[name] && isNumber(name));
  }

  function makeColumns(state) {
    const names = (state.columns.length ? state.columns : usual()).filter((name) => data[name]);
    return [
      { key: units.index, label: "unit", values: ids, format: String, numeric: false, width: 104, render: (cell, row) => fill(cell, h("a", { href: ctx.link("u", ids[row]), tabindex: "-1", onclick: follow }, String(ids[row]))), meaning: "Id of the unit." },
      ...names.map((name) => {
        const { unit, meaning } = meanings.get(name) ?? {};
        const column = { key: name, label: SHORT[name] ?? name.replace(/^waveform_/, ""), unit: SHORT[name]?.endsWith(")") ? null : unit, meaning: [name !== (SHORT[name] ?? name) ? name : null, meaning].filter(Boolean).join(": "), values: data[name], narrow: ["probe_description", "waveform_amplitude", "isi_violations", "presence_ratio", "amplitude_cutoff", "waveform_duration"].includes(name) ? false : undefined };
        if (/(^|_)id$|_index$/.test(name)) column.format = (value) => (value === null || Number.isNaN(value) ? "–" : String(value));
        // a test of so many resamples has no p of 0
        if (/^p_value|_pval_/.test(name)) column.format = (value) => (value === 0 ? "< 0.002" : formatNumber(value, 2));
        if (name.endsWith("structure_acronym")) column.render = (cell, row) => fill(cell, data[name][row] === null ? h("span.muted", "–") : [swatch(data[name][row]), ` ${data[name][row]}`]);
        return column;
      }),
    ];
  }

  function parseLimits(state) {
    const limits = new Map();
    for (const limit of state.limits) {
      const [, name, lo, hi] = LIMIT.exec(limit) ?? [];
      const ends = [lo === "" ? -Infinity : Number(lo), hi === "" ? Infinity : Number(hi)];
      if (name && data[name] && isNumber(name) && !ends.some(Number.isNaN)) limits.set(name, ends);
      else ctx.notice(`Ignored in this link: ${limit}. Limits read like snr:2.. or firing_rate:0.5..20.`);
    }
    return limits;
  }

  function setLimit(name, lo, hi) {
    const limits = parseLimits(ctx.state);
    if (lo === -Infinity && hi === Infinity) limits.delete(name); else limits.set(name, [lo, hi]);
    set({ limits: [...limits].map(([key, [a, b]]) => `${key}:${a === -Infinity ? "" : a}..${b === Infinity ? "" : b}`) });
  }

  let shape = "";
  function update(state) {
    if (search.value !== state.q) search.value = state.q;
    const limits = parseLimits(state);
    const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
    const names = shownRanges(state);
    const on = switchable.filter(({ key }) => !state.off.includes(key));
    const tests = [
      state.structure.length ? (i) => state.structure.includes(structureOf(i)) : null,
      state.probe.length ? (i) => state.probe.includes(probeOf(i)) : null,
      state.waveform.length ? (i) => state.waveform.includes(classOf(i)) : null,
      words.length ? (i) => { const all = `${ids[i]} ${structureOf(i)} ${probeOf(i)}`.toLowerCase(); return words.every((word) => all.includes(word)); } : null,
      ...switchable.map(({ key, passes }) => (state.off.includes(key) ? null : (i) => passes(data[key][i]))),
      ...names.map((name) => { const ends = limits.get(name); return ends ? (i) => data[name][i] >= ends[0] && data[name][i] <= ends[1] : null; }),
    ];
    const { rows, without } = passing(length, tests);
    facets.structure.show(countValues(length, without(0), structureOf), state.structure);
    facets.probe.show(countValues(length, without(1), probeOf), state.probe, [...new Set(Array.from({ length }, (_, i) => probeOf(i)))].sort());
    facets.waveform.show(countValues(length, without(2), classOf), state.waveform);
    fill(quality, h("legend", "Quality"), switchable.map(({ key, words: label, passes }, k) => {
      const keep = without(4 + k);
      let failing = 0;
      for (let i = 0; i < length; i++) if (keep(i) && !passes(data[key][i])) failing++;
      const isOn = !state.off.includes(key);
      return h("label", h("input", { type: "checkbox", checked: isOn, value: key, onchange: () => set({ off: isOn ? [...state.off, key] : state.off.filter((one) => one !== key) }) }),
        h("span.facet-label", label), h("span.number", { title: isOn ? "units that it removes" : "units that it would remove" }, `−${formatNumber(failing)}`));
    }), ctx.path.key.endsWith("-all") ? otherLink(ctx, "Open with the default filters") : null);
    const nextShape = [...names, update.hasMetrics].join();
    if (nextShape !== shape) { shape = nextShape; buildRanges(names); }
    names.forEach((name, k) => ranges.get(name).show(without(4 + switchable.length + k), limits.get(name)));
    const columnShape = state.columns.join();
    if (update.columns !== columnShape) { update.columns = columnShape; grid.setColumns(makeColumns(state)); }
    if (grid.options.sort !== state.sort) grid.setSort(state.sort);
    grid.setRows(rows, "No unit passes these filters.");
    describe(state, rows, limits, on);
  }

  function describe(state, rows, limits, on) {
    const parts = [
      state.structure.join(" or "), state.probe.join(" or "), state.waveform.join(" or "), state.q ? `“${state.q}”` : "",
      ...[...limits].map(([name, [lo, hi]]) => (lo === -Infinity ? `${name} ≤ ${formatNumber(hi)}` : hi === Infinity ? `${name} ≥ ${formatNumber(lo)}` : `${name} ${formatNumber(lo)} to ${formatNumber(hi)}`)),
    ].filter(Boolean);
    const isWhole = rows.length === length && !state.sort;
    if (on.length) parts.push(on.length === switchable.length ? "default filters" : on.map(({ words }) => words).join(", "));
    const label = [...parts, state.sort ? `by ${state.sort.replace(/^-/, "")}` : ""].filter(Boolean).join(", ");
    if (isWhole) ctx.selection.clear(); else ctx.selection.set(grid.order.map((row) => ids[row]), label);
    const sorted = filters?.columns.remaining_count[0] ?? length;
    fill(summary, h("span", sorted === length ? `${formatNumber(length)} units` : `${formatNumber(length)} of ${formatNumber(sorted)} sorted units pass the filters with which the session was opened`));
    fill(selectionLine, isWhole ? h("span.muted", `All ${formatNumber(length)} units`)
      : [h("b", `${formatNumber(rows.length)} of ${formatNumber(length)} units`), parts.length || state.sort ? ` · ${[...parts, state.sort ? `by ${SHORT[state.sort.replace(/^-/, "")] ?? state.sort.replace(/^-/, "")}` : null].filter(Boolean).join(", ")}` : "",
        h("button.button.quiet", { type: "button", onclick: () => { clear(); set({ sort: "" }); } }, "clear")]);
  }

  async function addFilter(name) {
    try {
      if (!data[name]) await readMetrics();
      if (!data[name] || !isNumber(name)) throw new Error(`There is no published ${name} of these units.`);
      set({ ranges: [...shownRanges(ctx.state), name] });
    } catch (error) {
      addRange.value = "";
      if (error.name !== "AbortError") ctx.notice(error.message);
    }
  }

  function buildRanges(names) {
    ranges.clear();
    fill(rangeColumn, names.map((name) => {
      const range = new Range({ name, label: SHORT[name], unit: SHORT[name]?.endsWith(")") ? null : meanings.get(name)?.unit, values: data[name], change: (lo, hi) => setLimit(name, lo, hi) });
      ranges.set(name, range);
      return range.root;
    }), h("div.facet", addRange));
    const others = Object.keys(data).filter((name) => isNumber(name) && !names.includes(name) && name !== units.index && !/(^|_)id$/.test(name)).sort();
    const metrics = hasSurvey && !update.hasMetrics ? published.filter((name) => !data[name]) : [];
    fill(addRange, h("option", { value: "" }, "Filter by another column …"), others.map((name) => h("option", { value: name }, name)),
      metrics.length ? h("optgroup", { label: "Published metrics" }, metrics.map((name) => h("option", { value: name }, name))) : null);
  }

  function chooseColumns() {
    const names = Object.keys(data).filter((name) => name !== units.index);
    const shown = new Set(ctx.state.columns.length ? ctx.state.columns : usual());
    const boxes = names.map((name) => {
      const { unit, meaning } = meanings.get(name) ?? {};
      return h("label.column-choice", h("input", { type: "checkbox", value: name, checked: shown.has(name), onchange: apply }), h("span", name, unit ? h("span.muted", ` [${unit}]`) : null), h("span.small.muted", meaning ?? ""));
    });
    const dialog = h("dialog", { "aria-label": "Columns", onclose: () => dialog.remove(), onclick: (event) => { if (event.target === dialog) dialog.close(); } },
      h("header", h("h2", "Columns"),
        h("button.button.quiet", { type: "button", onclick: () => { set({ columns: [] }); dialog.close(); } }, "Usual ones"),
        h("button.button.quiet", { type: "button", onclick: () => { set({ columns: names }); dialog.close(); } }, "All"),
        addMetrics(dialogDone), h("button.button", { type: "button", onclick: () => dialog.close() }, "Done")),
      h("div.columns", boxes));
    // a Set keeps the order: what is ticked comes last
    function apply({ target }) { shown[target.checked ? "add" : "delete"](target.value); set({ columns: [...shown].filter((name) => data[name]) }); }
    function dialogDone() { dialog.close(); chooseColumns(); }
    document.body.append(dialog);
    dialog.showModal();
  }

  /** A button that adds the published metrics, which are a table of their own. */
  function addMetrics(done) {
    if (!hasSurvey || update.hasMetrics) return null;
    const button = h("button.button", { type: "button", onclick: async () => {
      button.disabled = true;
      button.textContent = "Reading …";
      try { await readMetrics(); done(); } catch (error) { button.textContent = "Published metrics"; button.disabled = false; ctx.notice(error.message); }
    } }, "Add published metrics");
    return button;
  }

  async function readMetrics() {
    const { metrics, columns } = await ctx.api("unit_metrics");
    const names = columns.columns.name;
    if (!names.length) throw new Error("There are no published metrics of these units.");
    for (let i = 0; i < columns.length; i++) { data[names[i]] = metrics.columns[names[i]]; meanings.set(names[i], columns.row(i)); }
    update.hasMetrics = true;
    update(ctx.state);
  }

  /** The address of the code of what is shown. */
  function code() {
    const { q, structure, probe, waveform, limits, off, sort } = ctx.state;
    const on = switchable.filter(({ key }) => !off.includes(key));
    return ctx.code("selected_units", { words: q, structures: structure, probes: probe, classes: waveform, sort, limits: [...limits, ...on.map(({ limit }) => limit).filter(Boolean)], good: on.some(({ key }) => key === "quality") || null });
  }

  function save() {
    const columns = Object.fromEntries(grid.options.columns.map(({ key, values }) => [key, grid.order.map((row) => values[row])]));
    download("table.csv", toCsv(columns), "text/csv");
  }

  function onKey(event) {
    if (event.key === "e") { showCode(code(), "Units"); return true; }
    if (event.key === "s") { save(); return true; }
    return grid.onKey(event);
  }

  const wanted = [...ctx.state.columns, ctx.state.sort.replace(/^-/, ""), ...ctx.state.ranges, ...ctx.state.limits.map((limit) => limit.split(":")[0])].filter((name) => name && !data[name] && name !== units.index);
  // columns of a link may be those of the published metrics
  const ready = wanted.length && hasSurvey ? readMetrics().catch(() => {}) : Promise.resolve();
  ready.then(() => {
    const absent = wanted.filter((name) => !data[name]);
    if (absent.length) ctx.notice(`This session has no column ${absent.join(", ")}.`);
    const known = { structure: structureOf, probe: probeOf, waveform: classOf };
    for (const [name, get] of Object.entries(known)) {
      const others = ctx.state[name].filter((value) => !ids.some((_, i) => get(i) === value));
      if (others.length) ctx.notice(`No unit of this session is ${name === "waveform" ? "" : "in "}${others.join(", ")}.`);
    }
    update.columns = undefined;
    update(ctx.state);
  });
  return { update, onKey, restyle: () => ranges.forEach((range) => range.draw()), destroy: () => grid.destroy() };
}
