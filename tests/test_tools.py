"""The scripts behind `make`, started as a reader starts them, in a course of a few tiny lessons."""

import ast
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import links
import nbformat
import pytest
import seeds

ROOT = Path(__file__).parents[1]
RUNNER = ROOT / "tools/notebooks.py"
NO_MNIST = """
class data: source = "offline"
def load_mnist(): return print("looked", file=open("looked", "a"), end="") or data
"""
SETTLED = "import os; print(os.environ['CONVAE_OFFLINE'], os.environ['TQDM_DISABLE'])"
FIGURE = """
import matplotlib.pyplot as plt
plt.plot([1, 2])
plt.show()
print(plt.rcParams["figure.dpi"])
"""
# The first cell of a lesson that Colab saved.
COLAB_BADGE = '<a href="https://colab.research.google.com/x"><img src="b.svg" alt="Open"/></a>'


def markdown(source):
    return nbformat.v4.new_markdown_cell(source)


def code(source, **options):
    return nbformat.v4.new_code_cell(source, **options)


def write_notebook(path, cells):
    python = {"language_info": {"name": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=python), path)


@pytest.fixture
def course(tmp_path, monkeypatch):
    """Make the current folder a course, with no MNIST in reach; return what adds a lesson to it."""
    for folder in ("notebooks/paired", "build", "temporary"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "convae_lib.py").write_text(NO_MNIST)
    monkeypatch.chdir(tmp_path)
    for name in ("CONVAE_OFFLINE", "TQDM_DISABLE", "PYTEST_XDIST_WORKER"):
        monkeypatch.delenv(name, raising=False)
    for name in ("TMPDIR", "TEMP", "TMP", "JUPYTER_RUNTIME_DIR"):  # for connection files
        monkeypatch.setenv(name, str(tmp_path / "temporary"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONUTF8", "1")

    def write(name, *sources, **options):
        heading = markdown(f"# About {name}\n[next](01_fails.ipynb)")
        cells = [heading, *(code(source, **options) for source in sources)]
        write_notebook(f"notebooks/{name}.ipynb", cells)

    return write


@pytest.fixture
def docs(course):
    """Give the tiny course a site and an address of its own."""
    shutil.copytree(ROOT / "docs", "docs", ignore=shutil.ignore_patterns("*.md"))
    shutil.copytree(ROOT / "tools", "tools")
    Path("docs/index.md").write_text(
        "# Start\n{{ lessons }}\n```{toctree}\n:glob:\n\n/notebooks/*\n```\n"
    )
    settings = text(ROOT / "pyproject.toml").replace(links.current(), "somebody/some-course")
    Path("pyproject.toml").write_text(settings, encoding="utf-8")


@pytest.fixture
def personal_settings(tmp_path, monkeypatch):
    """A reader's backend, matplotlibrc, IPython profile and start-up file."""
    folder = tmp_path / "home"
    profile = folder / "profile_default"
    profile.mkdir(parents=True)
    (folder / "matplotlibrc").write_text("figure.dpi: 150\n")
    svg = "c.InlineBackend.figure_formats = {'svg'}\n"
    (profile / "ipython_kernel_config.py").write_text(svg)
    (folder / "startup.py").write_text("print('started')\n")
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.setenv("MATPLOTLIBRC", str(folder / "matplotlibrc"))
    monkeypatch.setenv("IPYTHONDIR", str(folder))
    monkeypatch.setenv("PYTHONSTARTUP", str(folder / "startup.py"))


def python(*arguments):
    return subprocess.run([sys.executable, *arguments], capture_output=True, encoding="utf-8")


def run_pytest(*options):
    """Run pytest with the settings of the course and its conftest.py."""
    shutil.copy(ROOT / "conftest.py", ".")
    return python("-m", "pytest", "-c", ROOT / "pyproject.toml", *options)


def text(path):
    return Path(path).read_text(encoding="utf-8")


def names(pattern):
    return sorted(path.name for path in Path().glob(pattern))


def test_run_executes_every_lesson_reports_what_fails_and_goes_on(course, docs):
    course("00_well", "held = bytearray(300_000_000)", SETTLED)
    course("01_fails", "kept = 1", "1 / (kept - 1)")
    course("02_killed", "import os; os.kill(os.getpid(), 9)")
    course(
        "03_no_peak", "import io; open = lambda _: io.StringIO()", "class data: source = 'mnist'"
    )
    course("04_no_probe", "print = None")
    Path("build/00_well.ipynb").write_text("old")
    os.link("build/00_well.ipynb", "temporary/old")  # would change if the file were written to
    result = python(RUNNER, "run")
    assert result.returncode == 1, result.stderr

    for part in ("01_fails.ipynb, cell 2", "1 / (kept - 1)", "ZeroDivisionError"):
        assert part in result.stderr
    assert "02_killed.ipynb, cell 1" in result.stderr
    assert "Kernel died" in result.stderr
    assert "failed: 01_fails, 02_killed\n" in result.stderr
    table = result.stdout.partition("  data\n")[2].splitlines()
    well, no_peak, no_probe, total = (line.split() for line in table)
    assert [well[0], well[3]] == ["00_well", "none"]
    assert int(well[2]) > 300
    assert no_peak[3] == "mnist"
    assert no_peak[2] == "–" or sys.platform != "linux"
    assert [no_probe[0], no_probe[3]] == ["04_no_probe", "–"]
    assert total[0] == "all"

    executed = nbformat.read("build/00_well.ipynb", as_version=4)
    assert len(executed.cells) == 3
    assert executed.cells[-1].outputs[0].text == "1 1\n"
    assert text("looked") == "looked"
    assert text("temporary/old") == "old"
    stems = ["00_well", "01_fails", "02_killed", "03_no_peak", "04_no_probe"]
    assert names("build/*.ipynb") == [f"{stem}.ipynb" for stem in stems]
    assert names("*/*.part") == []
    pages = {stem: text(f"build/site/notebooks/{stem}.html") for stem in stems}
    assert "1 1\n" in pages["00_well"]
    assert 'href="01_fails.html"' in pages["00_well"]
    assert "ZeroDivisionError" in pages["01_fails"]
    address = "github.com/somebody/some-course"
    assert all(f'href="https://{address}"' in page for page in pages.values())
    assert "url=docs/index.html" in text("build/site/index.html")


def test_run_leaves_out_notebooks_that_are_no_lessons_and_shows_lessons_of_any_form(course, docs):
    course("00_well", "print('well')")
    write_notebook("notebooks/Untitled.ipynb", [])
    write_notebook("notebooks/my notes.ipynb", [code("1 / 0")])
    write_notebook("notebooks/00_well-Copy1.ipynb", [code("1 / 0")])
    figure = "%config InlineBackend.figure_format = 'retina'\n" + FIGURE + "plt.title('Kept')"
    colab = {"id": "view-in-github", "colab_type": "text"}
    badge = nbformat.v4.new_markdown_cell(COLAB_BADGE, metadata=colab)
    opening = markdown("# 01 · Saved by Colab\n\n**Does it show?**\n\n*Time:* 1 on two cores")
    write_notebook("notebooks/01_colab.ipynb", [badge, opening, code(figure), code("%%time\n1")])
    write_notebook("notebooks/02_no_heading.ipynb", [code("print(6 * 7)")])
    write_notebook("notebooks/03_empty.ipynb", [code("")])
    result = python(RUNNER, "run")
    assert result.returncode == 0, result.stderr

    for name in ("Untitled.ipynb", "my notes.ipynb", "00_well-Copy1.ipynb"):
        assert f"notebooks/{name} is skipped: it is not named like a lesson" in result.stderr
    lessons = ["00_well", "01_colab", "02_no_heading", "03_empty"]
    assert names("build/*.ipynb") == [f"{stem}.ipynb" for stem in lessons]
    assert names("build/site/notebooks/*.html") == [f"{stem}.html" for stem in lessons]
    saved_by_colab = text("build/site/notebooks/01_colab.html")
    assert "colab.research.google.com/x" not in saved_by_colab
    assert 'alt="Kept"' in saved_by_colab
    assert "<h1>02_no_heading" in text("build/site/notebooks/02_no_heading.html")
    start = text("build/site/docs/index.html")
    assert "<p>Does it show?</p>" in start
    assert start.count("<p>–</p>") == 6  # three lessons that name neither question nor time


def test_a_lesson_that_is_no_notebook_is_named(course, docs):
    course("00_well", "print('well')")
    Path("notebooks/01_half.ipynb").write_text('{"cells": [')
    result = python(RUNNER, "run")
    assert result.returncode == 1
    assert "01_half.ipynb cannot be read as a notebook" in result.stderr
    assert "failed: 01_half, the site\n" in result.stderr
    assert names("build/*.ipynb") == ["00_well.ipynb"]


def test_personal_settings_change_no_figure(course, personal_settings):
    Path("notebooks/paired/07_figure.py").write_text(f"# %%{FIGURE}", encoding="utf-8")
    result = python(RUNNER, "execute")
    assert result.returncode == 0, result.stderr
    outputs = nbformat.read("notebooks/07_figure.ipynb", as_version=4).cells[0].outputs
    assert [output.output_type for output in outputs] == ["display_data", "stream"]
    assert set(outputs[0].data) == {"image/png", "text/plain"}
    assert outputs[0].data["text/plain"] == "<Figure size 640x480 with 1 Axes>"
    assert outputs[1].text == "100.0\n"


def test_nbval_in_two_processes_passes_beside_personal_settings_and_own_notebooks(
    course, personal_settings
):
    size = "<Figure size 640x480 with 1 Axes>"
    figure = nbformat.v4.new_output("display_data", data={"text/plain": size})
    dpi = nbformat.v4.new_output("stream", text="100.0\n")
    for name in ("00_one", "01_other"):
        cells = [code("x = 1", execution_count=1)]
        for index in range(10):  # cells that need each other, and their order
            cells.append(code(f"assert x == 1 + {index}; x += 1", execution_count=2 + index))
        write_notebook(f"notebooks/{name}.ipynb", cells)
    cells.append(code(FIGURE, execution_count=12, outputs=[figure, dpi]))
    write_notebook(f"notebooks/{name}.ipynb", cells)
    write_notebook("notebooks/Untitled.ipynb", [code("1 / 0")])
    Path("notebooks/nothing.ipynb").touch()
    result = run_pytest("--nbval", "notebooks", "-n", "2")
    assert result.returncode == 0, result.stdout
    assert "23 passed" in result.stdout
    assert "notebooks/Untitled.ipynb is skipped" in result.stdout
    assert "notebooks/nothing.ipynb is skipped" in result.stdout


def test_nbval_executes_an_own_notebook_that_is_named(course):
    write_notebook("notebooks/mine.ipynb", [code("1 / 0")])
    result = run_pytest("--nbval", "notebooks/mine.ipynb")
    assert "1 failed" in result.stdout


@pytest.mark.parametrize("options", [["-n", "0", "--pdb"], ["-p", "no:xdist"]], ids=" ".join)
def test_pytest_starts_no_process_that_it_was_not_asked_for(course, options):
    Path("tests").mkdir()
    Path("tests/test_plain.py").write_text(
        "import os\ndef test():\n    assert 'PYTEST_XDIST_WORKER' not in os.environ\n"
    )
    result = run_pytest("tests", *options)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "1 passed" in result.stdout


def test_a_run_that_is_killed_leaves_no_connection_file(course):
    course("00_waits", "import os, time; os.mkdir('../build/begun'); time.sleep(60)")
    with subprocess.Popen([sys.executable, RUNNER, "run"]) as process:
        while process.poll() is None and not names("build/*"):
            time.sleep(0.1)
        process.kill()
    assert names("build/*") == ["begun"]
    assert names("temporary/*") == []


def test_execute_stores_one_clean_run_and_its_figures(course):
    draw = "from IPython.display import Image\nImage(b'\\x89PNG')"
    source = f'# %% [markdown]\n# # A lesson\n\n# %%\n6 * 7\n\n# %% tags=["figure-dot"]\n{draw}\n'
    Path("notebooks/paired/07_one.py").write_text(source)
    Path("notebooks/paired/08_other.py").write_text("# %%\n1 / 0\n")
    result = python(RUNNER, "execute", "07")
    assert result.returncode == 0, result.stderr
    cells = nbformat.read("notebooks/07_one.ipynb", as_version=4).cells
    assert [cell.get("execution_count") for cell in cells] == [None, 1, 2]
    assert cells[1].outputs[0].data["text/plain"] == "42"
    assert Path("notebooks/figures/dot.png").read_bytes() == b"\x89PNG"
    assert names("notebooks/*.ipynb") == ["07_one.ipynb"]


def test_execute_refuses_a_tag_for_a_figure_that_is_not_there(course):
    Path("notebooks/paired/07_one.py").write_text('# %% tags=["figure-dot"]\n6 * 7\n')
    result = python(RUNNER, "execute", "07")
    assert result.returncode == 1
    assert "cell 0 is tagged figure-dot, but its output has no PNG image" in result.stderr
    assert names("notebooks/*.ipynb") == []


def test_pytest_looks_for_the_data_before_notebooks_only(course, monkeypatch):
    output = nbformat.v4.new_output("stream", text="1 1\n")
    course("00_well", SETTLED, execution_count=1, outputs=[output])
    Path("test_plain.py").write_text("import sys\ndef test(): assert 'torch' not in sys.modules")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # which takes seconds
    for options, looks in (
        (["test_plain.py"], []),
        (["-p", "nbval.plugin", "--nbval"], ["looked"]),
    ):
        result = run_pytest(*options)
        assert result.returncode == 0, result.stdout
        assert " passed" in result.stdout
        assert names("looked") == looks


@pytest.mark.skipif(shutil.which("make") is None, reason="make is missing")
def test_make_help_lists_every_command():
    makefile = text(ROOT / "Makefile")
    targets = re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)[1].split()
    result = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True
    )
    lines = [re.fullmatch(r"make (\w+) +(\S.+)", line) for line in result.stdout.splitlines()]
    assert [line[1] for line in lines] == targets


def test_stamping_a_new_address_leaves_no_old_one(tmp_path):
    for name in [*links.STAMPED, "tools/links.py", "tools/_common.py"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    os.link(tmp_path / "README.md", tmp_path / "old")
    result = python(tmp_path / "tools/links.py", "somebody/some-course")
    assert f"{len(links.STAMPED)} files changed" in result.stdout
    for name in links.STAMPED:
        assert links.current() not in text(tmp_path / name)
        assert links.pages(links.current()) not in text(tmp_path / name)
    assert "https://somebody.github.io/some-course" in text(tmp_path / "pyproject.toml")
    assert links.current() in text(tmp_path / "old")
    assert "look like owner/name" in python(tmp_path / "tools/links.py", "no address").stderr


SHIFTED = {
    "torch.manual_seed(0)": "torch.manual_seed(10)",
    "g = torch.Generator().manual_seed(4)": "g = torch.Generator().manual_seed(14)",
    "np.random.default_rng(3).normal()": "np.random.default_rng(13).normal()",
    "np.random.RandomState(0)": "np.random.RandomState(10)",
    "TSNE(2, random_state=0, n_iter=250)": "TSNE(2, random_state=10, n_iter=250)",
    "fit(x, epochs=4, seed=1)": "fit(x, epochs=4, seed=11)",
    "options = {'init': 'random', 'seed': 1}": "options = {'init': 'random', 'seed': 11}",
    "%time torch.manual_seed(0)": "%time torch.manual_seed(0)",  # a magic's text stays
    "!ls\nfit(seed=0)": "get_ipython().system('ls')\nfit(seed=10)",
    "%%time\nfit(seed=0)": "%%time\nfit(seed=10)",
    "fit(random_state=None)": "fit(random_state=None)",
    "x = runs[runs['seed'] == 0]  # stored": "x = runs[runs['seed'] == 0]  # stored",
    "seed = 3": "seed = 3",
    "x =": "x =",
}


@pytest.mark.parametrize("source", SHIFTED)
def test_every_literal_seed_is_shifted(source):
    assert seeds.change([source], 10) == [SHIFTED[source]]


def set_seeds(*sources):
    """Execute changed cells with doubles of the functions that set a seed; return the seeds."""
    found = []
    names = {"manual_seed": found.append, "fit": lambda seed=None: found.append(seed)}
    for source in seeds.change(sources, 10):
        exec(source, names)
    return found


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (["for seed in range(3): manual_seed(seed)"], [10, 11, 12]),
        (["for seed in (0, 1, 3): fit(seed=seed)"], [10, 11, 13]),
        (["for seed, name in enumerate('ab'): manual_seed(100 + seed)"], [110, 111]),
        (["def train(seed):\n    manual_seed(seed)", "train(0), train(seed=7)"], [10, 17]),
        (["def train(seed=2):\n    fit(seed=seed)", "train()"], [12]),
        (
            ["class Run:\n    def __init__(self, seed):\n        fit(seed=seed)", "Run(seed=1)"],
            [11],
        ),
        (["options = {'seed': 7}", "fit(**options)", "manual_seed(7)"], [17, 17]),
        (["seed = None", "fit(seed=seed)"], [None]),
    ],
    ids=["range", "tuple", "sum", "function", "default", "class", "dict", "none"],
)
def test_every_seed_that_is_set_is_larger_once(sources, expected):
    assert set_seeds(*sources) == expected


def test_a_script_in_a_cell_has_shifted_seeds_and_stays_a_script():
    (changed,) = seeds.change(["%%writefile work.py\nmanual_seed(rank)\nassert rank < 2"], 10)
    magic, _, script = changed.partition("\n")
    assert magic == "%%writefile work.py"
    found = []
    exec(script, {"manual_seed": found.append, "rank": 1})
    assert found == [11]
    assert ast.unparse(ast.parse(script)).endswith("assert rank < 2")


def test_a_script_in_a_string_has_the_same_seeds_as_the_cells_around_it():
    script = "rank = 1\nmanual_seed(rank)  # another in each\nfit(seed=4)\n"
    assert set_seeds(f"SCRIPT = {script!r}", "exec(SCRIPT)") == [11, 14]
    assert seeds.change(["text = 'one line, seed=0'"], 10) == ["text = 'one line, seed=0'"]


def test_seeds_lists_what_fails_with_other_seeds_and_leaves_the_lessons_alone(course):
    setup = "from types import SimpleNamespace\ntorch = SimpleNamespace(manual_seed=lambda x: x)"
    course("00_robust", setup, "x = torch.manual_seed(0)\nassert x < 5")
    course(
        "01_depends",
        setup,
        "error = 1",
        "x = torch.manual_seed(0)\nassert x == 0, f'x is {x}'\nassert x < 9\nassert not x",
        "assert error == 1",
    )
    course("02_breaks", setup, "rows = [1, 2]", "rows[torch.manual_seed(0)]")
    before = {path: path.read_bytes() for path in Path("notebooks").glob("*.ipynb")}
    script = ROOT / "tools/seeds.py"
    result = python(script, "2")
    assert result.returncode == 1, result.stderr
    assert result.stdout.partition("seeds shifted by 2: ")[2].splitlines() == [
        "3 findings",
        "  01_depends, cell 3: assert x == 0, f'x is {x}'",
        "  01_depends, cell 3: assert not x",
        "  02_breaks, cell 3: IndexError: list index out of range",
    ]
    assert {path: path.read_bytes() for path in Path("notebooks").glob("*.ipynb")} == before
    assert names("build/seeds/*") == ["00_robust.ipynb", "01_depends.ipynb", "02_breaks.ipynb"]

    result = python(script, "1", "00", "02")
    assert result.returncode == 0, result.stdout
    assert "seeds shifted by 1: 0 findings" in result.stdout
    assert python(script, "zero").returncode == 1
    assert "no lesson begins with 07" in python(script, "1", "07").stderr
