import { formatNumber } from "../axes.js";
import { follow } from "../app.js";
import { showCode } from "../code.js";
import { structureStyle } from "../colors.js";
import { fill, h } from "../dom.js";
import { DEFAULT_FILTERS, Facet, countValues, passing, swatch } from "../facets.js";
import { Panel } from "../panel.js";
import { choice, flag, list, text } from "../state.js";
import { Grid } from "../table.js";

const BAR = 20;

export const view = {
  title: () => "Survey",
  params: { type: list(), genotype: list(), sex: list(), structure: list(), file: choice(["", "here", "remote"]), notes: flag(), q: text(), sort: text() },
  keys: [["j  k", "next or previous session"], ["Enter", "open the session"], ["/", "search"]],
  async mount(root, ctx) {
    if (!ctx.page.has_survey) return showFiles(root, ctx);
    const [{ sessions, notes }, counts, { structures }] = await Promise.all([ctx.api("sessions"), ctx.api("structure_counts"), ctx.api("structures")]);
    return mountTable(root, ctx, { sessions, notes, counts, structures });
  },
};

function showFiles(root, ctx) {
  const { sessions } = ctx.page;
  fill(root, h("div.view-head", h("div", h("h1", "Sessions"),
    h("p.muted", "These were opened by themselves. For the survey, start spikehouse explore without a path."))),
  h("table.plain", { style: { maxWidth: "640px" } }, h("tbody", sessions.map(({ key, title }) =>
    h("tr", h("td", h("a", { href: `/s/${encodeURIComponent(key)}`, onclick: follow }, title)))))));
  let at = 0;
  const links = [...root.querySelectorAll("td a")];
  return { onKey(event) {
    const step = { j: 1, k: -1, ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && links.length) { at = Math.max(0, Math.min(links.length - 1, at + (document.activeElement === links[at] ? step : 0))); links[at].focus(); return true; }
    if (event.key === "Enter" && links.length) { links[at].click(); return true; }
    return false;
  } };
}

function mountTable(root, ctx, { sessions, notes, counts, structures }) {
  const { columns, ids, length } = sessions;
  const acronyms = columns.structures.map((names) => names.split(" ").filter(Boolean));
  const noted = new Map();
  for (let i = 0; i < notes.length; i++) {
    const { session_id: id, probe_id: probe, note } = notes.row(i);
    noted.set(id, [...(noted.get(id) ?? []), Number.isFinite(probe) ? `probe ${probe}: ${note}` : note]);
  }
  const sorted = new Map(Array.from(counts.by_session.ids, (id, i) => [id, counts.by_session.columns.sorted_count[i]]));
  const sizes = new Float64Array(length).fill(NaN);
  const set = (patch) => ctx.set(patch, { replace: true });

  const summary = h("p.facts");
  const search = h("input", { type: "search", placeholder: "Search", "aria-label": "Search sessions", value: ctx.state.q, oninput: () => set({ q: search.value }) });
  const facetColumn = h("div.facets");
  const tableColumn = h("div.table-column");
  const chartColumn = h("div.chart-column");
  const clear = h("button.button.quiet", { type: "button", onclick: () => { search.value = ""; set({ type: [], genotype: [], sex: [], structure: [], file: "", notes: false, q: "" }); } }, "Clear filters");
  fill(root, h("div.view-head", h("div", h("h1", "Survey"), summary)),
    h("div.browse", h("details.filters", { open: innerWidth > 1100 }, h("summary", "Filter"), search, facetColumn, clear), tableColumn, chartColumn));

  const facets = {
    type: new Facet(facetColumn, { title: "Session type", label: (name) => name.replaceAll("_", " "), change: (type) => set({ type }) }),
    genotype: new Facet(facetColumn, { title: "Genotype", label: shortGenotype, change: (genotype) => set({ genotype }) }),
    sex: new Facet(facetColumn, { title: "Sex", label: (sex) => ({ M: "male", F: "female" })[sex] ?? sex, change: (sex) => set({ sex }) }),
    structure: new Facet(facetColumn, { title: "Structure", label: (name) => [swatch(name), ` ${name}`], change: (structure) => set({ structure }), top: 10 }),
    file: new Facet(facetColumn, { title: "File", label: (name) => [place(name === "here"), name === "here" ? "on this machine" : "remote"], change: (chosen) => set({ file: chosen.at(-1) ?? "" }) }),
    notes: new Facet(facetColumn, { title: "Data notes", label: () => "has known faults", change: (chosen) => set({ notes: chosen.length > 0 }) }),
  };

  const open = (row) => ctx.go(`/s/${ids[row]}`);
  const grid = new Grid(tableColumn, {
    label: "Sessions", sort: ctx.state.sort, onSort: (sort) => set({ sort }), open,
    columns: [
      { key: "id", label: "Session", values: ids, numeric: false, format: String, render: (cell, row) => fill(cell, h("a", { href: `/s/${ids[row]}`, tabindex: "-1", onclick: follow }, String(ids[row])), noteMark(noted.get(ids[row]))), width: 124 },
      { key: "session_type", label: "Type", values: columns.session_type, format: (name) => name.replaceAll("_", " "), narrow: false },
      { key: "full_genotype", label: "Genotype", values: columns.full_genotype, format: shortGenotype, width: 120 },
      { key: "sex", label: "Sex", values: columns.sex, narrow: false },
      { key: "age_in_days", label: "Age", unit: "days", meaning: "Age of the mouse at the recording, in days.", values: columns.age_in_days },
      { key: "unit_count", label: "Units", values: columns.unit_count, meaning: `Units that pass the default filters: ${DEFAULT_FILTERS.map(({ words }) => words).join(", ")}. As in the released table, those outside the brain count, which an opened session leaves out.` },
      { key: "probe_count", label: "Probes", values: columns.probe_count, narrow: false },
      { key: "n_bytes", label: "File", meaning: "Size of the file of the session; a full circle if it is on this machine, a ring if it is remote.", values: sizes, numeric: true, width: 92,
        render: (cell, row) => fill(cell, Number.isFinite(sizes[row]) ? (sizes[row] >= 1e9 ? `${(sizes[row] / 1e9).toFixed(2)} GB` : `${(sizes[row] / 1e6).toFixed(1)} MB`) : columns.is_here[row] ? "here" : "remote", place(columns.is_here[row])) },
      { key: "structures", label: "Structures", values: columns.structures, meaning: "All structures in which the session has channels.", narrow: false, grow: true, width: 100,
        render: (cell, row) => { cell.textContent = columns.structures[row]; cell.dataset.tip = `${acronyms[row].length} structures\n${columns.structures[row]}`; } },
    ],
  });

  const panel = new Panel(chartColumn, {
    title: "Units per structure", name: "units-per-structure", code: () => ctx.code("structure_counts"),
    describe: ({ names, values }) => `Bar chart of units per structure: ${names.slice(0, 5).map((name, i) => `${name} ${values[i]}`).join(", ")}${names.length > 5 ? " and others" : ""}.`,
    csv: ({ names, values }) => ({ structure: names, unit_count: values }),
    draw: drawBars,
    hover: (data, plot, x, y) => {
      const i = Math.floor((y - 4) / BAR);
      return i >= 0 && i < data.names.length ? { lines: [data.names[i], structureStyle(data.names[i]).name, `${data.values[i]} units in ${data.sessions[i]} sessions`] } : null;
    },
    click: (data, plot, x, y) => {
      const name = data.names[Math.floor((y - 4) / BAR)];
      if (!name) return;
      const chosen = ctx.state.structure;
      set({ structure: chosen.includes(name) ? chosen.filter((one) => one !== name) : [...chosen, name] });
    },
  });

  const known = { structure: new Set(structures.ids), type: new Set(columns.session_type), genotype: new Set(columns.full_genotype), sex: new Set(columns.sex) };
  for (const [name, values] of Object.entries(known)) {
    const others = ctx.state[name].filter((value) => !values.has(value));
    if (others.length) ctx.notice(`No session of this survey has ${name} ${others.join(", ")}.`);
  }

  function update(state) {
    if (search.value !== state.q) search.value = state.q;
    const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
    const tests = [
      state.type.length ? (i) => state.type.includes(columns.session_type[i]) : null,
      state.genotype.length ? (i) => state.genotype.includes(columns.full_genotype[i]) : null,
      state.sex.length ? (i) => state.sex.includes(columns.sex[i]) : null,
      state.structure.length ? (i) => state.structure.every((name) => acronyms[i].includes(name)) : null,
      state.file ? (i) => Boolean(columns.is_here[i]) === (state.file === "here") : null,
      state.notes ? (i) => noted.has(ids[i]) : null,
      words.length ? (i) => { const all = [ids[i], columns.session_type[i], columns.full_genotype[i], columns.structures[i]].join(" ").toLowerCase(); return words.every((word) => all.includes(word)); } : null,
    ];
    const { rows, without } = passing(length, tests);
    const count = (k, get) => countValues(length, without(k), get);
    facets.type.show(count(0, (i) => columns.session_type[i]), state.type);
    facets.genotype.show(count(1, (i) => columns.full_genotype[i]), state.genotype);
    facets.sex.show(count(2, (i) => columns.sex[i]), state.sex);
    // chosen structures must all be there, so that another one narrows what is left
    const left = new Set(rows);
    facets.structure.show(countValues(length, (i) => left.has(i), (i) => acronyms[i]), state.structure);
    facets.file.show(count(4, (i) => (columns.is_here[i] ? "here" : "remote")), state.file ? [state.file] : []);
    facets.notes.show(new Map([["notes", countValues(length, without(5), (i) => noted.has(ids[i])).get(true) ?? 0]]), state.notes ? ["notes"] : []);
    facets.notes.root.hidden = !noted.size;
    clear.hidden = !tests.some(Boolean);
    if (grid.options.sort !== state.sort) grid.setSort(state.sort);
    grid.setRows(rows, "No session passes these filters.");
    showCounts(rows);
  }

  function showCounts(rows) {
    const shown = new Set(rows.map((row) => ids[row]));
    const units = new Map(), in_sessions = new Map();
    let passed = 0, outside = 0;
    const table = counts.by_structure.columns;
    for (let i = 0; i < counts.by_structure.length; i++) {
      if (!shown.has(table.ecephys_session_id[i])) continue;
      const name = table.ecephys_structure_acronym[i];
      passed += table.unit_count[i];
      if (name === null) { outside += table.unit_count[i]; continue; }
      units.set(name, (units.get(name) ?? 0) + table.unit_count[i]);
      in_sessions.set(name, (in_sessions.get(name) ?? 0) + 1);
    }
    const all = [...shown].reduce((sum, id) => sum + (sorted.get(id) ?? 0), 0);
    fill(summary, h("span", `${rows.length} of ${length} sessions`), !rows.length ? null : h("span", { title: DEFAULT_FILTERS.map(({ words }) => words).join("\n") }, `${formatNumber(passed)} of ${formatNumber(all)} sorted units pass the default filters${outside ? `, ${formatNumber(outside)} of them outside the brain: an opened session leaves these out` : ""}`),
      !rows.length ? null : h("span.filter-words", DEFAULT_FILTERS.map(({ words }) => words).join(", ")));
    const names = [...units.keys()].sort((a, b) => units.get(b) - units.get(a) || a.localeCompare(b));
    panel.place.style.minHeight = `${Math.max(80, names.length * BAR + 8)}px`;
    if (names.length) panel.show({ names, values: names.map((name) => units.get(name)), sessions: names.map((name) => in_sessions.get(name)), chosen: ctx.state.structure });
    else panel.message("No session passes these filters.");
  }

  update(ctx.state);
  // the sizes of remote files are asked for on their servers, which may take a second
  ctx.api("files").then(({ files }) => {
    const row = new Map(Array.from(ids, (id, i) => [id, i]));
    for (let i = 0; i < files.length; i++) sizes[row.get(files.columns.session_id[i])] = files.columns.n_bytes[i];
    grid.layout();
  }, (error) => { if (error.name !== "AbortError") ctx.notice(`The sizes of remote files are unknown: ${error.message}`); });
  return { update, onKey(event) {
    if (event.key === "e" && !panel.root.matches(":hover, :focus-within")) { showCode(ctx.code("sessions"), "Sessions"); return true; }
    return grid.onKey(event);
  }, destroy() { grid.destroy(); panel.destroy(); } };
}

const place = (isHere) => h("span.place", { className: isHere ? "here" : "", role: "img", "aria-label": isHere ? "on this machine" : "remote" });

function noteMark(lines) {
  return lines ? h("span.note-mark", { dataset: { tip: ["Known of this recording", ...lines].join("\n") }, role: "img", "aria-label": `Data notes: ${lines.join("; ")}` }, "!") : null;
}

/** The driver line alone: "Sst-IRES-Cre/wt;Ai32…" → "Sst-IRES-Cre". */
function shortGenotype(genotype) {
  if (!genotype) return "–";
  const driver = genotype.split("/")[0];
  return driver === "wt" ? "wild type" : driver;
}

function drawBars(s, { names, values, chosen }, { width, theme }) {
  const left = Math.max(...names.map((name) => s.measure(name, { size: 12 }))) + 12;
  const right = Math.max(...values.map((value) => s.measure(formatNumber(value), { size: 11 }))) + 10;
  const most = Math.max(...values);
  names.forEach((name, i) => {
    const y = 4 + i * BAR;
    const { color, pattern } = structureStyle(name);
    const isMuted = chosen.length && !chosen.includes(name);
    const long = Math.max(1, ((width - left - right) * values[i]) / most);
    s.text(name, left - 10, y + BAR / 2, { size: 12, align: "right", baseline: "middle", color: isMuted ? theme.muted : theme.ink, weight: chosen.includes(name) ? 600 : 400 });
    s.patterned(left, y + 4, long, BAR - 8, { fill: color, pattern });
    s.text(formatNumber(values[i]), left + long + 6, y + BAR / 2, { baseline: "middle", color: theme.muted });
  });
  return null;
}
