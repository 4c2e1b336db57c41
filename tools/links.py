"""Stamp the repository's address into every badge, link and first cell.

python tools/links.py [owner/name]

The address is a setting under [project.urls] in pyproject.toml. Without an argument it becomes that
of the git remote `origin`; with none there either, everything stays as it is.
"""

import re
import subprocess
import sys
import tomllib

from _common import ROOT, write_whole

STAMPED = [
    "README.md",
    "CITATION.cff",
    "CONTRIBUTING.md",
    *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("notebooks/*.ipynb")),
    *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("notebooks/paired/*.py")),
    "pyproject.toml",  # last: the old address is read from it, should this be interrupted
]


def current():
    """Return the address in pyproject.toml, as owner/name."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return settings["project"]["urls"]["Repository"].removeprefix("https://github.com/")


def of_remote():
    """Return the address of the git remote `origin`, as owner/name, or None."""
    result = subprocess.run(
        ["git", "remote", "get-url", "origin"], cwd=ROOT, capture_output=True, text=True
    )
    match = re.search(r"github\.com[:/]([\w.-]+/[\w.-]+?)(\.git)?$", result.stdout.strip())
    return match[1] if match else None


def pages(address):
    """Return the address of a repository's site on GitHub Pages."""
    owner, name = address.split("/")
    return f"{owner}.github.io/{name}"


def stamp(old, new):
    """Replace the address in every file; return how many changed."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", new):
        sys.exit(f"The address must look like owner/name, got {new!r}.")
    n_changed = 0
    for name in STAMPED:
        text = (ROOT / name).read_text(encoding="utf-8")
        stamped = text.replace(old, new).replace(pages(old), pages(new))
        if stamped != text:
            write_whole(ROOT / name, stamped)
            n_changed += 1
    return n_changed


if __name__ == "__main__":
    old = current()
    new = sys.argv[1] if len(sys.argv) > 1 else of_remote()
    if new is None:
        sys.exit(
            f"No git remote on github.com; the address stays {old}. Try make links REPO=owner/name"
        )
    print(f"{old} becomes {new}: {stamp(old, new)} files changed")
