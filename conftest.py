"""Settings for every pytest run, of tests and of notebooks alike."""

import os

os.environ["TQDM_DISABLE"] = "1"  # progress bars are no output to compare; read at import
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # idle threads sleep, as in the Makefile


def pytest_collection_finish(session):
    """Before the first kernel starts, settle which MNIST all of them read."""
    if any(item.path.suffix == ".ipynb" for item in session.items):
        import tier

        tier.settle()
