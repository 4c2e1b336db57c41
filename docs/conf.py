"""The site. Sphinx reads the repository itself: a page lies where its source does."""

import ast
import json
import posixpath
import re
import sys
import tomllib
from pathlib import Path

from docutils import nodes
from docutils.utils.math import latex2mathml

ROOT = Path(__file__).parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
REPOSITORY = SETTINGS["project"]["urls"]["Repository"]  # which `make links` stamps

project = html_title = "Convolutional autoencoders, measured"
language = "en"
root_doc = "docs/index"
include_patterns = ["docs/*.md", "notebooks/*.ipynb", "benchmarks/README.md", "README.md"]
exclude_patterns = [".*", "build"]  # large, and not walked through
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]

myst_enable_extensions = ["attrs_inline", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"
nb_merge_streams = True
nb_code_prompt_show, nb_code_prompt_hide = "Show the code", "Hide the code"

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
    """Change what is read to what the site shows; the files stay as they are."""

    def page_or_repository(link):
        target = posixpath.normpath(posixpath.join(posixpath.dirname(docname), link[1]))
        if target.rpartition(".")[0] in app.env.found_docs or target.endswith(".png"):
            return link[0]
        return f"]({REPOSITORY}/blob/main/{target})"

    def linked(text):
        return re.sub(r"\]\(([^)\s:#]+)(#[^)\s]*)?\)", page_or_repository, text)

    if not docname.startswith("notebooks/"):
        text = re.sub("{{ lessons }}", lambda _: "\n".join(lessons()), source[0])
        if docname == "README":
            text = re.sub(r"\A# .+", "# Run it yourself", text)
        source[0] = linked(text)
        if docname == "docs/draw":
            sys.path.insert(0, str(ROOT / "docs"))
            from draw.page import body  # which needs the library

            source[0] = source[0].replace("{{ drawing }}", body())
        return
    executed = Path(app.config.executed, f"{posixpath.basename(docname)}.ipynb")
    notebook = json.loads(executed.read_text("utf-8") if app.config.executed else source[0])
    notebook["cells"] = [cell for cell in notebook["cells"] if not installs(cell)]
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":  # the site has buttons for badges
            cell["source"] = linked(re.sub(r"^\[!\[.+\n", "", text, flags=re.MULTILINE))
        elif any("image/png" in output.get("data", {}) for output in cell["outputs"]):
            cell["metadata"]["mystnb"] = {"image": {"alt": titles(text)}}
    source[0] = json.dumps(notebook)


def installs(cell):
    return cell["cell_type"] == "code" and '"google.colab" in sys.modules' in "".join(
        cell["source"]
    )


def lessons():
    """The lines of a table of the lessons, from what each says of itself in its first cell."""
    yield "| lesson | question | on two cores |\n|---|---|---|"
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        opening = "".join(json.loads(path.read_text("utf-8"))["cells"][0]["source"])
        name = re.match("# (.+)", opening)[1]
        question = re.search(r"^\*\*(.+)\*\*$", opening, re.MULTILINE)[1]
        minutes = re.search(r"\*Time:\* (.+?) on two cores", opening)[1]
        yield f"| [{name}](../notebooks/{path.name}) | {question} | {minutes} |"


def titles(code):
    """What a figure says of itself, as its alternative text: its title, or those of its axes."""
    found = {"suptitle": [], "title": []}
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            name = node.func.attr.removeprefix("set_")
            given = [word.value for word in node.keywords if name == "set" and word.arg == "title"]
            for text in given or (node.args[:1] if name in found else []):
                found["title" if given else name].append(words(text))
    return "; ".join(filter(None, found["suptitle"] or found["title"]))


def words(text):
    """A string as it stands in code; what the program fills in is an ellipsis."""
    parts = text.values if isinstance(text, ast.JoinedStr) else [text]
    known = [part.value if isinstance(part, ast.Constant) else "…" for part in parts]
    return " ".join("".join(known).replace("$", "").split()).strip("… ")


def link_names(app, doctree, docname):
    """Let every name of the library lead to its reference."""
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
    writer.body.append(latex2mathml.tex2mathml(node.astext()))
    raise nodes.SkipNode


def formula(writer, node):
    mathml = latex2mathml.tex2mathml(node.astext(), as_block=True)
    writer.body.append(f'<div class="formula" tabindex="0">{mathml}</div>')
    raise nodes.SkipNode


def setup(app):
    app.add_config_value("executed", "", "env")  # the folder of notebooks that were just executed
    app.add_html_math_renderer("mathml", (inline_formula, None), (formula, None))
    app.connect("source-read", prepare)
    app.connect("doctree-resolved", link_names)
