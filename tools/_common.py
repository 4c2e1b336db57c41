"""What the tools, the tests and the site share: settings, the list of lessons, whole files."""

import importlib.util
import os
import re
import sys
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[1]


def settle_environment():
    """Keep a reader's personal settings away from this process and the kernels that it starts.

    Figures, printed sizes and formats must be the same for everyone, whatever backend,
    ``matplotlibrc``, IPython profile or start-up file somebody uses elsewhere.
    """
    os.environ.pop("MPLBACKEND", None)  # in a kernel, figures then go into the notebook
    os.environ.pop("PYTHONSTARTUP", None)  # a kernel would run it
    matplotlib = importlib.util.find_spec("matplotlib")
    if matplotlib is not None:
        defaults = Path(matplotlib.origin).parent / "mpl-data" / "matplotlibrc"
        os.environ["MATPLOTLIBRC"] = str(defaults)
    profiles = ROOT / "build" / "ipython"  # without any settings
    with suppress(OSError):  # where nothing can be written, IPython takes a temporary folder
        profiles.mkdir(parents=True, exist_ok=True)
    os.environ["IPYTHONDIR"] = str(profiles)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # idle threads sleep, as in the Makefile


def settle_data():
    """Look for MNIST once, so that no kernel looks again for what cannot be reached."""
    if os.environ.get("CONVAE_OFFLINE") == "1":
        return
    from convae_lib import load_mnist  # takes seconds, which most test runs need not wait

    if load_mnist().source != "mnist":
        os.environ["CONVAE_OFFLINE"] = "1"


def is_lesson(path):
    """Tell whether a file is named like a lesson, as ``03_trainer.ipynb`` is."""
    return re.fullmatch(r"\d\d_\w+", path.stem) is not None


def lessons(folder, pattern="*.ipynb"):
    """Return the sorted paths of the lessons in a folder."""
    return sorted(path for path in folder.glob(pattern) if is_lesson(path))


def strays(folder, pattern="*.ipynb"):
    """Return a line of text for each notebook in a folder that is not a lesson."""
    paths = sorted(path for path in folder.glob(pattern) if not is_lesson(path))
    return [
        f"{folder.name}/{path.name} is skipped: it is not named like a lesson, 00_name"
        for path in paths
    ]


def report_strays(folder, pattern="*.ipynb"):
    """Print which notebooks in a folder are skipped."""
    for line in strays(folder, pattern):
        print(line, file=sys.stderr)


def read_notebook(path):
    """Read a notebook; a file that is none is an error which names it."""
    import nbformat

    try:
        return nbformat.read(path, as_version=4)
    except Exception as error:  # an empty file, half a file, conflict markers, …
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{path.name} cannot be read as a notebook: {reason}") from error


def plain_python(source):
    """Return a cell's code with IPython's ``%magic`` and ``!command`` lines as function calls.

    A first line such as ``%%time`` is left out.
    """
    from IPython.core.inputtransformer2 import TransformerManager

    first, _, rest = source.lstrip().partition("\n")
    return TransformerManager().transform_cell(rest if first.startswith("%%") else source)


def write_whole(path, content):
    """Replace a file by a complete one: if the process is killed, the old file is still there."""
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(content if isinstance(content, bytes) else content.encode())
    part.replace(path)
