"""The course as data: its notebooks, links, environment files and rules."""

import ast
import doctest
import importlib
import inspect
import json
import re
import shutil
import subprocess
import sys
import tomllib
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
MODULES = sorted((ROOT / "convae_lib").glob("[a-z]*.py"))
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
README = (ROOT / "README.md").read_text(encoding="utf-8")

each_lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tags(cell):
    return cell.metadata.get("tags", [])


def test_the_lessons_are_numbered_without_a_gap():
    assert [path.name[:3] for path in LESSONS] == [f"{n:02}_" for n in range(len(LESSONS))]
    assert len(LESSONS) >= 9


@each_lesson
def test_a_pair_has_the_same_content(path):
    def content(notebook):
        return [(cell.cell_type, cell.source, tags(cell)) for cell in notebook.cells]

    paired = jupytext.read(path.parent / "paired" / f"{path.stem}.py")
    assert content(read(path)) == content(paired)


@each_lesson
def test_stored_outputs_come_from_one_clean_run(path):
    notebook = read(path)
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))
    assert "widgets" not in notebook.metadata
    for cell in code_cells(notebook):
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr"
            data = {k: v for k, v in output.get("data", {}).items() if not k.startswith("image/")}
            text = json.dumps([output.get("text"), data])
            assert not re.search(r"/(home|root|tmp|opt|work|Users|mnt)/", text)
            assert "widget-view" not in text
            assert "embedded" not in text, "stored outputs come from the full MNIST"


@each_lesson
def test_an_ignored_output_is_followed_by_an_assertion_of_its_claim(path):
    cells = code_cells(read(path))
    ignored = [n for n, cell in enumerate(cells) if "nbval-ignore-output" in tags(cell)]
    for n in ignored:
        assert "assert " in cells[n + 1].source, cells[n].source
    assert len(ignored) < len(cells) / 2, "ignored cells are a minority"
    assert not any("NBVAL" in cell.source for cell in cells)


@each_lesson
def test_a_lesson_has_the_rhythm_of_the_course(path):
    cells = read(path).cells
    assert len(cells) < 60
    run = 0
    for cell in cells:
        run = run + 1 if cell.cell_type == "code" else 0
        assert run <= 2, f"three code cells in a row: {cell.source}"
        assert cell.source.strip(), "an empty cell"
        if cell.cell_type == "code":
            assert len(cell.source.splitlines()) <= 25, cell.source


@each_lesson
def test_a_lesson_opens_and_ends_as_the_others_do(path):
    cells = read(path).cells
    opening, ending = cells[0].source, cells[-1].source
    assert re.match(rf"# {path.name[:2]} · ", opening)
    assert re.search(r"^\*\*.+\?\*\*$", opening, re.MULTILINE), "the question"
    assert opening.count("\n- ") == 3, "three things you will be able to do"
    assert "*Time:*" in opening
    for heading in ("What you can do now", "An honest limit", "Exercises", "Further reading"):
        assert heading in ending
    exercises = len(re.findall(r"^\d\. \*\(", ending, re.MULTILINE))
    assert 2 <= exercises <= 4
    assert ending.count("<details>") == ending.count("</details>") == exercises


def test_every_lesson_links_to_its_neighbours():
    for path, following in pairwise(LESSONS):
        assert f"({following.name})" in read(path).cells[0].source
        assert f"({following.name})" in read(path).cells[-1].source
        assert f"({path.name})" in read(following).cells[0].source


def texts():
    yield "README.md", ROOT, README
    yield "CONTRIBUTING.md", ROOT, (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for path in LESSONS:
        prose = [cell.source for cell in read(path).cells if cell.cell_type == "markdown"]
        yield path.name, path.parent, "\n".join(prose)


@pytest.mark.parametrize(
    ("name", "folder", "text"), list(texts()), ids=lambda value: str(value)[:20]
)
def test_relative_links_lead_somewhere(name, folder, text):
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    found = re.findall(r"\]\(([^)\s]+)\)", text)
    assert found
    for target in found:
        if not target.startswith(("http", "#")):
            assert (folder / target.partition("#")[0]).exists(), target


def test_every_address_of_the_repository_is_the_one_in_pyproject():
    address = links.current()
    patterns = (
        r"github\.com/([\w.-]+/[\w.-]+?)(?=[/\s\"')]|\.git|$)",
        r"colab\.research\.google\.com/github/([\w.-]+/[\w.-]+)",
        r"mybinder\.org/v2/gh/([\w.-]+/[\w.-]+)",
    )
    for name in links.STAMPED:
        text = (ROOT / name).read_text(encoding="utf-8")
        found = {match for pattern in patterns for match in re.findall(pattern, text)}
        assert found == {address}, name


@each_lesson
def test_badges_and_first_cell_lead_to_this_lesson(path):
    notebook, address = read(path), links.current()
    opening = notebook.cells[0].source
    colab = f"https://colab.research.google.com/github/{address}/blob/main/notebooks/{path.name}"
    binder = f"https://mybinder.org/v2/gh/{address}/main?urlpath=lab/tree/notebooks/{path.name}"
    assert f"]({colab})" in opening and f"]({binder})" in opening
    assert f"]({colab})" in README and f"]({binder})" in README
    first = code_cells(notebook)[0].source
    assert '"google.colab" in sys.modules' in first and "--no-deps" in first
    assert f"https://github.com/{address}" in first


def test_stamping_a_new_address_leaves_no_old_one(tmp_path, monkeypatch):
    old = links.current()
    for name in links.STAMPED:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.setattr(links, "ROOT", tmp_path)
    assert links.stamp(old, "somebody/some-course") == len(links.STAMPED)
    assert links.current() == "somebody/some-course"
    assert not any(old in (tmp_path / name).read_text(encoding="utf-8") for name in links.STAMPED)
    with pytest.raises(SystemExit, match="owner/name"):
        links.stamp("somebody/some-course", "no address")


def requirements(lines):
    """Names and floors of requirement lines such as ``torch>=2.6``."""
    return dict(re.match(r"([\w-]+)>=([\d.]+)$", line).groups() for line in lines)


def pins():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def as_numbers(version):
    return [int(part) for part in version.split(".")]


def test_binder_has_the_same_environment():
    assert (ROOT / "binder/environment.yml").read_bytes() == (ROOT / "environment.yml").read_bytes()
    assert "pip install --no-deps" in (ROOT / "binder/postBuild").read_text(encoding="utf-8")


def test_the_files_agree_on_what_is_needed():
    project = PYPROJECT["project"]
    extras = project["optional-dependencies"]
    reader = requirements(project["dependencies"] + extras["notebooks"])
    lines = re.findall(r"^  - (\S+)$", (ROOT / "environment.yml").read_text(), re.MULTILINE)
    conda = requirements([line for line in lines if ">=" in line])
    assert f">={conda.pop('python')}" == project["requires-python"]
    assert conda.pop("pytorch") == reader.pop("torch")
    assert conda == reader

    everything = requirements(chain(project["dependencies"], *extras.values()))
    for name, floor in everything.items():
        assert as_numbers(pins()[name]) >= as_numbers(floor), name


def imported_packages(source):
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.partition(".")[0]


def test_everything_imported_is_declared():
    project = PYPROJECT["project"]
    extras = project["optional-dependencies"]
    reader = requirements(project["dependencies"] + extras["notebooks"])
    known = {name.replace("scikit-learn", "sklearn") for name in reader} | {"convae_lib"}
    benchmarks = {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
    allowed = {
        "convae_lib": known,
        "tools": known,
        "benchmarks": known | benchmarks | {*requirements(extras["bench"])},
    }
    for folder, packages in allowed.items():
        for path in (ROOT / folder).glob("*.py"):
            used = set(imported_packages(path.read_text(encoding="utf-8")))
            assert used - set(sys.stdlib_module_names) <= packages, path
    for path in LESSONS:
        for cell in code_cells(read(path)):
            assert set(imported_packages(cell.source)) - set(sys.stdlib_module_names) <= known


def test_imports_inside_the_library_point_one_way():
    allowed = {"models": {"layers"}}
    for path in MODULES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        siblings = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.level}
        public = {name for name in siblings if not name.startswith("_")}
        assert public <= allowed.get(path.stem, set()), path.name
    for path in (ROOT / "convae_lib").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(
            r"^\s*(from|import) (tools|tests|notebooks|benchmarks)\b", text, re.MULTILINE
        )


def test_every_public_name_is_used_in_a_lesson():
    code = "\n".join(cell.source for path in LESSONS for cell in code_cells(read(path)))
    for name in convae_lib.__all__:
        assert re.search(rf"\b{name}\b", code), name


@pytest.mark.parametrize("name", [n for n in convae_lib.__all__ if n != "DIGIT_COLORS"])
def test_every_public_name_is_documented(name):
    thing = getattr(convae_lib, name)
    text = inspect.getdoc(thing)
    assert re.search(r"[Ll]essons? \d\d", text), "the lesson that builds or uses it"
    takes_no_data = name in ("History", "PyTorchTrainer", "plot_history", "load_pretrained")
    assert takes_no_data or re.search(r"\(N[,)]|\(28, 28\)|same number of rows", text), "shapes"
    fields = getattr(thing, "__dataclass_fields__", None)
    for parameter in fields or inspect.signature(thing).parameters:
        assert re.search(rf"^ *[\w, ]*\b{parameter}\b[\w, ]* :|^ *ax :", text, re.MULTILINE), (
            parameter
        )


@pytest.mark.parametrize("method", ["fit", "evaluate"])
def test_every_parameter_of_the_trainer_is_documented(method):
    function = getattr(convae_lib.PyTorchTrainer, method)
    for parameter in list(inspect.signature(function).parameters)[1:]:
        assert re.search(rf"^[\w, ]*\b{parameter}\b[\w, ]* :", inspect.getdoc(function), re.M)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_examples_in_docstrings_are_true(path):
    module = importlib.import_module(f"convae_lib.{path.stem}")
    assert doctest.testmod(module).failed == 0


def test_binder_can_build_the_repository():
    command = [sys.executable, "-m", "repo2docker", "--no-build", str(ROOT)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "environment.yml" in result.stdout + result.stderr


def test_the_readme_names_the_makefiles_commands():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)[1].split())
    mentioned = set(re.findall(r"`make (\w+)|^make (\w+)", README, re.MULTILINE))
    mentioned = {one or other for one, other in mentioned}
    assert {"run", "test", "lab", "execute", "links"} <= mentioned <= targets
    for target in targets - {"links"}:  # which replaces text and needs nothing installed
        assert re.search(rf"^{target}: \$\(READY\)", makefile, re.MULTILINE)


def test_pictures_are_the_stored_outputs_of_the_lessons():
    stored = {}
    for path in LESSONS:
        stored |= runner.figures(read(path))
    files = {path.stem: path.read_bytes() for path in (ROOT / "notebooks/figures").glob("*.png")}
    assert files and files == stored
    for name in files:
        assert f"notebooks/figures/{name}.png" in README


def test_the_readmes_table_names_every_lesson():
    for path in LESSONS:
        question = re.search(r"^\*\*(.+\?)\*\*$", read(path).cells[0].source, re.MULTILINE)[1]
        assert f"(notebooks/{path.name})" in README
        assert question in README
