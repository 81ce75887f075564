import { formatNumber } from "./axes.js";
import { structureStyle } from "./colors.js";
import { fill, h } from "./dom.js";

/** A small square in a structure's colour and pattern. */
export function swatch(acronym) {
  const { color, pattern, name } = structureStyle(acronym);
  const box = h("span.swatch", { className: `swatch pattern-${pattern}`, title: name });
  box.style.backgroundColor = color;
  return box;
}

/** Mark the rows that pass all tests but one: facet k counts those, so that its other values keep their counts. */
export function passing(length, tests) {
  const failures = new Uint8Array(length);
  const which = new Uint8Array(length);
  tests.forEach((test, k) => {
    if (!test) return;
    for (let i = 0; i < length; i++) if (!test(i)) { failures[i]++; which[i] = k; }
  });
  return {
    rows: Array.from({ length }, (_, i) => i).filter((i) => !failures[i]),
    without: (k) => (i) => failures[i] === 0 || (failures[i] === 1 && which[i] === k),
  };
}

/**
 * A list of values to tick, with the number of rows that each would show.
 *
 * options: {title, label(value) → text or elements, top: how many are shown before "all", change(chosen values)}
 */
export class Facet {
  constructor(parent, options) {
    this.options = options;
    this.list = h("div.facet-list");
    this.root = h("fieldset.facet", h("legend", options.title), this.list);
    this.isLong = false;
    parent.append(this.root);
  }

  /** counts: Map of value → number of rows; chosen: values that are ticked. */
  show(counts, chosen, order = null) {
    this.last = [counts, chosen, order];
    const { label = String, change, top = 8 } = this.options;
    const values = [...new Set([...(order ?? []), ...counts.keys(), ...chosen])];
    if (!order) values.sort((a, b) => counts.get(b) - counts.get(a) || String(a).localeCompare(String(b)));
    const shown = this.isLong ? values : values.filter((value, i) => i < top || chosen.includes(value));
    const focused = this.root.contains(document.activeElement) ? document.activeElement.value : null;
    fill(this.list, shown.map((value) => {
      const count = counts.get(value) ?? 0;
      const isOn = chosen.includes(value);
      return h("label", { className: count || isOn ? "" : "empty" },
        h("input", { type: "checkbox", checked: isOn, value: String(value), onchange: () => change(isOn ? chosen.filter((one) => one !== value) : [...chosen, value]) }),
        h("span.facet-label", label(value)), h("span.number", formatNumber(count)));
    }), values.length > top ? h("button.button.quiet.more", { type: "button", onclick: () => { this.isLong = !this.isLong; this.show(...this.last); } }, this.isLong ? "fewer" : `all ${values.length}`) : null);
    if (focused !== null) this.list.querySelector(`input[value="${CSS.escape(focused)}"]`)?.focus();
  }
}

/** Count the values of the rows that pass; `get` returns one value or several. */
export function countValues(length, keep, get) {
  const counts = new Map();
  for (let i = 0; i < length; i++) {
    const found = get(i);
    for (const value of Array.isArray(found) ? found : [found]) counts.set(value, (counts.get(value) ?? 0) + (keep(i) ? 1 : 0));
  }
  return counts;
}
