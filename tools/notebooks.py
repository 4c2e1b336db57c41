"""Execute the lessons of the course in the current folder.

python tools/notebooks.py run              every notebook into build/, the site of them, and a table
python tools/notebooks.py execute [NN …]   paired/*.py into notebooks/*.ipynb, outputs stored

`run` is what a reader calls (`make run`); `execute` is for authors (`make execute`): a notebook's
text is in notebooks/paired/, and its outputs come from one clean run of it.
"""

import base64
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import jupytext
import nbformat
from _common import (
    lessons,
    read_notebook,
    report_strays,
    settle_data,
    settle_environment,
    write_whole,
)
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

NOTEBOOKS = Path.cwd() / "notebooks"
BUILD = Path.cwd() / "build"
FAILURES = (CellExecutionError, CellTimeoutError, DeadKernelError)

# As `make site` builds it, but from the notebooks in build/.
SITE = "-qWEc docs -d build/doctrees -D executed=build . build/site"

# Run in each kernel after the last cell: its peak memory, where known, and the data set it used.
PROBE = """
import json, re, sys
if sys.platform == "linux":  # ru_maxrss would include the process that started the kernel
    with open("/proc/self/status") as status:
        match = re.search(r"VmHWM:\\s+(\\d+)", status.read())
    peak = 1024 * int(match[1]) if match else None
elif sys.platform == "win32":
    import psutil
    peak = psutil.Process().memory_info().peak_wset
else:
    import resource
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([peak, getattr(globals().get("data"), "source", "none")]))
"""


def execute(notebook, title):
    """Execute a notebook in place in a new kernel.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        Its cells get their outputs, also if one of them fails.
    title : str
        Name for the progress line.

    Returns
    -------
    tuple of str
        Seconds, peak memory in MB and data set: a row of the table.

    Raises
    ------
    CellExecutionError, CellTimeoutError, DeadKernelError
        With a note that says which cell failed.
    """
    n_cells = sum(cell.cell_type == "code" for cell in notebook.cells)
    n_done = 0

    def on_cell_complete(cell, cell_index):
        nonlocal n_done
        if cell.cell_type == "code":
            n_done += 1
            _report(title, f"cell {n_done}/{n_cells}")

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
        client.km.cleanup_connection_file()  # the kernel has read it; a kill would leave it behind
        for index, cell in enumerate(notebook.cells):
            try:
                client.execute_cell(cell, index)
            except FAILURES as error:
                error.add_note(f"cell {index} (counted from 0, text cells included)")
                _report(title, "FAILED", last=True)
                raise
        seconds = f"{time.perf_counter() - start:.0f}"
        peak, source = _probe(client)
    _report(title, f"{seconds} s, peak {peak} MB", last=True)
    return seconds, peak, source


def _probe(client):
    """Return the peak memory in MB and the data set; a dash for what the kernel cannot tell."""
    probe = nbformat.v4.new_code_cell(PROBE)
    client.nb.cells.append(probe)
    try:
        client.execute_cell(probe, len(client.nb.cells) - 1, store_history=False)
        peak, source = json.loads(probe.outputs[0].text)
    except Exception:  # the lesson itself ran well, so this is no failure of it
        return "–", "–"
    finally:
        client.nb.cells.pop()
    return f"{peak / 1e6:,.0f}" if peak else "–", source


def run():
    """Execute every notebook into build/ and build the site; return how many parts failed."""
    BUILD.mkdir(exist_ok=True)
    paths = lessons(NOTEBOOKS)
    report_strays(NOTEBOOKS)
    rows = {}
    for number, path in enumerate(paths, start=1):
        try:
            notebook = read_notebook(path)
        except ValueError as error:
            print(error, file=sys.stderr)
            continue
        try:
            rows[path.stem] = execute(notebook, f"[{number}/{len(paths)}] {path.stem}")
        except FAILURES as error:
            print(f"{path.name}, {error.__notes__[-1]}:\n{error}", file=sys.stderr)
        write_whole(BUILD / path.name, nbformat.writes(notebook) + "\n")
    failed = [path.stem for path in paths if path.stem not in rows]
    shutil.rmtree(BUILD / "site", ignore_errors=True)
    if subprocess.run([sys.executable, "-m", "sphinx", *SITE.split()]).returncode:
        failed.append("the site")
    else:
        print("the site: build/site/index.html")
    _print_table(rows)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return len(failed)


def execute_in_place(prefixes):
    """Execute notebooks/paired/*.py and store them, with outputs, as notebooks/*.ipynb."""
    rows = {}
    report_strays(NOTEBOOKS / "paired", "*.py")
    for source in lessons(NOTEBOOKS / "paired", "*.py"):
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
            if "hide-input" in cell.metadata.get("tags", []):
                cell.metadata["jupyter"] = {"source_hidden": True}  # folded in JupyterLab
        rows[source.stem] = execute(notebook, source.stem)
        pictures = figures(notebook)
        write_whole(NOTEBOOKS / f"{source.stem}.ipynb", nbformat.writes(notebook) + "\n")
        for name, png in pictures.items():
            (NOTEBOOKS / "figures").mkdir(exist_ok=True)
            write_whole(NOTEBOOKS / "figures" / f"{name}.png", png)
    if not rows:
        sys.exit(f"no lesson begins with {' or '.join(prefixes)}")
    _print_table(rows)


def figures(notebook):
    """Return the stored figures of cells tagged ``figure-NAME``: a dict of NAME to PNG bytes."""
    pictures = {}
    for index, cell in enumerate(notebook.cells):
        for tag in cell.metadata.get("tags", []):
            if not tag.startswith("figure-"):
                continue
            images = [o.data["image/png"] for o in cell.outputs if "image/png" in o.get("data", {})]
            if not images:
                raise ValueError(f"cell {index} is tagged {tag}, but its output has no PNG image")
            pictures[tag.removeprefix("figure-")] = base64.b64decode(images[0])
    return pictures


def _report(title, text, last=False):
    """Show progress on one line, rewritten on a terminal."""
    if sys.stdout.isatty():
        print(f"\r\033[K{title}  {text}", end="\n" if last else "", flush=True)
    elif last:
        print(f"{title}  {text}", flush=True)


def _print_table(rows):
    print(f"\n{'notebook':<28}{'seconds':>8}{'peak MB':>9}  data")
    for stem, (seconds, peak, source) in rows.items():
        print(f"{stem:<28}{seconds:>8}{peak:>9}  {source}")
    print(f"{'all':<28}{sum(int(row[0]) for row in rows.values()):>8}")


if __name__ == "__main__":
    if sys.argv[1:] != ["run"] and sys.argv[1:2] != ["execute"]:
        sys.exit(__doc__)
    settle_environment()
    settle_data()
    os.environ["TQDM_DISABLE"] = "1"  # for the kernels, after the progress bar of the download
    if sys.argv[1] == "run":
        sys.exit(run() > 0)
    execute_in_place(sys.argv[2:])
