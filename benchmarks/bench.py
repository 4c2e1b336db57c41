"""Measure what the course claims: `make bench`, three and a half hours on two quiet cores.

python benchmarks/bench.py [PART ...]    measure all parts, or only these: tuning, ablation,
                                         bottleneck, code_sizes, probes, pace, denoising,
                                         anomalies, weights, drawing, processors, speed, overhead,
                                         imports
QUICK=1 python benchmarks/bench.py       check in two minutes that everything runs
python benchmarks/bench.py table         write README.md from the stored results

Every finished row is written to build/bench, and the same command continues from there after it was
stopped; delete that folder to start again. When all rows of the parts are measured, they move to
benchmarks/results.
"""

import json
import math
import os
import platform
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from inspect import getdoc
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

sys.path.append(str(Path(__file__).parents[1] / "tools"))  # recipes.py, as `make weights` uses it

import ablation
import anomalies
import denoising
import generation
import import_time
import overhead
import pandas as pd
import probing
import single_processor
import sklearn
import speed_evaluation
import speed_training
import speed_tsne
import torch
from recipes import TUNED
from torch import Tensor

from convae_lib import load_mnist

HERE = Path(__file__).parent
README = HERE / "README.md"
RESULTS = HERE / "results"
BUILD = HERE.parent / "build" / "bench"
ENVIRONMENT = ["machine", "torch", "scikit-learn", "date"]  # columns of every measurement
INTRODUCTION = """# Results

Medians over seeds 0, 1 and 2, with the range where they differ. Contenders take turns, and *times
convae_lib's* divides the seconds of runs of the same turn."""


class Images(NamedTuple):
    """MNIST for the benchmarks: images (N, 1, 28, 28) in [-1, 1] and labels (N,)."""

    train: Tensor
    validation: Tensor
    test: Tensor
    train_labels: Tensor
    validation_labels: Tensor
    test_labels: Tensor


class Part(NamedTuple):
    """A table of measurements, and how README.md shows it.

    ``measure(images, seed=seed, **case)`` returns the measured columns of a row as a dict. What
    its docstring says after the summary line is printed above the table.
    """

    title: str
    measure: Callable[..., dict[str, Any]]
    key: list[str]  # the columns that tell the table's lines apart
    cases: list[dict[str, Any]]  # each is measured with every seed, or with its own only


COMPARISONS = {  # the title and the module of each
    "training": ("Speed of the training", speed_training),
    "evaluation": ("Speed and memory of the evaluation", speed_evaluation),
    "maps": ("Speed and quality of t-SNE", speed_tsne),
}


def measure_speed(images, comparison, contender, seed):
    """Measure one contender of a comparison of the library with others."""
    _, module = COMPARISONS[comparison]
    return module.measure(images, contender, seed)


def tuning_cases():
    """List every combination of the values that were tried, for seed 0."""
    cases = []
    for name, options in TUNED.items():
        for values in product(*options.values()):
            setting = dict(zip(options, values, strict=True))
            cases.append({"name": name, "seed": 0} | setting)
    return cases


def ablation_cases():
    """List PCA, which has no seed, and all recipes."""
    cases = [{"study": "baseline", "name": "PCA-28", "seed": 0}]
    for study, recipes in ablation.STUDIES.items():
        cases += [{"study": study, "name": name} for name in recipes]
    return cases


def combinations(**columns):
    """List a case for every combination of the columns' values, the first column varying last."""
    return [dict(zip(columns, values, strict=True)) for values in product(*columns.values())]


PARTS = {
    "tuning": Part(
        "Hyperparameter search",
        ablation.measure_tuning,
        ["name", "epochs", "steps", "lr", "weight_decay"],
        tuning_cases(),
    ),
    "ablation": Part("Ablation study", ablation.measure_ablation, ["name"], ablation_cases()),
    "bottleneck": Part(
        "Latent optimization",
        ablation.measure_bottleneck,
        ["network", "steps"],
        combinations(network=ablation.OPTIMIZED_NETWORKS, steps=ablation.OPTIMIZATION_STEPS),
    ),
    "code_sizes": Part(
        "Latent dimension",
        ablation.measure_code_sizes,
        ["code_size"],
        combinations(code_size=ablation.CODE_SIZES),
    ),
    "probes": Part(
        "Probes",
        probing.measure_probes,
        ["description", "of"],
        combinations(description=probing.DESCRIPTIONS, of=("codes", "map")),
    ),
    "pace": Part(
        "Training time of the recipes",
        ablation.measure_pace,
        ["name"],
        combinations(name=ablation.RECIPES),
    ),
    "denoising": Part(
        "Denoising and inpainting",
        denoising.measure_denoising,
        ["learned_from"],
        combinations(learned_from=denoising.LEARNED_FROM),
    ),
    "anomalies": Part(
        "Anomaly detection", anomalies.measure_anomalies, ["digit"], combinations(digit=range(10))
    ),
    "weights": Part(
        "Weight of the KL divergence",
        generation.measure_weights,
        ["weight"],
        combinations(weight=generation.WEIGHTS),
    ),
    "drawing": Part(
        "Generated images",
        generation.measure_drawing,
        ["name"],
        combinations(name=generation.CONTENDERS),
    ),
    "processors": Part(
        "Mixed precision and compilation",
        single_processor.measure_processors,
        ["device", "name"],
        combinations(name=single_processor.MODES),
    ),
    "speed": Part(
        "Speed",
        measure_speed,
        ["contender"],
        [
            {"comparison": comparison, "contender": contender}
            for comparison, (_, module) in COMPARISONS.items()
            for contender in module.CONTENDERS
        ],
    ),
    "overhead": Part(
        "Overhead of the trainer",
        overhead.measure_overhead,
        ["model"],
        [{"model": "Linear(8, 8), batch of 4, SGD"}],
    ),
    "imports": Part(
        "Import time",
        import_time.measure_imports,
        ["module", *import_time.OPTIONAL_PACKAGES],
        combinations(module=import_time.MODULES),
    ),
}


def load_images(quick):
    """Return MNIST, or some of its images for a quick run."""
    data = load_mnist()
    if data.source != "mnist" and not quick:
        sys.exit("The benchmarks need all of MNIST, which was not found (see above).")
    images, labels = data.train_images, data.train_labels
    test_images, test_labels = data.test_images, data.test_labels
    if quick:
        images, labels = images[:1200], labels[:1200]
        test_images, test_labels = test_images[:500], test_labels[:500]
    n_validation = math.ceil(len(images) / 12)  # the last 5,000 of MNIST's 60,000
    n_train = len(images) - n_validation
    return Images(
        images[:n_train],
        images[n_train:],
        test_images,
        labels[:n_train],
        labels[n_train:],
        test_labels,
    )


def describe_environment():
    """Return where and when a row is measured, as columns of the row."""
    cpuinfo = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.+)", cpuinfo.read_text()) if cpuinfo.exists() else None
    processor = model[1] if model else platform.machine()
    n_threads = torch.get_num_threads()
    return {
        "machine": f"{processor}, {n_threads} thread{'s' if n_threads > 1 else ''}",
        "torch": torch.__version__,
        "scikit-learn": sklearn.__version__,
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
    }


def list_keys(cases, seeds):
    """Return what to measure, in this order: every case with every seed, or with its own only.

    The order of the cases is reversed for every second seed, so that no contender always has the
    first turn.
    """
    keys = []
    for turn, seed in enumerate(seeds):
        in_turn = cases if turn % 2 == 0 else reversed(cases)
        keys += [{"seed": seed} | case for case in in_turn if case.get("seed", seed) == seed]
    return keys


def read_rows(path):
    """Return the rows of a file of JSON lines; cut off a last line that was not finished."""
    if not path.exists():
        return []
    lines = path.read_bytes().splitlines(keepends=True)
    finished = [line for line in lines if line.endswith(b"\n")]
    with path.open("r+b") as file:
        file.truncate(sum(len(line) for line in finished))
    return [json.loads(line) for line in finished]


def find_row(rows, key):
    """Return the first row that has all values of a key, or None."""
    for row in rows:
        if key.items() <= row.items():
            return row
    return None


def run(measure, cases, seeds, path):
    """Return the rows of all cases and seeds, measuring those that are not in the file yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    keys = list_keys(cases, seeds)
    rows = read_rows(path)
    with path.open("a", encoding="utf-8") as file:
        for key in keys:
            if find_row(rows, key) is None:
                print(path.stem, *key.values(), sep=", ", flush=True)
                row = key | measure(**key) | describe_environment()
                rows.append(row)
                file.write(json.dumps(row) + "\n")
                file.flush()
    return pd.DataFrame([find_row(rows, key) for key in keys])


def format_cell(values):
    """Return the median of a column's values as text, with the range where they differ."""
    form = ",.0f" if values.max() >= 100 else "#.3g"
    low, median, high = [format(value, form) for value in values.quantile([0, 0.5, 1])]
    if low == high:
        return median
    return f"{median} ({low}–{high})"


def format_table(rows, key):
    """Return a Markdown table with a line for each value of ``key``, and where it was measured."""
    environments = []
    for machine, torch_version, sklearn_version, date in rows[ENVIRONMENT].to_numpy():
        line = f"{machine}, torch {torch_version}, scikit-learn {sklearn_version}, {date}"
        if line not in environments:
            environments.append(line)
    rows = rows.drop(columns=["study", "comparison", "seed", *ENVIRONMENT], errors="ignore")
    rows = rows.dropna(axis="columns", how="all")
    cells = rows.groupby(key, sort=False, dropna=False).agg(format_cell).reset_index()
    cells[key] = cells[key].map(lambda value: value if isinstance(value, str) else f"{value:g}")
    cells = cells.replace("nan", "–")
    lines = [list(cells.columns), ["---"] * len(cells.columns), *cells.to_numpy().tolist()]
    table = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([*table, "", *environments])


def format_section(title, measure, table):
    """Return a section of README.md, with the text of the measuring function's docstring."""
    _, _, text = getdoc(measure).partition("\n\n")
    return f"## {title}\n\n{text}\n\n{table}"


def compare_with_ours(rows):
    """Return rows of one comparison with their seconds divided by the library's for each seed."""
    ours = rows[rows["contender"] == "convae_lib"].set_index("seed")["seconds"]
    rows = rows.copy()
    rows.insert(4, "times convae_lib's", rows["seconds"] / rows["seed"].map(ours))
    return rows


def format_results(folder):
    """Return README.md's text for the results in a folder."""
    sections = [INTRODUCTION]
    for name, part in PARTS.items():
        results = pd.read_csv(folder / f"{name}.csv")
        if name == "speed":
            for comparison, (title, module) in COMPARISONS.items():
                rows = compare_with_ours(results[results["comparison"] == comparison])
                sections.append(format_section(title, module.measure, format_table(rows, part.key)))
        else:
            sections.append(
                format_section(part.title, part.measure, format_table(results, part.key))
            )
    return "\n\n".join(sections) + "\n"


def measure_parts(names, quick):
    """Measure parts and store their results; all results of a quick run are printed instead."""
    build = BUILD / "quick" if quick else BUILD
    results = build if quick else RESULTS
    seeds = range(1) if quick else range(3)
    images = load_images(quick)
    frames = {}
    for name in names:
        measure = partial(PARTS[name].measure, images)
        frames[name] = run(measure, PARTS[name].cases, seeds, build / f"{name}.jsonl")
    for name, frame in frames.items():
        frame.to_csv(build / f"{name}.csv", index=False, float_format="%.6g")
        (build / f"{name}.csv").replace(results / f"{name}.csv")
        (build / f"{name}.jsonl").unlink()
    if not quick:
        README.write_text(format_results(results), encoding="utf-8")
    elif len(names) == len(PARTS):
        print(format_results(results))
        print("The numbers of a quick run say nothing about the course.")


def main(arguments):
    """Run the command line: see the text at the top of the file."""
    if arguments == ["table"]:
        README.write_text(format_results(RESULTS), encoding="utf-8")
    elif set(arguments) <= set(PARTS):
        quick = os.environ.get("QUICK", "") not in ("", "0")
        measure_parts(arguments or list(PARTS), quick)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
