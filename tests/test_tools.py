"""The scripts behind `make`, started as a reader starts them, in a course of a few tiny lessons."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import links
import nbformat
import pytest

ROOT = Path(__file__).parents[1]
RUNNER = ROOT / "tools/notebooks.py"
NO_MNIST = """
class data: source = "offline"
def load_mnist(): return print("looked", file=open("looked", "a"), end="") or data
"""
SETTLED = "import os; print(os.environ['CONVAE_OFFLINE'], os.environ['TQDM_DISABLE'])"


@pytest.fixture
def course(tmp_path, monkeypatch):
    """Make the current folder a course, with no MNIST in reach; return what adds a lesson to it."""
    for folder in ("notebooks/paired", "build", "temporary"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "convae_lib.py").write_text(NO_MNIST)
    monkeypatch.chdir(tmp_path)
    for name in ("CONVAE_OFFLINE", "TQDM_DISABLE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("TMPDIR", "TEMP", "TMP", "JUPYTER_RUNTIME_DIR"):  # for connection files
        monkeypatch.setenv(name, str(tmp_path / "temporary"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONUTF8", "1")

    def write(name, *sources, **cell):
        cells = [nbformat.v4.new_code_cell(source, **cell) for source in sources]
        cells.insert(0, nbformat.v4.new_markdown_cell(f"# About {name}\n[next](01_fails.ipynb)"))
        python = {"language_info": {"name": "python"}}
        notebook = nbformat.v4.new_notebook(cells=cells, metadata=python)
        nbformat.write(notebook, f"notebooks/{name}.ipynb")

    return write


def python(*arguments):
    return subprocess.run([sys.executable, *arguments], capture_output=True, encoding="utf-8")


def text(path):
    return Path(path).read_text(encoding="utf-8")


def names(pattern):
    return sorted(path.name for path in Path().glob(pattern))


def test_run_executes_every_lesson_reports_what_fails_and_goes_on(course):
    course("00_well", "held = bytearray(300_000_000)", SETTLED)
    course("01_fails", "kept = 1", "1 / (kept - 1)")
    course("02_killed", "import os; os.kill(os.getpid(), 9)")
    course(
        "03_no_peak", "import io; open = lambda _: io.StringIO()", "class data: source = 'mnist'"
    )
    course("04_no_probe", "print = None")
    Path("build/00_well.ipynb").write_text("old")
    os.link("build/00_well.ipynb", "temporary/old")  # would change if the file were written to
    shutil.copytree(ROOT / "docs", "docs", ignore=shutil.ignore_patterns("*.md"))
    Path("docs/index.md").write_text("# Start\n```{toctree}\n:glob:\n\n/notebooks/*\n```\n")
    settings = text(ROOT / "pyproject.toml").replace(links.current(), "somebody/some-course")
    Path("pyproject.toml").write_text(settings, encoding="utf-8")
    result = python(RUNNER, "run")
    assert result.returncode == 1, result.stderr

    for part in ("01_fails.ipynb, cell 2", "1 / (kept - 1)", "ZeroDivisionError"):
        assert part in result.stderr
    assert "02_killed.ipynb, cell 1" in result.stderr and "Kernel died" in result.stderr
    assert "failed: 01_fails, 02_killed\n" in result.stderr
    table = [line.split() for line in result.stdout.partition("data tier")[2].split("\n")[1:-1]]
    (well, _, peak, tier), (_, _, no_peak, mnist), no_probe, total = table
    assert (well, tier, mnist) == ("00_well", "none", "mnist") and 300 < int(peak) < 600
    assert no_peak == "–" or sys.platform != "linux"
    assert no_probe[::3] == ["04_no_probe", "–"] and total[0] == "all"

    executed = nbformat.read("build/00_well.ipynb", as_version=4)
    assert len(executed.cells) == 3 and executed.cells[-1].outputs[0].text == "1 1\n"
    assert text("looked") == "looked"
    assert text("temporary/old") == "old"
    stems = ["00_well", "01_fails", "02_killed", "03_no_peak", "04_no_probe"]
    assert names("build/*.ipynb") == [f"{stem}.ipynb" for stem in stems] and not names("*/*.part")
    pages = {stem: text(f"build/site/notebooks/{stem}.html") for stem in stems}
    assert "1 1\n" in pages["00_well"] and 'href="01_fails.html"' in pages["00_well"]
    assert "ZeroDivisionError" in pages["01_fails"]
    address = "github.com/somebody/some-course"
    assert all(f'href="https://{address}"' in page for page in pages.values())
    assert "url=docs/index.html" in text("build/site/index.html")


def test_a_run_that_is_killed_leaves_no_connection_file(course):
    course("00_waits", "import os, time; os.mkdir('../build/begun'); time.sleep(60)")
    with subprocess.Popen([sys.executable, RUNNER, "run"]) as process:
        while process.poll() is None and not names("build/*"):
            time.sleep(0.1)
        process.kill()
    assert names("build/*") == ["begun"] and names("temporary/*") == []


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


def test_pytest_looks_for_the_data_before_notebooks_only(course, monkeypatch):
    output = nbformat.v4.new_output("stream", text="1 1\n")
    course("00_well", SETTLED, execution_count=1, outputs=[output])
    Path("test_plain.py").write_text("import sys\ndef test(): assert 'torch' not in sys.modules")
    shutil.copy(ROOT / "conftest.py", ".")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # which takes seconds
    for options, looks in (
        (["test_plain.py"], []),
        (["-p", "nbval.plugin", "--nbval"], ["looked"]),
    ):
        result = python("-m", "pytest", "-c", ROOT / "pyproject.toml", *options)
        assert " passed" in result.stdout and "failed" not in result.stdout, result.stdout
        assert names("looked") == looks


def test_stamping_a_new_address_leaves_no_old_one(tmp_path):
    for name in [*links.STAMPED, "tools/links.py", "tools/whole.py"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    os.link(tmp_path / "README.md", tmp_path / "old")
    result = python(tmp_path / "tools/links.py", "somebody/some-course")
    assert f"{len(links.STAMPED)} files changed" in result.stdout
    assert not any(links.current() in text(tmp_path / name) for name in links.STAMPED)
    assert links.current() in text(tmp_path / "old")
    assert "look like owner/name" in python(tmp_path / "tools/links.py", "no address").stderr
