"""The script behind `make run`: what a reader sees when all goes well, and when a cell fails."""

import nbformat
import pytest

import notebooks as runner


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course of two tiny notebooks, the first of which can be made to fail."""
    monkeypatch.setattr(runner, "ROOT", tmp_path)
    monkeypatch.setattr(runner, "NOTEBOOKS", tmp_path / "notebooks")
    monkeypatch.setattr(runner, "BUILD", tmp_path / "build")
    (tmp_path / "notebooks").mkdir()

    def write(name, *sources):
        cells = [nbformat.v4.new_markdown_cell(f"# {name}\n[next](01_b.ipynb)")]
        cells += [nbformat.v4.new_code_cell(source) for source in sources]
        notebook = nbformat.v4.new_notebook(cells=cells)
        nbformat.write(notebook, tmp_path / "notebooks" / f"{name}.ipynb")

    return write


def test_run_executes_every_notebook_and_shows_a_table(course, tmp_path, capsys):
    course("00_a", "held = bytearray(300_000_000)", "print(6 * 7)")
    course("01_b", "class data: source = 'embedded'")
    assert runner.run() == 0

    executed = nbformat.read(tmp_path / "build" / "00_a.ipynb", as_version=4)
    assert executed.cells[-1].outputs[0].text == "42\n"
    assert len(executed.cells) == 3
    assert "42" in (tmp_path / "build" / "00_a.html").read_text(encoding="utf-8")
    index = (tmp_path / "build" / "index.html").read_text(encoding="utf-8")
    assert 'href="00_a.html"' in index and 'href="01_b.html"' in index

    table = capsys.readouterr().out.partition("data tier")[2].split()
    peaks = {table[0]: float(table[2]), table[4]: float(table[6])}
    assert table[0] == "00_a" and table[4] == "01_b"
    assert table[3] == "none" and table[7] == "embedded"
    assert peaks["00_a"] > peaks["01_b"] + 250


def test_run_shows_a_failing_cell_and_goes_on(course, tmp_path, capsys):
    course("00_a", "kept = 1", "1 / (kept - 1)")
    course("01_b", "print('still here')")
    assert runner.run() == 1

    printed = capsys.readouterr()
    assert "00_a.ipynb, cell 2" in printed.err
    assert "ZeroDivisionError" in printed.err and "1 / (kept - 1)" in printed.err
    assert "01_b" in printed.out.partition("data tier")[2]
    assert (tmp_path / "build" / "01_b.html").exists()
    assert "failed" in (tmp_path / "build" / "index.html").read_text(encoding="utf-8")
