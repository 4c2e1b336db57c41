"""The site. Sphinx reads the repository itself: a page lies where its source does."""

import ast
import posixpath
import re
import sys
import tomllib
from pathlib import Path

import nbformat
from docutils import nodes
from docutils.utils.math import latex2mathml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import _common  # noqa: E402

_common.settle_environment()
_common.report_strays(ROOT / "notebooks")
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
REPOSITORY = SETTINGS["project"]["urls"]["Repository"]  # which `make links` stamps

project = html_title = "Convolutional autoencoders, measured"
language = "en"
root_doc = "docs/index"
include_patterns = ["docs/*.md", "benchmarks/README.md", "README.md"]
include_patterns += [f"notebooks/{path.name}" for path in _common.lessons(ROOT / "notebooks")]
exclude_patterns = [".*", "build"]  # large, and not walked through
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]

myst_enable_extensions = ["attrs_inline", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"
nb_merge_streams = True
nb_code_prompt_show, nb_code_prompt_hide = "Show the code", "Hide the code"

napoleon_google_docstring = False  # docstrings are in NumPy style
napoleon_use_rtype = False  # the type of what is returned stands with its description

default_role = "literal"  # a docstring's `name`
autodoc_inherit_docstrings = False  # of nn.Module: how forward is called
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"

html_theme = "sphinx_book_theme"
html_static_path, html_css_files, html_extra_path = ["_static"], ["site.css"], ["_root"]
html_math_renderer = "mathml"
html_show_copyright = html_use_index = html_domain_indices = False
html_theme_options = {
    "repository_url": REPOSITORY,
    "repository_branch": "main",
    "use_repository_button": True,
    "use_edit_page_button": True,
    "use_fullscreen_button": False,
    "navbar_persistent": [],  # the sidebar has the search
    "launch_buttons": {
        "colab_url": "https://colab.research.google.com",
        "binderhub_url": "https://mybinder.org",
        "notebook_interface": "jupyterlab",
    },
    "footer_content_items": "extra-footer",
    "extra_footer": "Code under MIT, text and figures under CC BY 4.0.",
}
html_context = {
    "default_mode": "auto",
    # a lesson's text is edited in its pair
    "edit_page_provider_name": "GitHub",
    "edit_page_url_template": REPOSITORY + "/edit/main/{{ file_name"
    " | replace('notebooks/', 'notebooks/paired/') | replace('.ipynb', '.py') }}",
}


def prepare(app, docname, source):
    """Change what Sphinx has read to what the site shows; the files stay as they are."""
    if docname.startswith("notebooks/"):
        source[0] = prepare_lesson(app, docname, source[0])
    else:
        source[0] = prepare_page(app, docname, source[0])


def prepare_page(app, docname, text):
    """Fill in a page's placeholders, and let its links lead to pages of the site."""
    text = text.replace("{{ lessons }}", "\n".join(lesson_table()))
    if docname == "README":
        text = re.sub(r"\A# .+", "# Run it yourself", text)
    text = relink(app, docname, text)
    if docname == "docs/draw":
        sys.path.insert(0, str(ROOT / "docs"))
        from draw.page import body  # which needs the library

        text = text.replace("{{ drawing }}", body())
    return text


def prepare_lesson(app, docname, text):
    """Return a lesson without its badges and its first cell, each figure with alternative text."""
    name = posixpath.basename(docname)
    executed = Path(app.config.executed) / f"{name}.ipynb"
    if app.config.executed and executed.exists():
        text = executed.read_text(encoding="utf-8")
    notebook = nbformat.reads(text, as_version=4)
    title, _ = opening(notebook, name)
    cells = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = relink(app, docname, without_badges(cell.source))
        elif cell.cell_type == "code" and has_picture(cell):
            alternative = titles(cell.source) or f"Figure of {title}"
            cell.metadata["mystnb"] = {"image": {"alt": alternative}}
        if cell.source.strip() and not installs(cell):
            cells.append(cell)
    if not any(is_opening(cell) for cell in cells):
        cells.insert(0, nbformat.v4.new_markdown_cell(f"# {title}"))
    notebook.cells = cells
    return nbformat.writes(notebook)


def relink(app, docname, text):
    """Let links between files lead to pages of the site, or else to the repository."""

    def page_or_repository(link):
        target = posixpath.normpath(posixpath.join(posixpath.dirname(docname), link[1]))
        if target.rpartition(".")[0] in app.env.found_docs or target.endswith(".png"):
            return link[0]
        return f"]({REPOSITORY}/blob/main/{target})"

    return re.sub(r"\]\(([^)\s:#]+)(#[^)\s]*)?\)", page_or_repository, text)


def without_badges(text):
    """Leave out the lesson's badges, and the one that Colab adds; the site has buttons for them."""
    text = re.sub(r"^\[!\[.+\n?", "", text, flags=re.MULTILINE)
    return re.sub(r"^<a href=\"https://colab\..+</a>\n?", "", text, flags=re.MULTILINE)


def installs(cell):
    """Tell whether a cell is the one that installs the course in Colab."""
    return cell.cell_type == "code" and '"google.colab" in sys.modules' in cell.source


def has_picture(cell):
    """Tell whether a code cell shows a figure."""
    return any("image/png" in output.get("data", {}) for output in cell.outputs)


def is_opening(cell):
    """Tell whether a cell holds a heading of the first level."""
    return cell.cell_type == "markdown" and re.search(r"^# .", cell.source, re.MULTILINE)


def opening(notebook, name):
    """Return a lesson's title and the text of the cell that has it; without one, its file name."""
    for cell in notebook.cells:
        if is_opening(cell):
            return re.search(r"^# (.+)", cell.source, re.MULTILINE)[1], cell.source
    return name, ""


def lesson_table():
    """Yield the lines of a table of the lessons, from what each says of itself as it opens."""
    yield "| lesson | question | on two cores |\n|---|---|---|"
    for path in _common.lessons(ROOT / "notebooks"):
        title, text = opening(_common.read_notebook(path), path.stem)
        question = re.search(r"^\*\*(.+)\*\*$", text, re.MULTILINE)
        minutes = re.search(r"\*Time:\* (.+?) on two cores", text)
        row = [f"[{title}](../notebooks/{path.name})"]
        row += [match[1] if match else "–" for match in (question, minutes)]
        yield f"| {' | '.join(row)} |"


def titles(code):
    """Return a figure's title, or those of its axes, to serve as its alternative text."""
    try:
        tree = ast.parse(_common.plain_python(code))
    except SyntaxError:
        return ""
    of_figure, of_axes = [], []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        method = node.func.attr.removeprefix("set_")
        if method == "suptitle":
            of_figure += [words(text) for text in node.args[:1]]
        elif method == "title":
            of_axes += [words(text) for text in node.args[:1]]
        elif method == "set":  # ax.set(title=…)
            of_axes += [words(word.value) for word in node.keywords if word.arg == "title"]
    return "; ".join(filter(None, of_figure or of_axes))


def words(text):
    """Return a string as it is in the code; what the program fills in is an ellipsis."""
    pieces = text.values if isinstance(text, ast.JoinedStr) else [text]
    known = [piece.value if isinstance(piece, ast.Constant) else "…" for piece in pieces]
    return " ".join("".join(known).replace("$", "").split()).strip("… ")


def link_names(app, doctree, docname):
    """Link every name of the library to its reference."""
    objects = app.env.domains.python_domain.objects.items()
    places = {name.split(".", 2)[2]: place for name, place in objects if name.count(".") > 1}
    for literal in list(doctree.findall(nodes.literal)):
        place = places.get(literal.astext().partition("(")[0])
        if place and not isinstance(literal.parent, nodes.reference | nodes.title):
            uri = f"{app.builder.get_relative_uri(docname, place.docname)}#{place.node_id}"
            link = nodes.reference("", "", literal.deepcopy(), internal=True, refuri=uri)
            literal.replace_self(link)


latex2mathml.operators["dots"] = "…"  # the one word of the lessons that docutils lacks


def inline_formula(writer, node):
    """Write a formula within a line as MathML."""
    writer.body.append(latex2mathml.tex2mathml(node.astext()))
    raise nodes.SkipNode


def formula(writer, node):
    """Write a formula on a line of its own as MathML."""
    mathml = latex2mathml.tex2mathml(node.astext(), as_block=True)
    writer.body.append(f'<div class="formula" tabindex="0">{mathml}</div>')
    raise nodes.SkipNode


def setup(app):
    """Connect the functions above to Sphinx."""
    app.add_config_value("executed", "", "env")  # the folder of notebooks that were just executed
    app.add_html_math_renderer("mathml", (inline_formula, None), (formula, None))
    app.connect("source-read", prepare)
    app.connect("doctree-resolved", link_names)
