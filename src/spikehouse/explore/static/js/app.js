import { ApiError, GONE, address, get, replaced, traffic } from "./api.js";
import { formatBytes } from "./axes.js";
import { setStructures } from "./colors.js";
import { copyText } from "./code.js";
import { fill, h, tip } from "./dom.js";
import { setDefaultFilters } from "./facets.js";
import { activePanel, forgetActive, redrawAll } from "./panel.js";
import { readState, writeState } from "./state.js";

// name, path, label in the bar, key after g; a view is loaded when it is first opened
const VIEWS = [
  ["survey", "/", "Survey", "h"],
  ["cohort", "/cohort", "Cohort", "c"],
  ["cohort", "/cohort/:name", "Cohort", null],
  ["session", "/s/:key", "Session", "s"],
  ["probe", "/s/:key/p/:probe", "Probes", "p"],
  ["units", "/s/:key/units", "Units", "u"],
  ["unit", "/s/:key/u/:unit", "Unit", "n"],
  ["population", "/s/:key/population", "Population", "t"],
  ["decoding", "/s/:key/decoding", "Decoding", "d"],
];
const KEYS = [
  ["Anywhere", [["?", "this help"], ["g then h", "survey"], ["g then s", "session"], ["g then p", "probes"], ["g then u", "units"],
    ["g then n", "unit"], ["g then t", "population over time"], ["g then d", "decoding"], ["g then c", "cohort"],
    ["[  ]", "previous or next session tab"], ["x", "close the session's tab"], ["t", "light or dark"]]],
  ["Lists and units", [["j  k", "next or previous"], ["Enter", "open"], ["/", "filter"]]],
  ["Take it with you", [["c", "copy the link of this view"], ["e", "Python code of this panel"], ["s", "save this panel as PNG, SVG or CSV"]]],
];

const top = document.getElementById("top");
const main = document.getElementById("main");
const notices = document.getElementById("notices");
const sessions = new Map(); // key → facts
const selections = new Map(); // key → {ids, label}
let lastOf = {}; // key → {probe, unit} seen last
let tabs = JSON.parse(sessionStorage.getItem("tabs") ?? "[]");
let page = null; // facts of the server
let current = null; // {name, path, controller} and, once it is loaded, {definition, ctx, handle}
let afterG = null;

/** Tell the user something for a few seconds. */
export function notice(words) {
  if ([...notices.children].some((shown) => shown.textContent === words)) return;
  const box = h("div", words);
  notices.append(box);
  setTimeout(() => box.remove(), 3000 + 60 * words.length);
}

function match(pathname) {
  const parts = pathname.replace(/\/+$/, "").split("/");
  for (const [name, pattern] of VIEWS) {
    const wanted = pattern.replace(/\/+$/, "").split("/");
    if (wanted.length !== parts.length) continue;
    const path = {};
    if (wanted.every((part, i) => (part.startsWith(":") ? (path[part.slice(1)] = safeDecode(parts[i])) : part === parts[i]))) return { name, path };
  }
  return null;
}

function safeDecode(text) {
  try { return decodeURIComponent(text); } catch { return text; }
}

/** Open an address of the page. */
export function go(url, { replace = false } = {}) {
  if (url !== location.pathname + location.search) history[replace ? "replaceState" : "pushState"]({}, "", url);
  return show();
}

async function facts(key) {
  if (!sessions.has(key)) sessions.set(key, await get(`/api/s/${encodeURIComponent(key)}/facts`));
  return sessions.get(key);
}

async function show() {
  const target = match(location.pathname);
  tip(null);
  if (!target) return problem("There is no such page", `${location.pathname} is not an address of spikehouse.`);
  let mine = current;
  try {
    if (mine?.name === target.name && JSON.stringify(mine.path) === JSON.stringify(target.path)) {
      // while it loads there is nothing to tell: its mount reads the query
      if (!mine.ctx) return undefined;
      const { v } = mine.ctx.state;
      readQuery(mine);
      if (mine.ctx.state.v !== v) forgetActive();
      return await mine.handle?.update?.(mine.ctx.state);
    }
    // to another unit of the session: a view that can move keeps its panels
    if (mine?.handle?.move && mine.name === target.name && mine.path.key === target.path.key) {
      Object.assign(mine.path, target.path);
      remember(target.path);
      readQuery(mine);
      setTitle(mine);
      return await mine.handle.move();
    }
    leave();
    mine = current = { ...target, controller: new AbortController() };
    const [{ view }, session] = await Promise.all([
      import(`./views/${target.name}.js`).catch((error) => { throw error instanceof TypeError ? new ApiError(GONE, 0) : error; }),
      target.path.key ? facts(target.path.key) : null,
    ]);
    if (current !== mine) return undefined;
    if (session) openTab(target.path.key, session);
    remember(target.path);
    mine.definition = view;
    mine.ctx = context(mine, session);
    readQuery(mine);
    setTitle(mine);
    const root = h("div", { className: `view ${target.name}` });
    fill(main, root);
    drawFrame();
    const query = location.search;
    mine.handle = await view.mount(root, mine.ctx);
    if (current !== mine) { mine.handle?.destroy?.(); return undefined; }
    // the query changed while it was mounted
    if (location.search !== query) await mine.handle?.update?.(mine.ctx.state);
    main.focus({ preventScroll: true });
  } catch (error) {
    if (current !== mine || error.name === "AbortError") return undefined;
    if (!(error instanceof ApiError)) console.error(error);
    problem(error.status === 404 ? "Not found" : "This view cannot be shown", error.message);
  }
  return undefined;
}

function leave() {
  current?.controller.abort();
  current?.handle?.destroy?.();
  current = null;
}

// take the state of a view from the address
function readQuery(view) {
  const { state, ignored } = readState(view.definition.params ?? {}, new URLSearchParams(location.search));
  Object.assign(view.ctx.state, state);
  if (ignored.length) notice(`Ignored in this link: ${ignored.join(", ")}. It was made by another version, or mistyped.`);
}

function setTitle({ definition, path, ctx: { session } }) {
  document.title = [definition.title?.(path, session), session?.title].filter(Boolean).join(" · ") || "spikehouse";
}

function context(mine, session) {
  const scope = mine.path.key ? `s/${encodeURIComponent(mine.path.key)}` : mine.name === "cohort" && mine.path.name ? `results/${encodeURIComponent(mine.path.name)}` : "survey";
  const key = mine.path.key ?? "";
  return {
    path: mine.path, state: {}, session, page, notice, go,
    signal: mine.controller.signal,
    /** Change parameters of the link and tell the view. */
    set(patch, { replace = false } = {}) {
      const next = { ...mine.ctx.state, ...patch };
      const query = writeState(mine.definition.params ?? {}, next);
      return go(location.pathname + (query ? `?${query}` : ""), { replace });
    },
    /** Ask a recipe of this session (or survey, or results); `signal` ends the question earlier than the view. */
    api(recipe, params = {}, { signal, in: other, ...options } = {}) {
      return get(address(other ?? scope, recipe, params), { ...options, signal: signal ? AbortSignal.any([signal, mine.controller.signal]) : mine.controller.signal, notice });
    },
    /** The address of the code of such a question, for a panel's `code`. */
    code: (recipe, params = {}, { in: other } = {}) => address(other ?? scope, recipe, params, "/code/"),
    /** An address of the page within this session: link("u", 951814884), with a query if given. */
    link: (...parts) => ["", "s", encodeURIComponent(key), ...parts].join("/"),
    /** The units in hand, in order; null means all. */
    selection: {
      get: () => selections.get(key) ?? null,
      set: (ids, label) => { selections.set(key, { ids: Array.from(ids), label }); },
      clear: () => selections.delete(key),
    },
  };
}

function remember({ key, probe, unit }) {
  if (!key) return;
  lastOf[key] = { ...lastOf[key], ...(probe ? { probe } : {}), ...(unit ? { unit } : {}) };
  // another server on this port has other sessions under these keys
  sessionStorage.setItem("last", JSON.stringify({ token: page.token, of: lastOf }));
}

function openTab(key, session) {
  const tab = tabs.find((one) => one.key === key);
  if (tab) tab.title = session.title;
  else tabs.push({ key, title: session.title });
  sessionStorage.setItem("tabs", JSON.stringify(tabs));
}

function closeTab(key) {
  const i = tabs.findIndex((tab) => tab.key === key);
  tabs = tabs.filter((tab) => tab.key !== key);
  sessionStorage.setItem("tabs", JSON.stringify(tabs));
  if (current?.path.key !== key) return drawFrame();
  const next = tabs[Math.min(i, tabs.length - 1)];
  return go(next ? `/s/${encodeURIComponent(next.key)}` : "/");
}

// where a view's tab or key leads: to the probe or unit seen last, else to the first
async function goView(name) {
  if (name === "survey") return go("/");
  if (name === "cohort") return go("/cohort");
  const key = current?.path.key ?? tabs.at(-1)?.key ?? page.sessions.find(({ open }) => open)?.key;
  if (!key) return notice("Open a session first: choose one in the survey and press Enter.");
  const base = `/s/${encodeURIComponent(key)}`;
  if (name === "session") return go(base);
  if (name === "probe" || name === "unit") {
    const session = await facts(key);
    const first = name === "unit" ? selections.get(key)?.ids[0] ?? session.first_unit : session.first_probe;
    const id = lastOf[key]?.[name] ?? first;
    if (id === undefined || id === null) return notice(`This session has no ${name}s.`);
    return go(`${base}/${name[0]}/${id}`);
  }
  return go(`${base}/${name}`);
}

function drawFrame() {
  const key = current?.path.key;
  const link = (href, words, isCurrent, extra = {}) =>
    h("a.tab", { href, "aria-current": isCurrent ? "page" : null, onclick: follow, ...extra }, words);
  const busy = document.getElementById("progress") ?? h("div", { id: "progress" });
  const views = VIEWS.filter(([, path]) => path.startsWith("/s/"));
  fill(top,
    h("nav.bar", { "aria-label": "Sessions" },
      h("a.wordmark", { href: "/", onclick: follow, "aria-label": "spikehouse: survey" }, h("img", { src: "/static/icon.svg", alt: "" }), h("span", "spikehouse")),
      page.has_survey ? [link("/", "Survey", current?.name === "survey"), link("/cohort", "Cohort", current?.name === "cohort")] : null,
      tabs.length ? h("span.divider") : null,
      tabs.map((tab) => h("a.tab", { href: `/s/${encodeURIComponent(tab.key)}`, "aria-current": tab.key === key ? "page" : null, onclick: follow }, tab.title,
        h("button.button.quiet", { "aria-label": `Close ${tab.title}`, title: "Close this tab (x)", style: { height: "20px", padding: "0 4px" }, onclick: (event) => { event.preventDefault(); event.stopPropagation(); closeTab(tab.key); } }, "×"))),
      h("span.space"),
      h("div.bar-end", h("span.small.muted", { id: "traffic", title: "Read off the server since this page was opened" }, traffic.bytes ? `${formatBytes(traffic.bytes)} read` : ""),
      h("button.button.quiet", { onclick: copyLink, title: "Copy the link of this view (c)" }, "Copy link"),
      h("button.button.quiet", { onclick: switchTheme, title: "Light or dark (t)" }, "Theme"),
      h("button.button.quiet", { onclick: showHelp, title: "Keys (?)", "aria-label": "Help: all keys" }, "?"))),
    key ? h("nav.bar.views", { "aria-label": "Views of this session" },
      views.filter(([name]) => name !== "probe" || sessions.get(key)?.n_probes !== 0).map(([name, , label]) => h("a.tab", {
        href: ["probe", "unit"].includes(name) ? `/s/${encodeURIComponent(key)}` : `/s/${encodeURIComponent(key)}${name === "session" ? "" : `/${name}`}`,
        "aria-current": current.name === name ? "page" : null,
        onclick: (event) => { if (plainClick(event)) { event.preventDefault(); goView(name); } },
      }, label))) : null,
    busy);
  for (const tab of top.querySelectorAll("[aria-current]")) tab.scrollIntoView({ block: "nearest", inline: "center" });
}

const plainClick = (event) => event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey;

/** Follow a link inside the page without loading it again; use as onclick of <a>. */
export function follow(event) {
  if (!plainClick(event)) return;
  event.preventDefault();
  go(new URL(event.currentTarget.href).pathname + new URL(event.currentTarget.href).search);
}

async function copyLink() {
  const url = new URL(location.href);
  // the link opens in another browser on this machine, too: the token is this server's, and ends with it
  if (page.token) url.searchParams.set("token", page.token);
  await copyText(String(url).replaceAll("%2C", ","));
  notice("The link of this view is on the clipboard.");
}

function switchTheme() {
  const chosen = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = chosen;
  localStorage.setItem("spikehouse-theme", chosen);
  redrawAll();
  current?.handle?.restyle?.();
}

function showHelp() {
  const groups = [...KEYS, ...(current?.definition?.keys?.length ? [[`In this view`, current.definition.keys]] : [])];
  const dialog = h("dialog", { "aria-label": "Keys", onclose: () => dialog.remove(), onclick: (event) => { if (event.target === dialog) dialog.close(); } },
    h("header", h("h2", "Keys"), h("button.button.quiet", { onclick: () => dialog.close(), "aria-label": "Close" }, "Close")),
    h("div.keys", groups.map(([title, keys]) => h("section", h("h3", title), keys.map(([key, what]) => h("div.key", h("span", key.split("  ").map((k) => [h("kbd", k), " "])), h("span", what)))))));
  document.body.append(dialog);
  dialog.showModal();
}

function problem(title, words) {
  leave();
  document.title = `${title} · spikehouse`;
  fill(main, h("div.view.problem", { style: { maxWidth: "560px", margin: "96px auto", textAlign: "center" } }, h("h1", title), h("p.muted", { style: { margin: "8px 0 20px" } }, words),
    h("a.button", { href: page?.has_survey === false && page.sessions[0] ? `/s/${encodeURIComponent(page.sessions[0].key)}` : "/", onclick: follow }, page?.has_survey === false ? "To the session" : "To the survey")));
  current = { name: "problem", path: {}, controller: new AbortController(), definition: {} };
  if (page) drawFrame();
}

const typing = (target) => target.closest?.("input, select, textarea, [contenteditable]") && !["checkbox", "range"].includes(target.type);

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (typing(event.target)) { if (event.key === "Escape") event.target.blur(); return; }
  const used = () => event.preventDefault();
  if (afterG) {
    clearTimeout(afterG);
    afterG = null;
    const view = VIEWS.find(([, , , key]) => key === event.key);
    if (view) { used(); goView(view[0]); }
    return;
  }
  if (event.key === "Enter" && event.target.closest?.("button, a[href]") && event.target !== main) return;
  if (current?.handle?.onKey?.(event)) { used(); return; }
  const key = current?.path.key;
  const i = tabs.findIndex((tab) => tab.key === key);
  const actions = {
    "?": showHelp, c: copyLink, t: switchTheme,
    g: () => { afterG = setTimeout(() => { afterG = null; }, 1500); },
    e: () => { const panel = activePanel(); if (panel?.options.code) panel.showCode(); else notice("This panel has no code; move the pointer over one that has."); },
    s: () => activePanel()?.showSave(),
    "[": () => tabs.length && go(`/s/${encodeURIComponent(tabs[(i - 1 + tabs.length) % tabs.length].key)}`),
    "]": () => tabs.length && go(`/s/${encodeURIComponent(tabs[(i + 1) % tabs.length].key)}`),
    x: () => key && closeTab(key),
    "/": () => main.querySelector("input[type=search]")?.focus(),
    Escape: () => { const { v } = current?.definition?.params ?? {}; if (v && current.ctx.state.v !== v.initial) current.ctx.set({ v: v.initial }); },
  };
  if (Object.hasOwn(actions, event.key)) { used(); actions[event.key](); }
}

addEventListener("keydown", onKey);
addEventListener("popstate", show);
replaced.add((key) => {
  for (const known of [sessions, selections]) known.delete(key);
  delete lastOf[key];
  if (current?.path.key !== key) return;
  notice("The file of this session was replaced: it is shown anew.");
  leave();
  show();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawAll);
traffic.listeners.add(() => { const box = document.getElementById("traffic"); if (box) box.textContent = `${formatBytes(traffic.bytes)} read`; });

async function start() {
  try {
    page = await get("/api/page", { keep: false });
    if (page.structures) setStructures(page.structures.acronym, page.structures.color, page.structures.name);
    setDefaultFilters(page.filters);
    const last = JSON.parse(sessionStorage.getItem("last") ?? "{}");
    if (last.token === page.token) lastOf = last.of;
    tabs = tabs.filter(({ key }) => page.sessions.some((session) => session.key === key));
  } catch (error) {
    fill(main, h("p", { style: { margin: "96px auto", maxWidth: "560px", textAlign: "center" } }, error.message));
    return;
  }
  await document.fonts.load('11px "Inter"');
  await show();
}

start();
