"""One training in two real processes, under torchrun, compared with the same training in one."""

import os
import subprocess
import sys
import time

import pytest
import torch
import torchrun_script
from torch import distributed, nn

from convae_lib.distributed import all_reduce_mean, broadcast, rank, shard, unwrap, world_size

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or not distributed.is_available(), reason="gloo, as torchrun starts it"
)


def torchrun(*arguments):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += [torchrun_script.__file__, *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder in which one process has trained for two epochs."""
    folder = tmp_path_factory.mktemp("torchrun")
    trainer = torchrun_script.make_trainer()
    torchrun_script.fit(*trainer, epochs=2, checkpoint=folder / "one.pt")
    return folder


@pytest.fixture(scope="module")
def dead(folder):
    """Return the result of a run in which rank 1 dies, its seconds, and what it wrote."""
    start = time.monotonic()
    result = torchrun(folder, "die")
    return result, time.monotonic() - start, sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def whole(folder, dead):
    """Return the result of a run that ends, and what each rank found."""
    result = torchrun(folder, "every way")
    assert result.returncode == 0, result.stderr
    paths = [folder / f"{number}.pt" for number in (0, 1)]
    return result, [torch.load(path, weights_only=False) for path in paths]


@pytest.fixture(scope="module")
def expected():
    """Return what one process comes to."""
    return torchrun_script.fit(*torchrun_script.make_trainer())


def assert_close(training, other):
    """Two trainings differ by no more than rounding."""
    torch.testing.assert_close(training[2], other[2], rtol=0, atol=1e-12)
    assert training[1] == pytest.approx(other[1], rel=1e-10)
    assert len(training[0]) == len(other[0])
    for row, other_row in zip(training[0], other[0], strict=True):
        assert row == pytest.approx(other_row, rel=1e-10)


def assert_same(training, other):
    """Two trainings are the same to the bit."""
    assert training[:2] == other[:2]
    torch.testing.assert_close(training[2], other[2], rtol=0, atol=0)


@pytest.mark.parametrize("case", ["plain", "wrapped", "compiled", "killed.pt", "one.pt"])
def test_two_processes_train_as_one_does_also_from_its_file_or_that_of_a_dead_run(
    case, whole, expected
):
    first, second = whole[1]
    assert_same(first[case], second[case])
    assert_close(first[case], expected)


def test_one_process_resumes_what_two_have_saved(folder, whole, expected):
    trainer = torchrun_script.make_trainer()
    assert_close(torchrun_script.fit(*trainer, checkpoint=folder / "two.pt"), expected)


@pytest.mark.parametrize("seed", ["seeded", "not seeded"])
def test_every_row_is_seen_once_an_epoch_by_one_process(seed, whole):
    shards = [results[seed] for results in whole[1]]
    assert [len(x) for x in shards[0]] == [3, 3, 2] * 4
    assert [len(x) for x in shards[1]] == [2, 2, 2] * 4
    rows = sorted(torchrun_script.make_pairs(14)[0].tolist())
    for epoch in range(0, 12, 3):
        seen = torch.cat([torch.cat(batches[epoch : epoch + 3]) for batches in shards])
        assert sorted(seen.tolist()) == rows
    assert not torch.equal(shards[0][0], shards[0][3])  # the second epoch has another order


def test_dropout_differs_between_processes(whole):
    first, second = whole[1]
    assert first["mask"].shape == second["mask"].shape
    assert not torch.equal(first["mask"], second["mask"])


def test_a_resumed_training_has_the_bits_of_a_whole_one(whole):
    for results in whole[1]:
        assert_same(results["in two parts"], results["whole"])
    assert_same(whole[1][0]["whole"], whole[1][1]["whole"])


def test_rank_0_decides_when_to_stop(whole):
    for results in whole[1]:
        rows, n_calls = results["stopped"]
        assert len(rows) == 1
        assert n_calls == 1


def test_a_loss_that_is_not_finite_in_one_process_raises_in_all(whole):
    for results in whole[1]:
        assert results["not finite"].startswith("the training loss must be finite, got nan")


def test_rank_0_alone_prints_and_writes(folder, whole):
    result, _ = whole
    n_evaluations = 36  # of all trainings together, each of them printed once
    assert result.stdout.count("train loss") == n_evaluations
    assert result.stdout.count("resuming after epoch 2") == 3
    names = ["0.pt", "1.pt", "killed.pt", "noisy.pt", "one.pt", "two.pt"]
    assert sorted(path.name for path in folder.iterdir()) == names


def test_a_process_that_dies_ends_the_run_with_an_error(dead):
    result, seconds, written = dead
    assert result.returncode == 1
    assert "SIGKILL" in result.stderr
    assert seconds < 300
    assert result.stdout.count("epoch") == 2
    assert written == ["killed.pt", "one.pt"]


def test_without_a_process_group_there_is_one_process():
    x = torch.arange(6.0)
    assert rank() == 0
    assert world_size() == 1
    assert broadcast(x) is x
    assert torch.equal(shard(x), x)
    assert torch.equal(all_reduce_mean(x), x)


def test_unwrap_looks_through_every_wrapper():
    model = nn.Linear(3, 2)
    wrapped = torch.compile(nn.DataParallel(torch.compile(model, backend="eager")), backend="eager")
    assert unwrap(wrapped) is model
    assert unwrap(model) is model
