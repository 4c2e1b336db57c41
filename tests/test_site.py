"""The site: built from the stored notebooks, read as files, and used in a browser."""

import http.server
import re
import subprocess
import sys
import threading
from functools import cached_property, partial
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import links
import nbformat
import pytest

ROOT = Path(__file__).parents[1]
LESSONS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
FETCHED = {"img", "script", "link", "source", "iframe", "video", "audio", "embed", "input", "use"}


class Page(HTMLParser):
    """What a page fetches, where it leads, and what else the tests ask of it."""

    def __init__(self, path):
        super().__init__()
        self.fetches, self.leads, self.images, self.ids, self.tags = [], [], [], set(), []
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.tags.append(tag)
        self.ids.add(values.get("id"))
        if tag == "img":
            self.images.append(values.get("alt"))
        for name, value in attributes:
            if name in ("src", "href", "srcset", "data", "poster", "xlink:href") and value:
                (self.fetches if tag in FETCHED else self.leads).append(value)


class Site:
    def __init__(self, folder):
        self.folder = folder

    @cached_property
    def pages(self):
        """All pages, by their address within the site."""
        paths = sorted(self.folder.rglob("*.html"))
        return {
            path.relative_to(self.folder).as_posix(): Page(path)
            for path in paths
            if "_static" not in path.parts
        }

    def lesson(self, number):
        return self.pages[f"notebooks/{LESSONS[number]}.html"]


@pytest.fixture(scope="module")
def site(tmp_path_factory, require):
    require("sphinx", "site")
    folder = tmp_path_factory.mktemp("site")
    build = ["-qW", "-c", "docs", "-d", folder / "doctrees", ".", folder / "site"]
    command = [sys.executable, "-m", "sphinx", *build]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return Site(folder / "site")


def test_every_lesson_is_a_page_named_on_the_first(site):
    start = site.pages["docs/index.html"]
    rows = re.findall(r'<tr class="row-(?:odd|even)"><td.*?</tr>', start.text, re.DOTALL)
    assert len(rows) == len(LESSONS)
    for stem, row in zip(LESSONS, rows, strict=True):
        opening = nbformat.read(ROOT / f"notebooks/{stem}.ipynb", as_version=4).cells[0].source
        assert f'href="../notebooks/{stem}.html"' in row
        title, question, minutes = re.findall(r"<p>(?:<a.*?>)?(?:<span.*?>)?([^<]+)", row)
        assert f"# {title}\n" in opening
        assert f"**{question}**" in opening.replace("'", "’")
        assert f"*Time:* {minutes} on two cores" in opening
    assert f'href="../notebooks/{LESSONS[0]}.html"' in start.text.partition("<table")[0]
    assert "url=docs/index.html" in site.pages["index.html"].text


def test_nothing_comes_from_elsewhere(site):
    assert len(site.pages) > len(LESSONS) + 10
    for name, page in site.pages.items():
        inline = re.findall(r"url\(\s*['\"]?([^)'\"]+)", page.text)
        for address in [*page.fetches, *inline]:
            local = not urlsplit(address).scheme and not address.startswith("//")
            assert local or address.startswith("data:"), f"{name}: {address}"
    assert all(site.lesson(number).fetches for number in range(len(LESSONS)))
    for path in site.folder.rglob("*.css"):
        style = path.read_text(encoding="utf-8")
        for address in re.findall(r"(?:url\(|@import)\s*(?:url\()?\s*['\"]?([^)'\";]+)", style):
            assert re.match(r"data:|(?!//|\w+:)", address), f"{path.name}: {address}"


def test_every_link_within_the_site_leads_somewhere(site):
    for name, page in site.pages.items():
        for address in {*page.leads, *page.fetches}:
            target = urlsplit(urljoin(f"http://site/{name}", address))
            if target.netloc != "site":
                continue
            path = unquote(target.path).lstrip("/")
            assert (site.folder / path).is_file(), f"{name}: {address}"
            if target.fragment and path in site.pages and not path.startswith("_modules"):
                assert unquote(target.fragment) in site.pages[path].ids, f"{name}: {address}"


def test_every_picture_says_what_it_shows(site):
    n_figures = 0
    for name, page in site.pages.items():
        for text in page.images:
            if text in ("Binder logo", "Colab logo"):
                continue
            assert len(text.split()) > 3, f"{name}: {text}"
            assert "Figure size" not in text, name
            assert not text.startswith("Figure of "), f"{name}: a figure without a title"
            n_figures += 1
    assert n_figures > 3 * len(LESSONS)
    assert "Ones cost least, for the network and for PCA" in site.lesson(5).images
    shown = site.pages["docs/index.html"].images
    assert len(shown) == 1


def test_formulas_are_mathml(site):
    for stem in LESSONS:
        cells = nbformat.read(ROOT / f"notebooks/{stem}.ipynb", as_version=4).cells
        text = "".join(cell.source for cell in cells if cell.cell_type == "markdown")
        formulas = re.findall(r"\$\$.+?\$\$|\$[^$`]+\$", text, re.DOTALL)
        assert site.pages[f"notebooks/{stem}.html"].tags.count("math") == len(formulas), stem


def test_a_lessons_buttons_lead_to_its_source_instead_of_badges(site):
    github = f"https://github.com/{links.current()}"
    for stem in LESSONS:
        page = site.pages[f"notebooks/{stem}.html"]
        assert f"{github}/edit/main/notebooks/paired/{stem}.py" in page.leads
        assert f"../_sources/notebooks/{stem}.ipynb" in page.leads
        assert github in page.leads
        opening = nbformat.read(ROOT / f"notebooks/{stem}.ipynb", as_version=4).cells[0].source
        badges = re.findall(r"^\[!\[.+\]\((.+)\)$", opening, re.MULTILINE)
        assert len(badges) == 2
        assert all(page.leads.count(address) == 1 for address in badges), "the same, by a button"
        assert "badge.svg" not in page.text
        assert "google.colab" not in page.text
        source = site.folder / f"_sources/notebooks/{stem}.ipynb"
        assert source.read_bytes() == (ROOT / f"notebooks/{stem}.ipynb").read_bytes()
    text = site.pages["README.html"].text
    assert f'href="{github}/blob/main/constraints.txt"' in text


def test_lessons_lead_to_each_other_and_to_the_library(site):
    assert "01_layers.html" in site.lesson(0).leads
    assert "../README.html#the-source-lesson" in site.lesson(6).leads
    assert "../docs/library.html#convae_lib.codes.tsne_embedding" in site.lesson(6).leads
    reference = site.pages["docs/library.html"]
    import convae_lib

    places = [place for place in reference.ids if place and place.startswith("convae_lib.")]
    names = {place.rpartition(".")[2] for place in places}
    assert {*convae_lib.__all__, "fit"} <= names
    assert "../_modules/convae_lib/layers.html#ConvLayer" in reference.leads
    assert "`" not in re.sub(r"<script.*?</script>", "", reference.text, flags=re.DOTALL)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def address(site):
    handler = partial(Quiet, directory=site.folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def opened(chromium, address):
    """Open an address of the site; in the end there was no error, and no request left the site."""
    contexts, wrong = [], []

    def guard(route):
        if route.request.url.startswith(address):
            route.continue_()
        else:
            wrong.append(route.request.url)
            route.abort()

    def open_page(name, width=1280, scheme="light"):
        size = {"width": width, "height": 800}
        context = chromium.new_context(viewport=size, color_scheme=scheme)
        contexts.append(context)
        context.route("**/*", guard)
        page = context.new_page()
        page.on("console", lambda m: m.type in ("error", "warning") and wrong.append(m.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("response", lambda r: r.status >= 400 and wrong.append(f"{r.status} {r.url}"))
        page.goto(f"{address}/{name}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


def test_every_page_opens_whole_and_fits_a_phone(site, opened):
    page = opened("docs/index.html", width=390)
    for name in sorted(site.pages.keys() - {"index.html"}):  # which leads to docs/index.html
        page.goto(urljoin(page.url, f"/{name}"))
        broken = "[...document.images].filter(i => i.loading != 'lazy' && !i.naturalWidth).length"
        assert page.evaluate(broken) == 0, name
        flat = (
            "[...document.querySelectorAll('math')].filter(m => !m.getBoundingClientRect().width)"
        )
        assert page.evaluate(f"{flat}.length") == 0, name
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, name


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation(site, opened, scheme, require):
    axe = require("axe_playwright_python.sync_playwright", "test").Axe()
    rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
    rules |= {"resultTypes": ["violations"], "preload": False}  # the browser has the styles
    page = opened("docs/index.html", scheme=scheme)
    found = []
    for name in site.pages:
        listing = name.startswith("_modules/")  # of which one is like another
        if name != "index.html" and (not listing or name.endswith("layers.html")):
            page.goto(urljoin(page.url, f"/{name}"))
            result = axe.run(page, options=rules)
            if result.violations_count:
                found.append(f"{name}: {result.generate_report()}")
    assert not found, "\n".join(found)


def test_the_theme_switches_and_is_remembered(opened):
    page = opened("docs/index.html")
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.locator(".theme-switch-button").first.click()
    page.get_by_role("button", name="Dark").click()
    dark = page.evaluate(background)
    assert dark != light
    page.reload()
    assert page.evaluate(background) == dark


def test_the_search_finds_by_keyboard(opened):
    page = opened(f"notebooks/{LESSONS[0]}.html")
    page.keyboard.press("Control+k")
    page.keyboard.type("trustworthiness")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=trustworthiness*")
    page.locator("#search-results li a").filter(has_text="06 · t-SNE").first.click()
    page.wait_for_url(f"**/notebooks/{LESSONS[6]}.html*")


def test_folded_code_opens_by_keyboard(opened):
    page = opened(f"notebooks/{LESSONS[6]}.html")
    fold = page.locator("details.hide").first
    code = fold.locator("pre")
    assert not code.is_visible()
    fold.locator("summary").focus()
    page.keyboard.press("Enter")
    assert code.is_visible()
    assert "suptitle" in code.inner_text()


def test_a_reader_gets_along_by_keyboard(opened):
    page = opened(f"notebooks/{LESSONS[1]}.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to main content"
    page.keyboard.press("Enter")
    assert page.url.endswith("#main-content")
    page.get_by_role("button", name="Launch interactive content").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.href").startswith("https://mybinder.org/")
    page.keyboard.press("Escape")
    page.locator("a.right-next").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/{LESSONS[2]}.html")
