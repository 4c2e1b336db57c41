"""Settings for every pytest run, of tests and of notebooks alike."""

import os
from pathlib import Path

import pytest
from _common import is_lesson, settle_data, settle_environment, strays

NOTEBOOKS = Path(__file__).parent / "notebooks"

os.environ["TQDM_DISABLE"] = "1"  # progress bars are no output to compare; read at import
settle_environment()


def executes_notebooks(config):
    """Tell whether pytest was asked to execute notebooks, with ``--nbval``."""
    return any(config.getoption(name, False) for name in ("nbval", "nbval_lax"))


def pytest_sessionstart(session):
    """Settle which data set all kernels read, before the first of them starts."""
    is_worker = hasattr(session.config, "workerinput")  # of pytest-xdist: it inherits the answer
    if executes_notebooks(session.config) and not is_worker:
        settle_data()


def pytest_ignore_collect(collection_path, config):
    """Skip a reader's own notebooks among the lessons, unless the command names them."""
    if collection_path.suffix != ".ipynb" or collection_path.parent != NOTEBOOKS:
        return None
    folder = config.invocation_params.dir
    named = [(folder / name.partition("::")[0]).resolve() for name in config.args]
    is_skipped = not is_lesson(collection_path) and collection_path.resolve() not in named
    return True if is_skipped else None


def pytest_terminal_summary(terminalreporter, config):
    """Say which notebooks were skipped."""
    if executes_notebooks(config):
        for line in strays(NOTEBOOKS):
            terminalreporter.write_line(line)


@pytest.hookimpl(optionalhook=True)  # there is no such hook without pytest-xdist
def pytest_xdist_make_scheduler(config, log):
    """Keep the cells of a notebook in one process: they share a kernel and must run in order."""
    if executes_notebooks(config) and config.getoption("dist") == "load":
        from xdist.scheduler import LoadFileScheduling

        return LoadFileScheduling(config, log)
    return None
