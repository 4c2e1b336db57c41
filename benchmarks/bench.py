"""Measure what the course claims: `make bench`, three and a half hours on two quiet cores.

python benchmarks/bench.py [PART …]      measure all, or only these: tuning, ablation, bottleneck,
                                         code_sizes, probes, pace, denoising, anomalies, weights,
                                         drawing, processors, speed
QUICK=1 python benchmarks/bench.py       two minutes: does everything run?
python benchmarks/bench.py table         write README.md from the results

Each finished row is kept in build/bench, where the same command goes on after a kill; delete that
folder to start afresh. When all is measured, the rows move to benchmarks/results.
"""

import json
import os
import platform
import re
import sys
from collections import namedtuple
from datetime import UTC, datetime
from functools import partial
from inspect import cleandoc
from itertools import product
from pathlib import Path

import drawing
import evaluation
import maps
import pandas as pd
import processors
import sklearn
import studies
import torch
import training
import uses
from recipes import TUNED
from studies import CODE_SIZES, DESCRIPTIONS, NETWORKS, RECIPES, STEPS, STUDIES

from convae_lib import load_mnist

HERE = Path(__file__).parent
README, RESULTS, BUILD = HERE / "README.md", HERE / "results", HERE.parent / "build" / "bench"
SCRIPTS = {"training": training, "evaluation": evaluation, "maps": maps}
CIRCUMSTANCES = ["machine", "torch", "scikit-learn", "date"]
Images = namedtuple(  # (N, 1, 28, 28), in [-1, 1], and (N,)
    "Images", "train validation test train_labels validation_labels test_labels"
)
INTRODUCTION = """# Results

Medians over seeds 0, 1 and 2, with the range where they differ. Contenders take turns, and *times
convae_lib's* divides the seconds of one and the same turn."""
KEYS = {  # of the parts but speed, and what a line of their tables is about
    "tuning": ["name", "epochs", "steps", "lr", "weight_decay"],
    "ablation": ["name"],
    "bottleneck": ["network", "steps"],
    "code_sizes": ["code_size"],
    "probes": ["description", "of"],
    "pace": ["name"],
    "denoising": ["learned_from"],
    "anomalies": ["digit"],
    "weights": ["weight"],
    "drawing": ["name"],
    "processors": ["device", "name"],
}
PARTS = {
    part: (vars(studies) | vars(uses) | vars(drawing) | vars(processors))[part] for part in KEYS
}
PARTS["speed"] = lambda images, comparison, **case: SCRIPTS[comparison].measure(images, **case)
CASES = {  # what distinguishes a part's rows; each is measured with every seed, if it names none
    "tuning": [
        {"name": name, "seed": 0} | dict(zip(options, values, strict=True))
        for name, options in TUNED.items()
        for values in product(*options.values())
    ],
    "ablation": [{"study": "baseline", "name": "PCA-28", "seed": 0}]
    + [{"study": study, "name": name} for study in STUDIES for name in STUDIES[study]],
    "bottleneck": [{"network": network, "steps": steps} for network in NETWORKS for steps in STEPS],
    "code_sizes": [{"code_size": size} for size in CODE_SIZES],
    "probes": [{"description": d, "of": of} for d in DESCRIPTIONS for of in ("codes", "map")],
    "pace": [{"name": name} for name in RECIPES],
    "denoising": [{"learned_from": name} for name in uses.LEARNED],
    "anomalies": [{"digit": digit} for digit in range(10)],
    "weights": [{"weight": weight} for weight in drawing.WEIGHTS],
    "drawing": [{"name": name} for name in drawing.CONTENDERS],
    "processors": [{"name": name} for name in processors.WAYS],
    "speed": [{"comparison": c, "contender": n} for c in SCRIPTS for n in SCRIPTS[c].CONTENDERS],
}


def load(quick):
    data = load_mnist()
    if data.source != "mnist" and not quick:
        sys.exit("The benchmarks need all of MNIST, which was not found (see above).")
    few, test = slice(1200 if quick else None), slice(500 if quick else None)
    images, labels = data.train_images[few], data.train_labels[few]
    kept = -(len(images) // 12)  # for choosing: the last 5,000 of MNIST's 60,000
    parts = images[:kept], images[kept:], data.test_images[test]
    return Images(*parts, labels[:kept], labels[kept:], data.test_labels[test])


def circumstances():
    """Where and when: stored beside every measurement."""
    cpus = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.+)", cpus.read_text() if cpus.exists() else "")
    machine = f"{found[1] if found else platform.machine()}, {torch.get_num_threads()} threads"
    values = (machine, torch.__version__, sklearn.__version__, f"{datetime.now(UTC):%Y-%m-%d}")
    return dict(zip(CIRCUMSTANCES, values, strict=True))


def run(measure, cases, seeds, path):
    """Return the rows of all cases and seeds, measuring those that ``path`` does not keep yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        file.seek(0)
        whole = [line for line in file if line.endswith(b"\n")]  # a kill may cut the last one
        file.truncate(sum(map(len, whole)))
        rows = [json.loads(line) for line in whole]
        keys = [{"seed": seed} | case for seed in seeds for case in cases[:: (-1) ** seed]]
        for key in keys:
            if not any(key.items() <= row.items() for row in rows):
                print(path.stem, *key.values(), sep=", ", flush=True)
                rows.append(key | measure(**key) | circumstances())
                file.write(json.dumps(rows[-1]).encode() + b"\n")
                file.flush()
    found = (next(i for i, row in enumerate(rows) if key.items() <= row.items()) for key in keys)
    return pd.DataFrame(rows[i] for i in dict.fromkeys(found))


def table(rows, key):
    """Markdown: medians for each value of ``key``, with the range where seeds differ."""
    where = "{}, torch {}, scikit-learn {}, {}".format
    runs = dict.fromkeys(where(*run) for run in rows[CIRCUMSTANCES].to_numpy())
    rows = rows.drop(columns=["study", "comparison", "seed", *CIRCUMSTANCES], errors="ignore")
    rows = rows.dropna(axis="columns", how="all")
    cells = rows.groupby(key, sort=False, dropna=False).agg(cell).reset_index()
    cells[key] = cells[key].map(lambda value: value if isinstance(value, str) else f"{value:g}")
    lines = [cells.columns, ["---"] * len(cells.columns), *cells.replace("nan", "–").to_numpy()]
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), "", *runs])


def cell(values):
    form = ",.0f" if values.max() >= 100 else "#.3g"
    low, median, high = (format(value, form) for value in values.quantile([0, 0.5, 1]))
    return median if low == high else f"{median} ({low}–{high})"


def tables(folder):
    """All results as Markdown."""
    texts = [INTRODUCTION]
    for part, key in KEYS.items():
        texts += [cleandoc(PARTS[part].__doc__), table(pd.read_csv(folder / f"{part}.csv"), key)]
    for comparison, rows in pd.read_csv(folder / "speed.csv").groupby("comparison", sort=False):
        ours = rows[rows["contender"] == "convae_lib"].set_index("seed")["seconds"]
        rows.insert(4, "times convae_lib's", rows["seconds"] / rows["seed"].map(ours))
        texts += [SCRIPTS[comparison].__doc__.strip(), table(rows, ["contender"])]
    return "\n\n".join(texts) + "\n"


def main(arguments):
    if arguments == ["table"]:
        return README.write_text(tables(RESULTS), encoding="utf-8")
    if not set(arguments) <= set(PARTS):
        sys.exit(__doc__)
    quick = os.environ.get("QUICK", "") not in ("", "0")
    build, results = (BUILD / "quick", BUILD / "quick") if quick else (BUILD, RESULTS)
    images, seeds, frames = load(quick), range(1 if quick else 3), {}
    for part in arguments or PARTS:
        measure = partial(PARTS[part], images)
        frames[part] = run(measure, CASES[part], seeds, build / f"{part}.jsonl")
    for part, frame in frames.items():
        frame.to_csv(build / f"{part}.csv", index=False, float_format="%.6g")
        (build / f"{part}.csv").replace(results / f"{part}.csv")
        (build / f"{part}.jsonl").unlink()
    if not quick:
        README.write_text(tables(results), encoding="utf-8")
    elif not arguments:
        print(tables(results), "Quick numbers say nothing about the course.")


if __name__ == "__main__":
    main(sys.argv[1:])
