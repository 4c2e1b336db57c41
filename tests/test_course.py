"""The course as data: its notebooks, links, environment files and rules."""

import ast
import inspect
import json
import re
import subprocess
import sys
import tomllib
from functools import partial
from itertools import chain, pairwise
from pathlib import Path

import jupytext
import links
import nbformat
import pytest

import convae_lib
import notebooks as runner

ROOT = Path(__file__).parents[1]
LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
README = (ROOT / "README.md").read_text(encoding="utf-8")

PAGES = ("README.md", "CONTRIBUTING.md", "docs/index.md")

each_lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)


read = partial(nbformat.read, as_version=4)


def code_cells(path):
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def test_the_lessons_are_numbered_without_a_gap_and_linked_to_their_neighbours():
    assert [path.name[:3] for path in LESSONS] == [f"{n:02}_" for n in range(len(LESSONS))]
    assert len(LESSONS) >= 9
    for path, following in pairwise(LESSONS):
        assert f"({following.name})" in read(path).cells[0].source
        assert f"({following.name})" in read(path).cells[-1].source
        assert f"({path.name})" in read(following).cells[0].source


@each_lesson
def test_a_pair_has_the_same_content(path):
    pair = read(path), jupytext.read(path.parent / "paired" / f"{path.stem}.py")
    one, other = ([(c.cell_type, c.source, c.metadata.get("tags")) for c in p.cells] for p in pair)
    assert one == other


@each_lesson
def test_stored_outputs_come_from_one_clean_run(path):
    cells = code_cells(path)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert "widgets" not in read(path).metadata
    for output in chain.from_iterable(cell.outputs for cell in cells):
        assert output.output_type != "error" and output.get("name") != "stderr"
        data = {k: v for k, v in output.get("data", {}).items() if not k.startswith("image/")}
        text = json.dumps([output.get("text"), data])
        assert not re.search(r"/(home|root|tmp|opt|work|Users|mnt)/|widget-view", text)
        assert "embedded" not in text, "stored outputs come from the full MNIST"


@each_lesson
def test_a_cell_whose_output_is_ignored_asserts_its_claim(path):
    cells = code_cells(path)
    ignored = [c.source for c in cells if "nbval-ignore-output" in c.metadata.get("tags", [])]
    for source in ignored:
        assert "assert " in "\n".join(source.splitlines()[1:]), source
    assert len(ignored) <= len(cells) / 3, "ignored cells are a minority"
    assert not any("NBVAL" in cell.source for cell in cells)
    for cell in cells:
        if "hide-input" in cell.metadata.get("tags", []):
            assert cell.metadata.jupyter.source_hidden


@each_lesson
def test_a_lesson_has_the_rhythm_of_the_course(path):
    cells = read(path).cells
    for three in zip(cells, cells[1:], cells[2:], strict=False):
        assert not all(cell.cell_type == "code" for cell in three), three[0].source
    for cell in cells:
        assert cell.source.strip(), "an empty cell"
        assert cell.cell_type != "code" or len(cell.source.splitlines()) <= 25, cell.source

    opening, heads = cells[0].source, [cell.source.partition("\n")[0] for cell in cells]
    assert re.match(rf"# {path.name[:2]} · ", opening) and "*Time:*" in opening
    question = re.search(r"^\*\*(.+\?)\*\*$", opening, re.MULTILINE)[1]
    assert question in README and f"(notebooks/{path.name})" in README
    assert 3 <= opening.count("\n- ") <= 4, "what you will be able to do"
    summary = heads[:58].index("## What you can do now")
    assert "**An honest limit.**" in cells[summary].source and heads[summary + 1] == "## Exercises"
    assert heads[-3:-1] == ["ex.progress()", "## Further reading"]


@pytest.mark.parametrize("path", [*(ROOT / name for name in PAGES), *LESSONS])
def test_relative_links_lead_somewhere(path):
    text = path.read_text(encoding="utf-8")
    if path in LESSONS:
        text = "\n".join(c.source for c in read(path).cells if c.cell_type == "markdown")
    found = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    assert found
    for target in found:
        if not target.startswith(("http", "#")):
            assert (path.parent / target.partition("#")[0]).exists(), target


def test_every_address_of_the_repository_is_the_one_in_pyproject():
    pattern = (
        r"(?:colab\.research\.google\.com/github/|mybinder\.org/v2/gh/|github\.com/)"
        r"([\w.-]+/[\w.-]+?)(?=[/\s\"')]|\.git|$)"
    )
    for name in links.STAMPED:
        found = re.findall(pattern, (ROOT / name).read_text(encoding="utf-8"))
        assert set(found) == {links.current()}, name


@each_lesson
def test_badges_and_first_cell_lead_to_this_lesson(path):
    address, opening = links.current(), read(path).cells[0].source
    colab = f"https://colab.research.google.com/github/{address}/blob/main/notebooks/{path.name}"
    binder = f"https://mybinder.org/v2/gh/{address}/main?urlpath=lab/tree/notebooks/{path.name}"
    assert f"]({colab})" in opening and f"]({binder})" in opening
    assert f"]({colab})" in README and f"]({binder})" in README
    first = code_cells(path)[0].source
    assert '"google.colab" in sys.modules' in first and "--no-deps" in first
    assert f"https://github.com/{address}" in first


def requirements(lines):
    """Names and versions of requirement lines such as ``torch>=2.6``."""
    return dict(re.match(r"([\w-]+)[>=]=([\d.]+)$", line).groups() for line in lines)


READER = requirements(PROJECT["dependencies"] + EXTRAS["notebooks"])


def test_the_files_agree_on_what_is_needed():
    conda = requirements(
        re.findall(r"^  - (\S+=\S+)$", (ROOT / "environment.yml").read_text(), re.M)
    )
    assert f">={conda.pop('python')}" == PROJECT["requires-python"]
    assert conda.pop("pytorch") == READER["torch"]
    assert conda | {"torch": READER["torch"]} == READER

    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = requirements(line for line in lines if line and not line.startswith("#"))
    for name, floor in requirements(chain(PROJECT["dependencies"], *EXTRAS.values())).items():
        pin, least = ([int(part) for part in text.split(".")] for text in (pins[name], floor))
        assert pin >= least, name


def test_binder_has_the_same_environment_and_can_build_the_repository():
    assert (ROOT / "binder/environment.yml").read_bytes() == (ROOT / "environment.yml").read_bytes()
    assert "pip install --no-deps" in (ROOT / "binder/postBuild").read_text(encoding="utf-8")
    if sys.platform == "win32":
        pytest.skip("repo2docker does not run on Windows")
    command = [sys.executable, "-m", "repo2docker", "--no-build", str(ROOT)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "environment.yml" in result.stdout + result.stderr


def imported(path):
    """The packages that a file imports, but for Python's own; siblings as ``.name``."""
    text = path.read_text(encoding="utf-8")
    if path in LESSONS:
        text = "\n".join(cell.source for cell in code_cells(path))
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = [node.module] if node.module else [alias.name for alias in node.names]
            found |= {f".{name}" if node.level else name.partition(".")[0] for name in names}
    return found - set(sys.stdlib_module_names)


def test_everything_imported_is_declared_and_the_library_imports_one_way():
    known = {{"scikit-learn": "sklearn", "pillow": "PIL"}.get(name, name) for name in READER}
    modules = {path.stem: path for path in (ROOT / "convae_lib").glob("*.py")}
    one_way = {"models": {".layers"}, "evaluation": {".models"}, "plots": {".training"}}
    one_way |= {"_page": {".layers", ".models"}, "explore": {".models", ".plots"}}
    one_way["__init__"] = {f".{name}" for name in modules}
    for name, path in modules.items():
        public = {used for used in imported(path) - known if not used.startswith("._")}
        assert public <= one_way.get(name, set()), path

    known |= {"convae_lib", *requirements(EXTRAS["onnx"])}
    assert all(imported(path) <= known for path in LESSONS)
    extras = {"tools": [], "benchmarks": EXTRAS["bench"], "docs": EXTRAS["site"]}
    for folder, more in extras.items():
        more = set(requirements(more))
        paths = list((ROOT / folder).glob("*.py"))
        for path in paths:
            local = {path.stem for path in [*paths, *(ROOT / "tools").glob("*.py")]}
            assert imported(path) <= known | more | local, path


def test_every_public_name_is_documented_and_used_in_a_lesson():
    lessons = "\n".join(cell.source for path in LESSONS for cell in read(path).cells)
    returned = {
        "History",
        "ImageData",
        "Interactive",
        "LinearAutoencoder",
    }  # by functions that lessons call
    for name in set(convae_lib.__all__) - {"DIGIT_COLORS"}:  # which is data
        text = inspect.getdoc(getattr(convae_lib, name))
        assert re.search(r"[Ll]essons?\s\d\d", text), f"{name}: the lesson that builds or uses it"
        assert name in returned or re.search(rf"\b{name}\b", lessons), name


def test_the_readme_names_the_makefiles_commands():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)[1].split())
    mentioned = set(re.findall(r"(?:`|^)make (\w+)", README, re.MULTILINE))
    assert {"run", "test", "lab", "execute", "links"} <= mentioned <= targets
    for target in targets - {"links"}:  # which replaces text and needs nothing installed
        assert re.search(rf"^{target}: \$\(READY\)", makefile, re.MULTILINE)


def test_pictures_are_the_stored_outputs_of_the_lessons():
    stored = {name: png for path in LESSONS for name, png in runner.figures(read(path)).items()}
    files = {path.stem: path.read_bytes() for path in (ROOT / "notebooks/figures").glob("*.png")}
    assert files and files == stored
    assert all(f"notebooks/figures/{name}.png" in README for name in files)
