"""The course as data: its notebooks, links, environment files and rules."""

import ast
import inspect
import json
import re
import subprocess
import sys
import tomllib
from functools import partial
from graphlib import TopologicalSorter
from itertools import chain, pairwise
from pathlib import Path

import jupytext
import links
import nbformat
import pytest
from _common import lessons

import convae_lib
import notebooks as runner

ROOT = Path(__file__).parents[1]
LESSONS = lessons(ROOT / "notebooks")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
README = (ROOT / "README.md").read_text(encoding="utf-8")

PAGES = ("README.md", "CONTRIBUTING.md", "docs/index.md")

each_lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)


read = partial(nbformat.read, as_version=4)


def code_cells(path):
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def test_the_lessons_are_numbered_without_a_gap_and_linked_to_their_neighbors():
    assert [path.name[:3] for path in LESSONS] == [f"{n:02}_" for n in range(len(LESSONS))]
    assert len(LESSONS) >= 9
    for path, following in pairwise(LESSONS):
        assert f"({following.name})" in read(path).cells[0].source
        assert f"({following.name})" in read(path).cells[-1].source
        assert f"({path.name})" in read(following).cells[0].source


@each_lesson
def test_a_pair_has_the_same_content(path):
    def content(notebook):
        return [(cell.cell_type, cell.source, cell.metadata.get("tags")) for cell in notebook.cells]

    paired = jupytext.read(path.parent / "paired" / f"{path.stem}.py")
    assert content(read(path)) == content(paired)


@each_lesson
def test_stored_outputs_come_from_one_clean_run(path):
    cells = code_cells(path)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert "widgets" not in read(path).metadata
    for output in chain.from_iterable(cell.outputs for cell in cells):
        assert output.output_type != "error"
        assert output.get("name") != "stderr"
        data = output.get("data", {})
        no_image = {kind: data[kind] for kind in data if not kind.startswith("image/")}
        text = json.dumps([output.get("text"), no_image])
        assert not re.search(r"/(home|root|tmp|opt|work|Users|mnt)/", text), "a path of a machine"
        assert "widget-view" not in text
        from_subset = re.search("embedded|offline subset", text)
        assert not from_subset, "stored outputs come from the full MNIST"


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
def test_a_lesson_opens_with_its_number_question_and_time_and_is_listed(path):
    opening = read(path).cells[0].source
    assert opening.startswith(f"# {path.name[:2]} · ")
    assert "*Time:*" in opening
    question = re.search(r"^\*\*(.+\?)\*\*$", opening, re.MULTILINE)[1]
    assert question in README
    assert f"(notebooks/{path.name})" in README
    assert all(cell.source.strip() for cell in read(path).cells), "an empty cell"


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
    on_pages = r"[\w-]+\.github\.io/[\w.-]+"
    for name in links.STAMPED:
        text = (ROOT / name).read_text(encoding="utf-8")
        assert set(re.findall(pattern, text)) == {links.current()}, name
        assert set(re.findall(on_pages, text)) <= {links.pages(links.current())}, name


@each_lesson
def test_badges_and_first_cell_lead_to_this_lesson(path):
    address, opening = links.current(), read(path).cells[0].source
    colab = f"https://colab.research.google.com/github/{address}/blob/main/notebooks/{path.name}"
    binder = f"https://mybinder.org/v2/gh/{address}/main?urlpath=lab/tree/notebooks/{path.name}"
    for address_of_badge in (colab, binder):
        assert f"]({address_of_badge})" in opening
        assert f"]({address_of_badge})" in README
    first = code_cells(path)[0].source
    assert '"google.colab" in sys.modules' in first
    assert "--no-deps" in first
    assert f"https://github.com/{address}" in first


def requirements(lines):
    """Names and versions of requirement lines such as ``torch>=2.6``."""
    return dict(re.match(r"([\w-]+)[>=]=([\d.]+)$", line).groups() for line in lines)


LIBRARY = requirements(PROJECT["dependencies"])
READER = LIBRARY | requirements(EXTRAS["notebooks"])


def test_conda_installs_what_the_lessons_and_their_tests_need():
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    conda = requirements(re.findall(r"^  - (\S+=\S+)$", text, re.MULTILINE))
    assert f">={conda.pop('python')}" == PROJECT["requires-python"]
    conda["torch"] = conda.pop("pytorch")
    tests = requirements(EXTRAS["test"])
    assert conda == READER | {name: tests[name] for name in ("pytest", "nbval")}


def test_what_the_stored_outputs_were_made_with_is_new_enough():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = requirements(line for line in lines if line and not line.startswith("#"))
    floors = requirements(chain(PROJECT["dependencies"], *EXTRAS.values()))
    for name, floor in floors.items():
        pin = [int(part) for part in pins[name].split(".")]
        assert pin >= [int(part) for part in floor.split(".")], name


def test_pre_commit_checks_with_the_same_ruff():
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    (version,) = set(re.findall(r"ruff==[\d.]+", hooks))
    assert version in constraints.splitlines()


def test_the_changelog_has_this_version():
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{PROJECT['version']}]" in changes


def test_binder_has_the_same_environment_and_can_build_the_repository(require):
    assert (ROOT / "binder/environment.yml").read_bytes() == (ROOT / "environment.yml").read_bytes()
    assert "pip install --no-deps" in (ROOT / "binder/postBuild").read_text(encoding="utf-8")
    if sys.platform == "win32":
        pytest.skip("repo2docker does not run on Windows")
    require("repo2docker", "dev")
    command = [sys.executable, "-m", "repo2docker", "--no-build", str(ROOT)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "environment.yml" in result.stdout + result.stderr


def tree(path):
    """The syntax tree of a file, or of all code cells of a notebook."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        text = "\n".join(cell.source for cell in code_cells(path))
    return ast.parse(text)


def imported(path):
    """The packages that a file imports, but for Python's own and its own neighbors."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names)


def packages(requirements):
    """The names under which packages are imported."""
    other_names = {
        "axe-playwright-python": "axe_playwright_python",
        "pillow": "PIL",
        "pytest-xdist": "xdist",
        "scikit-learn": "sklearn",
    }
    return {other_names.get(name, name) for name in requirements}


LIBRARY_FILES = sorted((ROOT / "convae_lib").rglob("*.py"))


@pytest.mark.parametrize("path", LIBRARY_FILES, ids=lambda path: path.stem)
def test_the_library_imports_what_it_declares(path):
    optional = {"torchvision"} if "torchvision" in path.stem else set()
    assert imported(path) <= packages(LIBRARY) | optional | {"convae_lib"}


def test_every_declared_dependency_is_imported():
    of_library = set().union(*(imported(path) for path in LIBRARY_FILES))
    assert packages(LIBRARY) <= of_library
    of_lessons = set().union(*(imported(path) for path in LESSONS))
    assert {"torchvision", "seaborn"} <= of_lessons


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        ("notebooks", ["onnx"]),
        ("tools", []),
        ("docs", ["site"]),
        ("benchmarks", ["bench"]),
        ("tests", ["test", "site"]),
    ],
)
def test_everything_imported_is_declared(folder, extras):
    paths = LESSONS if folder == "notebooks" else sorted((ROOT / folder).rglob("*.py"))
    known = packages(READER) | {"convae_lib", "IPython", "requests"}  # of ipykernel and of pooch
    for extra in extras:
        known |= packages(requirements(EXTRAS[extra]))
    for neighbors in ("tools", "docs", "benchmarks", "tests"):
        known |= {path.stem for path in (ROOT / neighbors).rglob("*.py")}
        known |= {path.name for path in (ROOT / neighbors).iterdir() if path.is_dir()}
    for path in paths:
        assert imported(path) <= known, path


def module_name(path):
    """The dotted name of a file of the library."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_the_library_imports_one_way():
    modules = {module_name(path): path for path in LIBRARY_FILES}
    graph = {}
    for name, path in modules.items():
        package = name if path.stem == "__init__" else name.rpartition(".")[0]
        graph[name] = set()
        for node in ast.walk(tree(path)):
            if not isinstance(node, ast.ImportFrom):
                continue
            base = package.split(".")[: len(package.split(".")) - node.level + 1]
            start = ".".join([*(base if node.level else []), *filter(None, [node.module])])
            for target in [f"{start}.{alias.name}" for alias in node.names]:
                graph[name].add(target if target in modules else start)
        graph[name] &= modules.keys()
    TopologicalSorter(graph).prepare()  # raises an error if there is a circle
    of = {name.partition(".")[2]: targets for name, targets in graph.items()}
    assert not of["training"] & {"convae_lib.models", "convae_lib.data"}, "it knows no model"
    assert not of["models"] & {"convae_lib.data", "convae_lib.training"}, "they know no data"


def test_every_public_name_is_documented_and_used_in_a_lesson():
    in_lessons = "\n".join(cell.source for path in LESSONS for cell in read(path).cells)
    # Lessons call functions that return these.
    returned = {"History", "ImageData", "Interactive", "LinearAutoencoder"}
    returned |= {"LinearDecoder", "LinearEncoder", "StopTraining"}
    for name in set(convae_lib.__all__) - {"DIGIT_COLORS"}:  # which is data
        text = inspect.getdoc(getattr(convae_lib, name))
        assert re.search(r"[Ll]essons?\s\d\d", text), f"{name}: the lesson that builds or uses it"
        assert name in returned or re.search(rf"\b{name}\b", in_lessons), name


def test_the_readme_names_the_makefiles_commands():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)[1].split())
    mentioned = set(re.findall(r"(?:`|^)make (\w+)", README, re.MULTILINE))
    assert {"help", "run", "test", "lab"} <= mentioned
    assert mentioned <= targets
    for target in targets - {"help", "links"}:  # which need nothing installed
        assert re.search(rf"^{target}: \$\(READY\)", makefile, re.MULTILINE)


def test_pictures_are_the_stored_outputs_of_the_lessons():
    stored = {name: png for path in LESSONS for name, png in runner.figures(read(path)).items()}
    files = {path.stem: path.read_bytes() for path in (ROOT / "notebooks/figures").glob("*.png")}
    assert files
    assert files == stored
    assert all(f"notebooks/figures/{name}.png" in README for name in files)
