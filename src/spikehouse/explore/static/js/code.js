import { get } from "./api.js";
import { download, fill, h } from "./dom.js";

/** Show the Python code that gives a panel's numbers. */
export async function showCode(url, title) {
  const code = h("pre", { tabindex: "0", "aria-label": "Python code" }, "…");
  const copy = h("button.button.primary", { onclick: async () => { await copyText(code.textContent); copy.textContent = "Copied"; } }, "Copy");
  const dialog = h("dialog", { "aria-label": `Code of ${title}`, onclose: () => dialog.remove(), onclick: (event) => { if (event.target === dialog) dialog.close(); } },
    h("header", h("h2", `${title}: the same numbers in Python`), copy,
      h("button.button", { onclick: () => download(`${title.toLowerCase().replace(/\W+/g, "_")}.py`, code.textContent, "text/x-python") }, "Download"),
      h("button.button.quiet", { onclick: () => dialog.close(), "aria-label": "Close" }, "Close")),
    h("div", code));
  document.body.append(dialog);
  dialog.showModal();
  copy.focus();
  fill(code, await get(url, { keep: false }).catch((error) => error.message));
}

/** Put text on the clipboard, also where the page may not use the clipboard itself. */
export async function copyText(words) {
  try {
    await navigator.clipboard.writeText(words);
  } catch {
    const area = h("textarea", { style: { position: "fixed", opacity: "0" } });
    area.value = words;
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}
