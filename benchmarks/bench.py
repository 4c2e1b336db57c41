"""Measure what the course claims: `make bench`, an hour and more on two quiet cores.

python benchmarks/bench.py [ablation] [code_sizes] [speed]   measure all, or only these
QUICK=1 python benchmarks/bench.py                           two minutes: does everything run?
python benchmarks/bench.py table                             print the table, write it to README.md

Results are stored in benchmarks/results/, one CSV each, when a part is complete, and README shows
them; those of a quick run are stored in build/, and they say nothing about the course.
"""

import os
import platform
import re
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import sklearn
import torch
from contests import speed
from recipes import RIVALS
from studies import ablation, code_sizes

from convae_lib import load_mnist

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PARTS = {"ablation": ablation, "code_sizes": code_sizes, "speed": speed}
README = ROOT / "README.md"
MARKS = ("<!-- written by make bench -->", "<!-- end -->")
NAMES = {  # rows of the studies that README shows, in its words
    "PCA-28": "PCA-28",
    "the lesson's recipe": "the source lesson's network and recipe, 1 epoch",
    "14 epochs": "`ResidualAutoencoder`, 14 epochs",
}
WORDS = {  # results in speed.csv, in README's words
    "test_error": "test error {:.4f}",
    "trustworthiness": "trustworthiness {:.3f}",
    "knn_accuracy": "kNN {:.3f}",
    "peak_mb": "{:,.0f} MB more at the peak",
}
CIRCUMSTANCES = ("machine", "torch", "scikit-learn", "date")
VALIDATION = 5000  # the last images of the training set, kept for choosing


@dataclass(frozen=True)
class Images:
    """What is trained on, chosen on and tested on: (N, 1, 28, 28) each, in [-1, 1]."""

    train: torch.Tensor
    validation: torch.Tensor
    test: torch.Tensor
    test_labels: torch.Tensor


def load(quick):
    data = load_mnist()
    if quick:
        images = data.train_images[:2000], data.train_images[2000:3000], data.test_images[:1000]
        return Images(*images, data.test_labels[:1000])
    if data.source != "mnist":
        sys.exit("The benchmarks need all of MNIST, which was not found (see above).")
    images = data.train_images[:-VALIDATION], data.train_images[-VALIDATION:], data.test_images
    return Images(*images, data.test_labels)


def circumstances():
    """Where and when: stored beside every measurement."""
    machine = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        names = re.findall(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
        machine = names[0] if names else machine
    threads = f"{machine}, {torch.get_num_threads()} threads"
    date = datetime.now(UTC).date().isoformat()
    values = (threads, torch.__version__, sklearn.__version__, date)
    return dict(zip(CIRCUMSTANCES, values, strict=True))


def measure(part, quick):
    """Run one part; store its rows once it is complete, and return where."""
    images, seeds = load(quick), range(1 if quick else 3)
    rows = []
    for row in PARTS[part](images, seeds, quick, report=lambda text: print(f"{part}: {text}")):
        rows.append(row | circumstances())
        print("    " + ", ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    path = (ROOT / "build" if quick else RESULTS) / f"{part}.csv"
    path.parent.mkdir(exist_ok=True)
    pd.DataFrame(rows).to_csv(path, index=False, float_format="%.6g")
    return path


def table(folder=RESULTS):
    """The stored results as Markdown: what README shows."""
    lines = ["| model | parameters | seconds of training | test error |", "|---|---|---|---|"]
    studies = pd.read_csv(folder / "ablation.csv")
    names = NAMES | {rival: rival for rival in RIVALS}
    for name, rows in studies[studies["name"].isin(names)].groupby("name", sort=False):
        error = f"{rows.test_error.mean():.4f}"
        if len(rows) > 1:
            error += f" ± {rows.test_error.std():.5f}"
        parameters = rows.parameters.iloc[0]
        lines.append(f"| {names[name]} | {parameters:,} | {rows.seconds.median():.3g} | {error} |")
    lines += ["", _footer(studies, "means ± standard deviation of errors, medians of seconds")]

    lines += ["", "| comparison | contender | seconds | times as fast | result |", "|---" * 5 + "|"]
    contests = pd.read_csv(folder / "speed.csv")
    for comparison, contenders in contests.groupby("comparison", sort=False):
        first = None
        for contender, rows in contenders.groupby("contender", sort=False):
            low, median, high = rows.seconds.min(), rows.seconds.median(), rows.seconds.max()
            first = first or median
            cells = [
                comparison,
                contender,
                f"{median:.2f} ({low:.2f}–{high:.2f})",
                f"{first / median:.1f}",
                _result(rows),
            ]
            lines.append(f"| {' | '.join(cells)} |")

    lines += ["", _footer(contests, "medians (range) of seconds, means of results")]
    return "\n".join(lines)


def _footer(rows, statistics):
    where = [*CIRCUMSTANCES]
    runs = "; ".join(
        f"{machine}, torch {version}, scikit-learn {sklearn_version}, {date}"
        for machine, version, sklearn_version, date in rows[where].drop_duplicates().to_numpy()
    )
    return f"Seeds {', '.join(map(str, sorted(set(rows['seed']))))}: {statistics}. {runs}."


def _result(rows):
    means = rows[list(WORDS)].mean().dropna()
    return ", ".join(WORDS[column].format(value) for column, value in means.items())


def write_table():
    text = README.read_text(encoding="utf-8")
    start, rest = text.split(MARKS[0])
    _, end = rest.split(MARKS[1])
    README.write_text(f"{start}{MARKS[0]}\n{table()}\n{MARKS[1]}{end}", encoding="utf-8")


def main(arguments):
    quick = os.environ.get("QUICK", "") not in ("", "0")
    if arguments == ["table"]:
        print(table())
        return write_table()
    if not set(arguments) <= set(PARTS):
        sys.exit(__doc__)
    for part in arguments or PARTS:
        path = measure(part, quick)
        print(f"{part}: stored in {path.relative_to(ROOT)}")
    if quick:
        print("A quick run: everything works, and the numbers say nothing about the course.")
    else:
        write_table()
    if not arguments:
        print(table(path.parent))


if __name__ == "__main__":
    main(sys.argv[1:])
