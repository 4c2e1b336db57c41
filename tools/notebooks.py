"""Execute the course's notebooks.

python tools/notebooks.py run              every notebook into build/, with HTML pages and a table
python tools/notebooks.py execute [NN …]   paired/*.py into notebooks/*.ipynb, outputs stored

`run` is what a reader calls (`make run`); `execute` is for authors (`make execute`): a notebook's
text lives in notebooks/paired/, and its outputs come from one clean run of it.
"""

import base64
import html
import json
import re
import sys
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbconvert import HTMLExporter

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "notebooks"
BUILD = ROOT / "build"
FAILURES = (CellExecutionError, CellTimeoutError, DeadKernelError)

# Run in each kernel after the last cell: its peak memory, and the data tier it used.
PROBE = """
import json, re, sys
if sys.platform == "linux":  # ru_maxrss would include what started the kernel
    with open("/proc/self/status") as status:
        peak = 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", status.read())[1])
elif sys.platform == "win32":
    import psutil
    peak = psutil.Process().memory_info().peak_wset
else:
    import resource
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"peak": peak, "tier": getattr(globals().get("data"), "source", "none")}))
"""


def execute(notebook, report):
    """Execute a notebook in place in a new kernel; return seconds, peak bytes and data tier."""
    cells = sum(cell.cell_type == "code" for cell in notebook.cells)
    done = 0

    def on_cell_complete(cell, cell_index):
        nonlocal done
        if cell.cell_type == "code":
            done += 1
            report(f"cell {done}/{cells}")

    client = NotebookClient(
        notebook,
        timeout=900,
        kernel_name="python3",
        resources={"metadata": {"path": str(NOTEBOOKS)}},
        on_cell_complete=on_cell_complete,
        record_timing=False,
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
    )
    start = time.perf_counter()
    with client.setup_kernel():
        for index, cell in enumerate(notebook.cells):
            try:
                client.execute_cell(cell, index)
            except FAILURES as error:
                error.add_note(f"cell {index} (counted from 0, text cells included)")
                raise
        seconds = time.perf_counter() - start
        probe = nbformat.v4.new_code_cell(PROBE)
        notebook.cells.append(probe)
        client.execute_cell(probe, len(notebook.cells) - 1, store_history=False)
        notebook.cells.pop()
    measured = json.loads(probe.outputs[0].text)
    return seconds, measured["peak"], measured["tier"]


def run():
    """Execute every notebook into build/; return how many failed."""
    BUILD.mkdir(exist_ok=True)
    paths = sorted(NOTEBOOKS.glob("*.ipynb"))
    rows, failures = [], []
    for number, path in enumerate(paths, start=1):
        notebook = nbformat.read(path, as_version=4)
        report = _reporter(f"[{number}/{len(paths)}] {path.stem}")
        try:
            seconds, peak, tier = execute(notebook, report)
        except FAILURES as error:
            failures.append(path.stem)
            report("FAILED", last=True)
            print(f"{path.name}, {error.__notes__[0]}:\n{error}", file=sys.stderr)
        else:
            report(f"{seconds:.0f} s, peak {peak / 1e6:,.0f} MB", last=True)
            rows.append((path.stem, f"{seconds:.0f}", f"{peak / 1e6:,.0f}", tier))
        nbformat.write(notebook, BUILD / path.name)
        page, _ = HTMLExporter().from_notebook_node(notebook, {"metadata": {"name": path.stem}})
        page = re.sub(r'href="(\d\d_\w+)\.ipynb"', r'href="\1.html"', page)
        (BUILD / f"{path.stem}.html").write_text(page, encoding="utf-8")
    _write_index(paths, rows, failures)
    _print_table(rows)
    if failures:
        print(f"failed: {', '.join(failures)}", file=sys.stderr)
    return len(failures)


def execute_in_place(prefixes):
    """Execute notebooks/paired/*.py and store them, with outputs, as notebooks/*.ipynb."""
    rows = []
    for source in sorted((NOTEBOOKS / "paired").glob("*.py")):
        if prefixes and not source.stem.startswith(tuple(prefixes)):
            continue
        notebook = jupytext.read(source)
        notebook.metadata["kernelspec"] = {
            "display_name": "Python 3 (ipykernel)",
            "language": "python",
            "name": "python3",
        }
        for number, cell in enumerate(notebook.cells):
            cell.id = f"cell-{number:02}"  # stable, so that a new run changes outputs only
        report = _reporter(source.stem)
        seconds, peak, tier = execute(notebook, report)
        report(f"{seconds:.0f} s, peak {peak / 1e6:,.0f} MB", last=True)
        rows.append((source.stem, f"{seconds:.0f}", f"{peak / 1e6:,.0f}", tier))
        nbformat.write(notebook, NOTEBOOKS / f"{source.stem}.ipynb")
        for name, png in figures(notebook).items():
            (NOTEBOOKS / "figures").mkdir(exist_ok=True)
            (NOTEBOOKS / "figures" / f"{name}.png").write_bytes(png)
    if not rows:
        sys.exit(f"no lesson begins with {' or '.join(prefixes)}")
    _print_table(rows)


def figures(notebook):
    """The stored figures of cells tagged ``figure-NAME``: a dict of NAME to PNG bytes."""
    found = {}
    for cell in notebook.cells:
        for tag in cell.metadata.get("tags", []):
            if tag.startswith("figure-"):
                images = [
                    o.data["image/png"] for o in cell.outputs if "image/png" in o.get("data", {})
                ]
                found[tag.removeprefix("figure-")] = base64.b64decode(images[0])
    return found


def _reporter(title):
    """A function that shows progress on one line, rewritten on a terminal."""

    def report(text, last=False):
        if sys.stdout.isatty():
            print(f"\r\033[K{title}  {text}", end="\n" if last else "", flush=True)
        elif last:
            print(f"{title}  {text}", flush=True)

    return report


def _write_index(paths, rows, failures):
    measured = {row[0]: row[1:] for row in rows}
    items = []
    for path in paths:
        title = nbformat.read(path, as_version=4).cells[0].source.partition("\n")[0].lstrip("# ")
        note = "failed" if path.stem in failures else "{} s, {} MB, {}".format(*measured[path.stem])
        items.append(f'<li><a href="{path.stem}.html">{html.escape(title)}</a> ({note})</li>')
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>The course</title>'
        "<style>body {font-family: sans-serif; max-width: 40em; margin: 3em auto; line-height: 2}"
        "</style>"
        f"<h1>Convolutional autoencoders, measured</h1><ul>{''.join(items)}</ul></html>"
    )
    (BUILD / "index.html").write_text(page, encoding="utf-8")
    print(f"pages: {(BUILD / 'index.html').relative_to(ROOT)}")


def _print_table(rows):
    total = sum(int(row[1]) for row in rows)
    print(f"\n{'notebook':<24}{'seconds':>8}{'peak MB':>9}  data tier")
    for stem, seconds, peak, tier in rows:
        print(f"{stem:<24}{seconds:>8}{peak:>9}  {tier}")
    print(f"{'all':<24}{total:>8}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["run"]:
            sys.exit(run() > 0)
        case ["execute", *prefixes]:
            execute_in_place(prefixes)
        case _:
            sys.exit(__doc__)
