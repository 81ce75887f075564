/** Build an element: h("button.primary", {onclick, "aria-label": …}, children…). Text is never parsed as markup. */
export function h(spec, attributes, ...children) {
  const [tag, ...classes] = spec.split(".");
  const element = document.createElement(tag || "div");
  if (classes.length) element.className = classes.join(" ");
  if (attributes !== null && (typeof attributes !== "object" || attributes instanceof Node || Array.isArray(attributes))) {
    children.unshift(attributes);
    attributes = null;
  }
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(element.style, value);
    else if (name === "dataset") Object.assign(element.dataset, value);
    // beside the classes of the spec
    else if (name === "className") element.className = [...classes, value].join(" ").trim();
    else if (name in element && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children) {
    if (Array.isArray(child)) append(element, child);
    else if (child !== null && child !== undefined && child !== false) element.append(child);
  }
}

/** Replace what an element holds. */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

/** A labelled <select>; options are values or [value, label]; `change` gets the value. */
export function choose(label, options, value, change) {
  const select = h("select", { onchange: () => change(select.value) },
    options.map((option) => {
      const [key, text] = Array.isArray(option) ? option : [option, option];
      return h("option", { value: String(key), selected: String(key) === String(value) }, String(text));
    }));
  return h("label", label, select);
}

/** A labelled number field; `change` gets a number, or nothing happens where the text is none. */
export function numberField(label, value, change, { min, max, step, unit } = {}) {
  const input = h("input", {
    type: "number", value: String(value), min: text(min), max: text(max), step: step === undefined ? "any" : String(step),
    onchange: () => { if (input.value !== "" && input.checkValidity()) change(Number(input.value)); else input.reportValidity(); },
  });
  return h("label", label, input, unit ?? null);
}

const text = (number) => (number === undefined ? null : String(number));

/** Put lines beside the pointer; the first is bold. Without lines the tip goes away. */
export function tip(lines, x, y) {
  let box = document.getElementById("tip");
  if (!lines?.length) { box?.remove(); return; }
  if (!box) document.body.append((box = h("div", { id: "tip", role: "presentation" })));
  fill(box, h("b", String(lines[0])), lines.length > 1 ? "\n" + lines.slice(1).join("\n") : null);
  const { width, height } = box.getBoundingClientRect();
  const left = x + 14 + width > innerWidth - 8 ? x - width - 14 : x + 14;
  box.style.left = `${Math.max(8, left)}px`;
  box.style.top = `${Math.max(8, Math.min(y + 14, innerHeight - height - 8))}px`;
}

/** Hand a file to the browser's downloads; its name begins with the session and what of it is shown. */
export function download(name, content, type) {
  const url = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  const subject = document.title.split(" · ").reverse().join("-").toLowerCase().replace(/[^\p{L}\p{N}.]+/gu, "-");
  h("a", { href: url, download: `${subject}-${name}` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
