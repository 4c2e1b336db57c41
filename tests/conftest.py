import importlib.util
import os
import shutil
import warnings
from pathlib import Path

import matplotlib
import pytest
import torch
from _common import settle_data
from hypothesis import settings

from convae_lib import load_mnist

matplotlib.use("Agg")
settings.register_profile("course", deadline=None, max_examples=25, derandomize=True)
settings.load_profile("course")


@pytest.fixture(autouse=True)
def same_random_numbers():
    """Every test starts from the same state of torch's global generator."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def data():
    """Full MNIST where this machine has it, else the offline subset."""
    settle_data()
    return load_mnist()


@pytest.fixture(scope="session")
def offline_data():
    """The offline subset, on every machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONVAE_OFFLINE", "1")
        return load_mnist()


def missing(what):
    """Skip a test that needs something not installed here; fail it in CI, which must install it."""
    if os.environ.get("CI", "").lower() in ("", "0", "false"):
        pytest.skip(what)
    pytest.fail(f"CI must not skip this test: {what}")


@pytest.fixture(scope="session")
def require():
    """A function that imports a module which only some tests need."""

    def require_module(name, extra):
        package = name.partition(".")[0]
        if importlib.util.find_spec(package) is None:
            missing(f'{package} is missing: pip install -e ".[{extra}]"')
        with warnings.catch_warnings(action="ignore"):  # of its own imports
            return importlib.import_module(name)

    return require_module


@pytest.fixture(scope="session")
def node():
    """The path of Node.js, which runs the pages' scripts without a browser."""
    return shutil.which("node") or missing("node is missing: apt-get install nodejs")


@pytest.fixture(scope="module")  # while Playwright runs, so does its event loop
def chromium(require):
    """A running Chromium: Playwright's own where it is installed, else the system's."""
    playwright = require("playwright.sync_api", "test")
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    with playwright.sync_playwright() as started:
        own = started.chromium.executable_path
        candidates = [own if Path(own).exists() else None, *map(shutil.which, names)]
        path = next(filter(None, candidates), None)
        if path is None:
            missing("Chromium is missing: playwright install chromium, or apt-get install chromium")
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = started.chromium.launch(executable_path=path, args=options)
        yield browser
        browser.close()


def pytest_itemcollected(item):
    """A warning fails a test of the library; what Jupyter warns of in a notebook does not."""
    # Sockets of the tests' servers may be collected late, in any test.
    item.add_marker(pytest.mark.filterwarnings("error", "ignore:unclosed <socket:ResourceWarning"))
