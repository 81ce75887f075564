"""The built documentation: links, indices, and what a browser makes of it."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from functools import cached_property, partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pytest
from contrast import CONTRAST
from public_names import list_public

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

DOCS = Path(__file__).resolve().parents[2] / "docs"
SITE = DOCS / "_build" / "html"
# of the page, and of its article, which would scroll sideways by itself
TOO_WIDE = """Math.max(...[document.documentElement, ...document.querySelectorAll(
    ".bd-article-container")].map((box) => box.scrollWidth - box.clientWidth))"""
# one page of each kind: what has the colours of all others
KINDS = (
    "index", "start", "404", "gallery/index", "gallery/plot_raster", "how-to/all-sessions",
    "reference/errors", "reference/cli", "published-results", "search",
    "reference/generated/spikehouse.decode", "tutorials/coming-from-allensdk",
)  # fmt: skip
# Sphinx writes these; nobody looks for them
INDICES = {"404", "genindex", "search"}


class Parsed(HTMLParser):
    """What a page has: ids, links, what it loads, headings, and pictures."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.n_headings = 0
        self.without_alt: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids.add(given.get("id", ""))
        self.n_headings += tag == "h1"
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "link" and given.get("rel") in {"stylesheet", "icon", "preload"}:
            self.loaded.append(given["href"])
        elif given.get("property") == "og:image":
            self.links.append(given["content"])
        elif "src" in given:
            self.loaded.append(given["src"])
        # an alternative text that is a path says nothing; an empty one is for ornaments
        if tag == "img" and re.search(r"^\S*/\S*$", given.get("alt", "/")):
            self.without_alt.append(given["src"])

    @cached_property
    def name(self) -> str:
        return self.path.relative_to(SITE).with_suffix("").as_posix()


@pytest.fixture(scope="module")
def pages() -> dict[str, Parsed]:
    """Read the pages of the site, which is no older than what it was built from."""
    sources = [DOCS / "conf.py", *DOCS.glob("[!_]*/**/*.md"), *DOCS.glob("*.md")]
    newest = max(path.stat().st_mtime for path in sources)
    index = SITE / "searchindex.js"
    if not index.exists() or index.stat().st_mtime < newest:
        why = f"{SITE} is not built, or older than its sources (the command is in the README)"
        # .ci/run builds it before
        if os.environ.get("SPIKEHOUSE_NEEDS_SITE"):
            pytest.fail(why)
        pytest.skip(why)
    found = (Parsed(path) for path in SITE.rglob("*.html") if "_static" not in path.parts)
    return {page.name: page for page in found}


def read_base_url() -> str:
    """Return where the site will be, by its home page in the sitemap."""
    found = re.findall(r"<loc>([^<]*)index\.html</loc>", (SITE / "sitemap.xml").read_text())
    return str(min(found, key=len))


def test_links__lead_to_a_page_and_an_anchor(pages: dict[str, Parsed]) -> None:
    broken = []
    base = read_base_url()
    prefix = urlsplit(base).path
    for page in pages.values():
        for link in {*page.links, *page.loaded}:
            url = urlsplit(link)
            is_absolute = link.startswith(base)
            if url.scheme and not is_absolute:
                continue
            path = unquote(url.path)
            if is_absolute or (path.startswith(prefix) and page.name == "404"):
                target = SITE / path.removeprefix(prefix)
            else:
                target = (page.path.parent / path).resolve() if path else page.path
            if not target.is_file():
                broken.append(f"{page.name}: {link} is no file")
            elif url.fragment and target.suffix == ".html":
                name = target.relative_to(SITE).with_suffix("").as_posix()
                if unquote(url.fragment) not in pages[name].ids:
                    broken.append(f"{page.name}: {link} has no such anchor")
    assert broken == []


def test_pages__load_nothing_from_another_host(pages: dict[str, Parsed]) -> None:
    loaded = {(page.name, address) for page in pages.values() for address in page.loaded}
    assert [
        (name, address) for name, address in loaded if urlsplit(address).scheme not in ("", "data")
    ] == []


def test_pages__have_one_heading_and_pictures_with_words(pages: dict[str, Parsed]) -> None:
    assert [page.name for page in pages.values() if page.n_headings != 1] == []
    assert [(page.name, page.without_alt) for page in pages.values() if page.without_alt] == []


def test_llms_txt__lists_every_page(pages: dict[str, Parsed]) -> None:
    base = re.escape(read_base_url())
    text = (SITE / "llms.txt").read_text(encoding="utf-8")
    listed = re.findall(rf"\({base}_sources/(\S+?)\.(?:md|rst)\.txt\)", text)
    assert sorted(listed) == sorted(pages.keys() - INDICES)


def test_llms_full_txt__has_docstrings_and_examples_instead_of_directives(
    pages: dict[str, Parsed],
) -> None:
    text = (SITE / "llms-full.txt").read_text(encoding="utf-8")
    markup = r"\.\. auto(?!summary)\w+::|\.\. raw::|sphx-glr|^kernelspec:"
    assert re.findall(rf"^.*(?:{markup}).*$", text, re.M) == []
    for name in list_public():
        if (SITE / "reference" / "generated" / f"{name}.html").exists():
            assert re.search(rf"^{re.escape(name)}\b", text, re.M), name
    for example in (DOCS / "examples").glob("plot_*.py"):
        # without its second empty lines
        code = re.sub(r"\n{3,}", "\n\n", example.read_text(encoding="utf-8"))
        assert code in text, example.name


def test_sitemap__lists_every_page(pages: dict[str, Parsed]) -> None:
    base = re.escape(read_base_url())
    text = (SITE / "sitemap.xml").read_text(encoding="utf-8")
    listed = re.findall(rf"<loc>{base}([^<]*)\.html</loc>", text)
    assert sorted(listed) == sorted(pages.keys() - INDICES)


class Handler(SimpleHTTPRequestHandler):
    """Serve the site below the path of its address, with its page for what is not there."""

    prefix = "/"

    def translate_path(self, path: str) -> str:
        path = super().translate_path("/" + path.removeprefix(self.prefix))
        return path if Path(path).exists() else str(SITE / "404.html")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def base_url(pages: dict[str, Parsed]) -> Iterator[str]:
    """Serve the built site."""
    Handler.prefix = urlsplit(read_base_url()).path
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(SITE))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}{Handler.prefix}"
        server.shutdown()


def open_page(context: BrowserContext, base_url: str, problems: list[str]) -> Page:
    """Open a tab that writes down what no page may do."""
    page = context.new_page()

    def ask(address: str) -> None:
        if not address.startswith((base_url, "data:")):
            problems.append(f"asked {address}")

    page.on(
        "console", lambda said: said.type in ("error", "warning") and problems.append(said.text)
    )
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: ask(request.url))
    return page


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1440, "dark")])
def test_pages__fit_and_load_quietly(
    browser: Browser, pages: dict[str, Parsed], base_url: str, width: int, scheme: Any
) -> None:
    assert pages.keys() >= set(KINDS)
    problems: list[str] = []
    with browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme
    ) as context:
        tab = open_page(context, base_url, problems)
        for name in sorted(pages):
            n_before = len(problems)
            tab.goto(f"{base_url}{name}.html", wait_until="load")
            too_wide = tab.evaluate(TOO_WIDE)
            if too_wide > 0:
                problems.append(f"is {too_wide} px wider than the window")
            if tab.evaluate("document.documentElement.dataset.theme") != scheme:
                problems.append(f"is not {scheme}")
            if name in KINDS:
                faint = tab.evaluate(CONTRAST)
                problems += [f"{words!r} has a contrast of {ratio}" for words, ratio in faint[:5]]
            problems[n_before:] = [f"{name}: {said}" for said in problems[n_before:]]
    assert problems == []


def test_site__is_searched_and_copied_from_and_has_a_dark_theme(
    browser: Browser, base_url: str
) -> None:
    problems: list[str] = []
    with browser.new_context(color_scheme="light") as context:
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        tab = open_page(context, base_url, problems)

        tab.goto(f"{base_url}search.html?q=psth")
        tab.wait_for_selector("#search-results li a")
        found = tab.eval_on_selector_all("#search-results li a", "all => all.map(a => a.href)")
        assert any("plot_population_psth" in address for address in found)

        tab.goto(f"{base_url}index.html")
        tab.hover("div.highlight")
        tab.click("div.highlight button.copybtn")
        copied = tab.evaluate("navigator.clipboard.readText()")
        assert "spikehouse quickstart" in copied.splitlines()

        paper = "getComputedStyle(document.body).backgroundColor"
        light = tab.evaluate(paper)
        tab.click("button.theme-switch-button:visible")
        tab.click("[data-mode=dark]:visible")
        assert tab.evaluate("document.documentElement.dataset.theme") == "dark"
        assert tab.evaluate(paper) != light
    assert problems == []


def test_page_of_what_is_not_there__is_styled_and_leads_home(
    browser: Browser, base_url: str
) -> None:
    problems: list[str] = []
    with browser.new_context() as context:
        tab = open_page(context, base_url, problems)
        tab.goto(f"{base_url}no/such/page.html")
        assert "Page not found" in tab.inner_text("h1")
        tab.click("a.navbar-brand")
        assert tab.inner_text("h1").startswith("spikehouse")
    assert problems == []
