"""One training in two real processes, under torchrun, held to the same training in one."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import together
import torch
from torch import distributed

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or not distributed.is_available(), reason="gloo, as torchrun starts it"
)


def torchrun(*arguments):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    script, environment = Path(together.__file__), os.environ | {"OMP_NUM_THREADS": "1"}
    command += map(str, [script, *arguments])
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of which a process dies, and then one that ends, beside the files of one process."""
    folder = tmp_path_factory.mktemp("together")
    together.fit(together.trainer_of(), 2, checkpoint=folder / "one.pt")
    start = time.monotonic()
    dead = torchrun(folder, "killed")
    dead.seconds, dead.wrote = time.monotonic() - start, sorted(p.name for p in folder.iterdir())
    whole = torchrun(folder, "everything")
    assert whole.returncode == 0, whole.stderr
    found = [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in (0, 1)]
    return folder, dead, whole, found


@pytest.fixture(scope="module")
def expected():
    """What one process comes to."""
    return together.fit(together.trainer_of())


def close(one, other):
    """Whether two trainings differ by no more than rounding."""
    torch.testing.assert_close(one[2], other[2], rtol=0, atol=1e-12)
    assert one[1] == pytest.approx(other[1], rel=1e-10)
    assert len(one[0]) == len(other[0])
    for row, its in zip(one[0], other[0], strict=True):
        assert row == pytest.approx(its, rel=1e-10)


def same(one, other):
    """Whether two trainings are the same to the bit."""
    assert one[:2] == other[:2] and one[2].keys() == other[2].keys()
    assert all(torch.equal(one[2][name], other[2][name]) for name in one[2])


@pytest.mark.parametrize("case", ["plain", "killed.pt", "one.pt"])
def test_two_processes_train_as_one_does_also_from_its_file_or_that_of_a_dead_run(
    case, run, expected
):
    _, _, _, (first, second) = run
    same(first[case], second[case])
    close(first[case], expected)


def test_one_process_goes_on_where_two_have_ended(run, expected):
    close(together.fit(together.trainer_of(), checkpoint=run[0] / "two.pt"), expected)


@pytest.mark.parametrize("seed", ["seeded", "not seeded"])
def test_every_row_is_seen_once_an_epoch_by_one_of_them_whatever_noise_they_draw(seed, run):
    shares = [process[seed] for process in run[3]]
    assert [[len(x) for x in share] for share in shares] == [[3, 3, 2] * 4, [2, 2, 2] * 4]
    for epoch in range(0, 12, 3):
        seen = torch.cat([torch.cat(share[epoch : epoch + 3]) for share in shares])
        assert sorted(seen.tolist()) == sorted(together.pairs(14)[0].tolist())
    assert not torch.equal(shares[0][0], shares[0][3])  # the second epoch has another order


def test_noise_differs_between_processes_and_a_run_in_two_parts_has_the_bits_of_a_whole_one(run):
    first, second = run[3]
    assert first["mask"].shape == second["mask"].shape
    assert not torch.equal(first["mask"], second["mask"])
    for process in run[3]:
        same(process["in two parts"], process["whole"])
    same(first["whole"], second["whole"])


def test_the_first_process_decides_prints_and_writes(run):
    folder, _, whole, found = run
    for process in found:
        rows, calls = process["stopped"]
        assert len(rows) == calls == 1
    assert whole.stdout.count("train loss") == 28  # evaluations, in all trainings together
    assert whole.stdout.count("going on after epoch 2") == 3
    names = ["0.pt", "1.pt", "killed.pt", "noisy.pt", "one.pt", "two.pt"]
    assert sorted(path.name for path in folder.iterdir()) == names


def test_a_model_that_would_average_no_gradients_is_refused(run):
    message = "model must be in torch's DistributedDataParallel, got Sequential in one of 2 "
    assert all(process["unwrapped"].startswith(message) for process in run[3])


def test_a_process_that_dies_ends_the_run_with_an_error(run):
    dead = run[1]
    assert dead.returncode == 1 and "SIGKILL" in dead.stderr and dead.seconds < 300
    assert dead.stdout.count("epoch") == 2 and dead.wrote == ["killed.pt", "one.pt"]
