"""Stamp the repository's address into every badge, link and first cell.

python tools/links.py [owner/name]

The address stands once as a setting, under [project.urls] in pyproject.toml. Without an argument it
becomes that of the git remote `origin`; with none there either, everything stays as it is.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import whole

ROOT = Path(__file__).parents[1]
STAMPED = [
    "README.md",
    "CITATION.cff",
    "CONTRIBUTING.md",
    *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("notebooks/*.ipynb")),
    *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("notebooks/paired/*.py")),
    "pyproject.toml",  # last: the old address is read from it, should this be interrupted
]


def current():
    """The address in pyproject.toml, as owner/name."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return settings["project"]["urls"]["Repository"].removeprefix("https://github.com/")


def of_remote():
    """The address of the git remote `origin`, as owner/name, or None."""
    result = subprocess.run(
        ["git", "remote", "get-url", "origin"], cwd=ROOT, capture_output=True, text=True
    )
    found = re.search(r"github\.com[:/]([\w.-]+/[\w.-]+?)(\.git)?$", result.stdout.strip())
    return found and found[1]


def stamp(old, new):
    """Replace the address in every file; return how many changed."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", new):
        sys.exit(f"The address must look like owner/name, got {new!r}.")
    changed = 0
    for name in STAMPED:
        text = (ROOT / name).read_text(encoding="utf-8")
        if old in text and old != new:
            whole.write(ROOT / name, text.replace(old, new))
            changed += 1
    return changed


if __name__ == "__main__":
    old = current()
    new = sys.argv[1] if len(sys.argv) > 1 else of_remote()
    if new is None:
        sys.exit(
            f"No git remote on github.com; the address stays {old}. Try make links REPO=owner/name"
        )
    print(f"{old} becomes {new}: {stamp(old, new)} files changed")
