"""Settings for every pytest run, of tests and of notebooks alike."""

import os
from pathlib import Path

import pytest

os.environ["TQDM_DISABLE"] = "1"  # progress bars are no output to compare; read at import
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # idle threads sleep, as in the Makefile


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads its options
def pytest_cmdline_main(config):
    """All tests of the library share two processes; a single file, or a notebook, has one."""
    whole = [Path(name).resolve() for name in config.args] == [Path(__file__).parent / "tests"]
    if whole and "PYTEST_XDIST_WORKER" not in os.environ:  # a worker has none of its own
        config.option.numprocesses = config.option.numprocesses or 2
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # a core for each


def pytest_collection_finish(session):
    """Before the first kernel starts, settle which MNIST all of them read."""
    if any(item.path.suffix == ".ipynb" for item in session.items):
        import tier

        tier.settle()
