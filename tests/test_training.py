import copy
import os
import pickle
import signal
import sys
import threading
import time
from functools import partial
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss
from torch.optim import lr_scheduler

from convae_lib import ConvLayer, History, PyTorchTrainer, permute_data

ctrl_c = partial(signal.raise_signal, signal.SIGINT)
TRACED = ("convae_lib", "contextlib.py", "optim", "serialization.py", "pathlib")


@pytest.fixture(autouse=True)
def listening():
    """To Ctrl-C, which a shell lets its background jobs ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def trainer_of(model, criterion=mse_loss, lr=0.1):
    return PyTorchTrainer(model, torch.optim.SGD(model.parameters(), lr, momentum=0.9), criterion)


def pairs(rows=10):
    generator = torch.Generator().manual_seed(rows)
    return torch.randn(rows, 5, generator=generator).split([3, 2], dim=1)


def state_of(model):
    return {name: tensor.tolist() for name, tensor in model.state_dict().items()}


def timeless(history):
    return [{**row, "seconds": 0} for row in history.rows], history.batch_losses


def at_batch(act):
    """A criterion that calls ``act(k)`` at the k-th training batch, and adds what it returns."""
    k = count(1)
    return lambda output, y: mse_loss(output, y) + ((output.requires_grad and act(next(k))) or 0)


def noisy_trainer(model=None, make=torch.optim.AdamW, schedule=lr_scheduler.OneCycleLR, steps=30):
    """With all that a step changes: weights, buffers, an optimizer's state, a rate."""
    torch.manual_seed(0)
    layers = nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.3), nn.Linear(4, 2)
    model = model or nn.Sequential(*layers)
    optimizer = make(model.parameters(), lr=0.01)
    return PyTorchTrainer(model, optimizer, mse_loss), schedule and schedule(optimizer, 0.1, steps)


def noisy_fit(trainer, scheduler, epochs=3, rows=10, **options):
    x, y = pairs(rows)
    options = {"eval_every": 1, "batch_size": 4, "scheduler": scheduler, "seed": 5} | options
    return trainer.fit(x, y, x, y, epochs, **options)


def test_permuting_copies_both_in_the_order_that_torch_draws():
    X, order = torch.arange(120).reshape(40, 3), torch.randperm(40)
    y = X[:, 0] * 10
    torch.manual_seed(0)
    shuffled_X, shuffled_y = permute_data(X, y)
    assert torch.equal(shuffled_X, X[order]) and torch.equal(shuffled_y, X[order, 0] * 10)
    one, two = permute_data(X, X)
    assert X.flatten().tolist() == list(range(120)) and one is two is not X
    with pytest.raises(ValueError, match=r"^X and y must pair up"):
        permute_data(X, torch.cat([y, y]))


@pytest.mark.parametrize(
    ("make", "options", "dtype", "returns"),
    [
        (torch.optim.SGD, {"momentum": 0.9}, torch.float64, lambda *call: call[2]),
        (torch.optim.AdamW, {"foreach": True}, torch.float32, lambda *call: (call[2], None)),
        (torch.optim.AdamW, {"fused": True}, torch.float32, lambda *call: [call[2], None]),
    ],
)
def test_training_after_a_step_by_hand_equals_plain_torch(make, options, dtype, returns):
    def step(model, optimizer, batch):
        optimizer.zero_grad()
        loss = mse_loss(model(batch), batch)
        loss.backward()
        optimizer.step()
        return loss.item()

    images = torch.rand(11, 2, 6, 6, dtype=dtype) * 2 - 1
    model = ConvLayer(2, 2, 3, activation=nn.Tanh()).to(dtype)
    by_hand = copy.deepcopy(model)
    ours, theirs = (make(one.parameters(), lr=0.01, **options) for one in (model, by_hand))
    rates = [lr_scheduler.LambdaLR(one, lambda step: 0.9**step) for one in (ours, theirs)]
    assert step(model, ours, images[:4]) == step(by_hand, theirs, images[:4])
    model.register_forward_hook(returns)
    data = images, images, images[:3], images[:3]
    trainer = PyTorchTrainer(model, ours, nn.MSELoss())
    history = trainer.fit(*data, epochs=2, eval_every=1, batch_size=4, scheduler=rates[0], seed=7)
    torch.manual_seed(7)
    losses = []
    for row in history.rows:
        for rows in torch.randperm(11).split(4):
            losses.append(step(by_hand, theirs, images[rows]))
            rates[1].step()
        test_loss = mse_loss(by_hand(data[2]), data[3]).item()
        expected = [np.average(losses[-3:], weights=[4, 4, 3]), test_loss]
        assert [row["train_loss"], row["test_loss"]] == pytest.approx(expected, rel=1e-5)
    assert history.batch_losses == pytest.approx(losses, rel=1e-5)
    torch.testing.assert_close([*model.parameters()], [*by_hand.parameters()], rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["shared", "flat", "channels last"])
def test_the_memory_that_the_parameters_lie_in_stays_theirs_and_the_data_as_they_were(kind):
    model, flat = ConvLayer(3, 4, 3), torch.zeros(112)
    if kind == "shared":
        model.share_memory()
    if kind == "flat":
        model.conv.weight.data, model.conv.bias.data = flat[:108].view(4, 3, 3, 3), flat[108:]
    if kind == "channels last":
        model.to(memory_format=torch.channels_last)
    before = [(p.data_ptr(), p.stride(), p.is_shared(), id(p)) for p in model.parameters()]
    leaves = [torch.randn(5, channels, 8, 8, requires_grad=True) for channels in (3, 4)]
    x, y = (leaf * 2 for leaf in leaves)  # with graphs, which a second step would find freed
    trainer_of(model).fit(x, y, x, y, epochs=2, batch_size=4)
    assert before == [(p.data_ptr(), p.stride(), p.is_shared(), id(p)) for p in model.parameters()]
    assert (flat.abs().sum() > 0) == (kind == "flat")
    assert torch.equal(x, leaves[0] * 2) and torch.equal(y, leaves[1] * 2)
    assert leaves[0].grad is leaves[1].grad is None


def test_training_and_evaluation_have_their_modes_and_every_row_counts_the_same():
    (x, y), calls = pairs(rows=257), []
    model = nn.Sequential(nn.Dropout(), nn.Linear(3, 2)).eval()

    def record(module, _, output):
        modes = module.training, output.requires_grad, torch.is_inference_mode_enabled()
        calls.append((len(output), *modes))

    model[1].register_forward_hook(record)
    trainer = trainer_of(model)
    trainer.fit(x[:7], y[:7], x[:3], y[:3], epochs=2, eval_every=1, batch_size=3)
    batches = [(3, True, True, False)] * 2 + [(1, True, True, False), (3, False, False, True)]
    assert calls == batches * 2
    model[1].train()
    losses = [trainer.evaluate(x, y, *size) for size in ([], [1], [100], [257])]
    assert [call[0] for call in calls[8:10]] == [250, 7] and not any(call[1] for call in calls[8:])
    expected = mse_loss(nn.functional.linear(x, *model[1].parameters()), y).item()
    assert losses == pytest.approx([expected] * 4, rel=1e-5)
    wrong = {"shapes cannot": (x[:, :2], y), "^x and y must": (x, y[:1]), "^batch_size": (x, y, 0)}
    for message, arguments in wrong.items():
        with pytest.raises((RuntimeError, ValueError), match=message):
            trainer.evaluate(*arguments)
    assert [module.training for module in model.modules()] == [False, False, True]


def test_a_seed_repeats_every_bit_and_leaves_the_global_generator_as_it_was():
    runs = []
    for seed in (1, np.int64(1), None, 0):
        trainer, scheduler = noisy_trainer()
        torch.manual_seed(len(runs) - 1)  # 1 for None
        before = torch.get_rng_state()
        runs.append((timeless(noisy_fit(trainer, scheduler, seed=seed)), state_of(trainer.model)))
        assert torch.equal(torch.get_rng_state(), before) == (seed is not None)
        assert all((a == b) == (seed != 0) for a, b in zip(runs[-1], runs[0], strict=True))


def test_compiled_copied_and_pickled_models_train_to_the_same_bits_on_any_default(tmp_path):
    data = pairs() * 2
    trainer = trainer_of(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)))
    trainer.fit(*data, epochs=1, seed=0)
    others = [copy.deepcopy(trainer), pickle.loads(pickle.dumps(trainer)), copy.deepcopy(trainer)]
    others[2].model = torch.compile(others[2].model, backend="eager")
    expected = timeless(trainer.fit(*data, epochs=2, seed=1))
    assert [timeless(one.fit(*data, epochs=2, seed=1)) for one in others[1:]] == [expected] * 2
    options = {"eval_every": 2, "seed": 1, "checkpoint": tmp_path / "run.pt"}
    with torch.device("meta"):
        others[0].fit(*data, epochs=1, **options)
        others[0].fit(*data, epochs=2, **options)
        assert permute_data(*data[:2])[0].device.type == "cpu"
    assert others[0].history.batch_losses == expected[1]


def test_batches_are_moved_to_the_model():
    (x, y), devices = pairs(rows=4), []
    trainer = trainer_of(nn.Linear(3, 2, device="meta"))
    one = torch.ones((), requires_grad=True)
    trainer.criterion = lambda o, y: devices.extend([o.device, y.device]) or one
    model = nn.BatchNorm1d(3, affine=False, device="meta")  # buffers, but no parameters
    assert trainer.fit(x, y, x, y, 1).rows
    assert PyTorchTrainer(model, None, trainer.criterion).evaluate(x, x) == 1
    assert devices == [torch.device("meta")] * 6


@pytest.mark.parametrize("device", ["cuda:1", "mps:0"])
def test_the_generator_of_the_models_own_gpu_is_seeded_and_kept(device, monkeypatch, tmp_path):
    """As if the model lay on one: tensors that are asked to move stay on the CPU."""
    gpus = [torch.Generator().manual_seed(number) for number in (1, 2)]
    monkeypatch.setattr(torch.cuda, "default_generators", gpus)
    monkeypatch.setattr(torch.mps, "_get_default_mps_generator", lambda: gpus[1])
    monkeypatch.setattr(torch.Tensor, "to", lambda tensor, *_, **__: tensor)
    (x, y), gpu, file = pairs(), SimpleNamespace(device=torch.device(device)), tmp_path / "run.pt"
    before, drawn = [generator.get_state() for generator in gpus], []
    for epochs, checkpoint in ((4, None), (2, file), (4, file)):
        criterion = at_batch(lambda k: drawn.append(torch.rand(1, generator=gpus[1]).item()))
        trainer = trainer_of(nn.Linear(3, 2), criterion)
        trainer.model.parameters = [gpu, *trainer.model.parameters()].copy
        trainer.fit(x, y, x, y, epochs, 1, seed=7, checkpoint=checkpoint)
    assert drawn == [*torch.rand(4, generator=torch.Generator().manual_seed(7))] * 2
    assert all(torch.equal(gpu.get_state(), b) for gpu, b in zip(gpus, before, strict=True))


@pytest.mark.parametrize(
    ("options", "expected"),
    [({"epochs": np.int64(5), "eval_every": np.int64(2)}, [2, 4, 5]), ({}, [*range(10, 101, 10)])],
)
def test_evaluations_come_every_so_many_epochs(options, expected, capsys, monkeypatch):
    (x, y), clock = pairs(rows=33), []
    monkeypatch.setattr(time, "perf_counter", lambda: sum(clock))
    trainer = trainer_of(nn.Linear(3, 2), lr=0.001)
    trainer.criterion = lambda o, y: clock.append(1 if o.requires_grad else 9) or mse_loss(o, y)
    first, history = trainer.history, trainer.fit(x, y, x, y, **options)
    assert trainer.history is history is not first and not first.batch_losses
    frame, columns = history.frame, ["epoch", "steps", "seconds", "train_loss", "test_loss"]
    assert list(frame.columns) == list(History().frame.columns) == columns
    rows = [(epoch, 2 * epoch, 2 * epoch) for epoch in expected]  # a second for each batch
    assert [*frame[columns[:3]].itertuples(index=False, name=None)] == rows
    assert len(repr(history).splitlines()) == len(expected) + 1 and "test_loss" in repr(history)
    printed = "epoch {epoch}: train loss {train_loss:.4f}, test loss {test_loss:.4f}"
    assert capsys.readouterr().out.splitlines() == [printed.format(**row) for row in history.rows]


def test_a_callback_sees_every_evaluation_and_can_stop(tmp_path):
    seen, options = [], {"epochs": 9, "eval_every": 2, "checkpoint": tmp_path / "run.pt"}

    def callback(history):
        seen.append((history, len(history.rows), len(history.batch_losses)))
        return np.bool_(len(seen) == 2)

    ended = noisy_fit(*noisy_trainer(), callback=callback, **options)
    assert seen == [(ended, 1, 6), (ended, 2, 12)]
    again = noisy_fit(*(run := noisy_trainer()), **options)
    assert again.rows == ended.rows and len(again.batch_losses) == 12
    assert not run[0].model.training and not ended.interrupted


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_a_loss_that_is_no_number_stops_before_the_step(value):
    (x, y), reached, model = pairs(), [], nn.Linear(3, 2)
    drawn, stop = torch.get_rng_state(), {4: value}
    trainer = trainer_of(model, at_batch(lambda k: reached.append(state_of(model)) or stop.get(k)))
    with pytest.raises(FloatingPointError, match=r"^the training loss must be finite, .*; lower"):
        trainer.fit(x, y, x, y, epochs=5, eval_every=1, batch_size=5, seed=1)
    assert state_of(model) == reached[3] and not model.training
    assert len(trainer.history.batch_losses) == 3 and len(trainer.history.rows) == 1
    with pytest.raises(FloatingPointError, match=r"^the test loss must be finite, got"):
        trainer.evaluate(x, y * value)
    assert torch.equal(torch.get_rng_state(), drawn)


zeros = torch.zeros
MEAN = r"^criterion must return a tensor, the mean of a batch, got .*"
TARGETS = [
    (zeros(4, 1), zeros(4), nn.MSELoss(), r"^y must have the output's shape, \(4, 1\), got \(4,\)"),
    (zeros(4), zeros(4, 1), nn.MSELoss(), r"\(4,\), got \(4, 1\), which .* would broadcast"),
    (zeros(4, 3), zeros(4), nn.MSELoss(), r"shape, \(4, 3\), got \(4,\)"),
    (zeros(4, 1), zeros(4).long(), nn.MSELoss(), r"shape, \(4, 1\), got \(4,\)"),
    (zeros(4, 3, 2), zeros(4).long(), nn.CrossEntropyLoss(), r"shape, \(4, 3, 2\), got \(4,\)"),
    (zeros(4, 3), zeros(4).long(), nn.CrossEntropyLoss(), None),
    (zeros(4, 3, 2, 5), zeros(4, 2, 5).long(), nn.CrossEntropyLoss(), None),
    ({"image": 1}, zeros(4), nn.MSELoss(), "^model must return a tensor, or several, got dict"),
    (zeros(4, 3), zeros(4, 3), nn.MSELoss(reduction="sum"), MEAN + 'reduction="sum"; take the'),
    (zeros(4, 3), zeros(4, 3), lambda output, y: (output - y).square(), MEAN),
    (zeros(4, 3), zeros(4, 3), lambda output, y: 0.5, MEAN + "0.5"),
]
TRAINER, OTHER = trainer_of(nn.Linear(3, 2)), trainer_of(nn.Linear(3, 2)).optim
REFUSALS = [
    ({"x_train": [0.0]}, TypeError, "^x_train must be a torch.Tensor, got list"),
    ({"x_train": zeros(3, 3)}, ValueError, "^x_train and y_train must .* got 3 and 4"),
    ({"x_train": zeros(0, 3), "y_train": zeros(0, 2)}, ValueError, "x_train must hold at least"),
    ({"y_test": zeros(5, 2)}, ValueError, "^x_test and y_test must .* got 2 and 5"),
    ({"x_test": zeros(2, 3).double()}, ValueError, "x_test must be like x_train, torch.float32 of"),
    ({"x_test": zeros(2, 5)}, ValueError, r"of shape \(3,\), got torch.float32 of shape \(5,\)"),
    ({"y_test": zeros(2, 1)}, ValueError, "^y_test must be like y_train"),
    ({"epochs": 0}, ValueError, "^epochs must be at least 1, got 0"),
    ({"epochs": 1.5}, TypeError, "^epochs must be a whole number, got 1.5"),
    ({"eval_every": 0}, ValueError, "^eval_every must be at least 1, got 0"),
    ({"batch_size": 32.0}, TypeError, "^batch_size must be a whole number, got 32.0"),
    ({"optim": OTHER}, ValueError, "^optim must hold the model's parameters, got others"),
    ({"optim": torch.optim.SGD}, ValueError, "^optim must hold the model's parameters"),
    ({"optim": torch.optim.LBFGS([TRAINER.model.bias])}, ValueError, "^optim and .* got LBFGS"),
    ({"scheduler": lr_scheduler.StepLR(OTHER, 1)}, ValueError, "^scheduler must step the trainer"),
    ({"scheduler": "cosine"}, ValueError, "^scheduler must step the trainer's optim"),
    ({"scheduler": lr_scheduler.ReduceLROnPlateau(TRAINER.optim)}, ValueError, "^optim and .*Red"),
    ({"criterion": nn.MSELoss}, TypeError, "^criterion must be called .*, got a class; add"),
    ({"checkpoint": "missing/run.pt"}, OSError, "^checkpoint must be .* got missing/run.pt$"),
    ({"checkpoint": Path(__file__).parent}, OSError, "^checkpoint must be a file that can be"),
]


@pytest.mark.parametrize(("output", "y", "criterion", "message"), TARGETS)
def test_targets_are_never_broadcast_and_losses_are_means(output, y, criterion, message):
    trainer, x = trainer_of(nn.Linear(1, 1), criterion), zeros(4, 1)
    tensor = torch.is_tensor(output)
    trainer.model.register_forward_hook(lambda *call: output + call[2].sum() if tensor else output)
    before = state_of(trainer.model)
    for call in (trainer.evaluate, lambda x, y: trainer.fit(x, y, x, y, 1).batch_losses[0]):
        if message is None:
            assert pytest.approx(criterion(trainer.model(x), y).item()) == call(x, y)
            continue
        with pytest.raises((ValueError, TypeError), match=message):
            call(x, y)
        assert state_of(trainer.model) == before


@pytest.mark.parametrize(("wrong", "error", "message"), REFUSALS)
def test_wrong_arguments_are_refused_before_anything_happens(wrong, error, message):
    trainer = copy.copy(TRAINER)
    data = zip(("x_train", "y_train", "x_test", "y_test"), pairs(4) + pairs(2), strict=True)
    arguments = {**dict(data), "seed": 1, **wrong}
    vars(trainer).update({k: arguments.pop(k) for k in ("optim", "criterion") if k in wrong})
    before, drawn = state_of(trainer.model), torch.get_rng_state()
    with pytest.raises(error, match=message):
        trainer.fit(**arguments)
    assert state_of(trainer.model) == before and trainer.model.training
    assert torch.equal(torch.get_rng_state(), drawn)


def at_line(number, act, run):
    """Call ``run``, and ``act`` at one line, counted from 1, in the files that are traced."""
    count = 0

    def trace(frame, event, _):
        nonlocal count
        if event == "call" and not any(name in frame.f_code.co_filename for name in TRACED):
            return None
        if event == "line" and (count := count + 1) == number:
            act()
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        return run(), count
    finally:
        sys.settrace(before)


@pytest.mark.parametrize("seed", [5, None])
def test_ctrl_c_at_any_line_keeps_the_weights_after_the_last_batch(seed, tmp_path, capsys):
    """And a run that goes on from its checkpoint ends with the bits of one never interrupted."""
    trainer, scheduler = noisy_trainer()
    expected, drawn = [state_of(trainer.model)], torch.get_rng_state()
    scheduler.step = lambda step=scheduler.step: step() or expected.append(state_of(trainer.model))
    whole = noisy_fit(trainer, scheduler, seed=seed)
    options = {"seed": seed, "checkpoint": tmp_path / "run.pt"}
    _, lines = at_line(0, None, lambda: noisy_fit(*noisy_trainer(), **options))
    noisy_fit(*noisy_trainer(), 1, seed=seed, checkpoint=(one := tmp_path / "one.pt"))
    for number in (*range(1, lines * 9 // 10, lines // 20), *range(-2500, 0, 199)):
        options["checkpoint"] = tmp_path / f"{number}.pt"
        if number < 0:  # in a run that goes on after an epoch
            options["checkpoint"].write_bytes(one.read_bytes())
        run = trainer, scheduler = noisy_trainer()
        act = [lambda: (ctrl_c(), ctrl_c()), ctrl_c][number % 2]  # one or two of them
        try:
            history, _ = at_line(abs(number), act, lambda run=run: noisy_fit(*run, **options))
            assert history is trainer.history and history.interrupted > trainer.model.training
            assert seed is None or torch.equal(torch.get_rng_state(), drawn)
            last = f"interrupted after {len(history.batch_losses)} batches, which are kept"
            assert capsys.readouterr().out.splitlines()[-1] == last
        except KeyboardInterrupt:  # in the lines before the training
            assert number < lines / 20
        done = scheduler.last_epoch
        assert trainer.history.batch_losses == whole.batch_losses[:done]
        assert state_of(trainer.model) == expected[done] and not [*tmp_path.glob("*.part")]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        again, scheduler = noisy_trainer()
        assert timeless(noisy_fit(again, scheduler, **options)) == timeless(whole)
        assert state_of(again.model) == expected[9] and not again.history.interrupted


def test_a_handler_of_the_readers_own_is_obeyed_and_another_thread_trains_on():
    (x, y), events = pairs(), []

    def fit():
        trainer = trainer_of(nn.Linear(3, 2), at_batch(lambda k: ctrl_c() if k == 2 else None))
        events.append(len(trainer.fit(x, y, x, y, epochs=3).batch_losses))

    thread = threading.Thread(target=fit)
    with pytest.raises(KeyboardInterrupt):
        thread.start()
        thread.join()
        time.sleep(1)
    thread.join()
    for handler in (signal.SIG_IGN, lambda *_: events.append("handled")):
        signal.signal(signal.SIGINT, handler)
        fit()
        assert signal.getsignal(signal.SIGINT) is handler
    assert events == [3, 3, "handled", 3]


@pytest.mark.skipif(not hasattr(os, "fork") or torch.accelerator.is_available(), reason="it forks")
@pytest.mark.filterwarnings("ignore:.*fork")
def test_a_killed_run_ends_with_the_bits_of_one_never_killed(tmp_path, request):
    def run(**options):
        trainer, scheduler = noisy_trainer()
        return timeless(noisy_fit(trainer, scheduler, 9, **options)), state_of(trainer.model)

    threads = torch.get_num_threads()
    request.addfinalizer(lambda: torch.set_num_threads(threads))
    torch.set_num_threads(1)  # others would not come along into a fork
    file, expected = tmp_path / "run.pt", run()
    for number in (300, 5300, 5400, 7000, 5000, 9000):
        if (child := os.fork()) == 0:
            try:
                signal.alarm(60)
                at_line(number, lambda: os.kill(os.getpid(), 9), lambda: run(checkpoint=file))
            finally:
                os._exit(0)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
    assert file.exists() and run(checkpoint=file) == expected
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    "schedule",
    [
        None,
        lambda optim, *_: lr_scheduler.CosineAnnealingWarmRestarts(optim, 2, 2),
        lambda optim, *_: lr_scheduler.LambdaLR(optim, lambda step: np.cos(step / 20)),
        lr_scheduler.OneCycleLR,
    ],
)
def test_more_epochs_go_on_from_the_file(schedule, tmp_path, capsys, monkeypatch):
    def fit(epochs, **options):
        monkeypatch.chdir(tmp_path)
        trainer, scheduler = noisy_trainer(None, partial(torch.optim.SGD, momentum=0.9), schedule)
        history = noisy_fit(trainer, scheduler, epochs, seed=None, **options)
        assert history.frame["seconds"].is_monotonic_increasing
        if options:  # once more, with what the training has changed
            monkeypatch.chdir(tmp_path)
            again = noisy_fit(trainer, scheduler, epochs, seed=None, **options)
            assert again.rows == history.rows
        return timeless(history), state_of(trainer.model), torch.rand(1).item()

    expected, options = fit(4), {"checkpoint": "run.pt", "batch_size": np.int64(4)}
    fit(2, callback=lambda _: os.chdir("/"), **options)
    assert fit(4, **options) == expected
    assert "run.pt: going on after epoch 2\n" in capsys.readouterr().out


def foreign(options=None, **parts):
    trainer, scheduler = noisy_trainer(**parts)
    return trainer, lambda f: noisy_fit(trainer, scheduler, 1, checkpoint=f, **options or {})


MODEL = noisy_trainer()[0].model
CODE = type("Code", (), {"__reduce__": lambda _: (exec, ("raise SystemExit",))})()
NONE = "^checkpoint must be a file of fit's, got .*run.pt, which cannot be read .*; choose another"
THEIRS = "^checkpoint must belong to this training, got .*run.pt of another "
FOREIGN = [
    ({}, {"model": nn.Linear(3, 2)}, "model: Sequential .*, not Linear"),
    ({}, {"model": nn.Sequential(*MODEL[:3], nn.Linear(4, 9))}, "model"),
    ({}, {"model": copy.deepcopy(MODEL).double()}, "model"),
    ({}, {"make": lambda p, lr: torch.optim.AdamW(p, 0.02)}, "optimizer: .*0.01.*0.02"),
    ({}, {"make": torch.optim.Adam}, "optimizer: AdamW .*, not Adam "),
    ({}, {"make": lambda p, lr: torch.optim.AdamW([{"params": p, "eps": 1}], lr)}, "optimizer"),
    ({}, {"schedule": None}, "scheduler: OneCycleLR .*, not None"),
    ({"schedule": None}, {}, "scheduler: None, not OneCycleLR"),
    ({}, {"steps": 40}, "scheduler: .*40"),
    ({}, {"options": {"rows": 11}}, r"data: \[10, 3\], not \[11, 3\]; choose another"),
    ({}, {"options": {"batch_size": 5}}, "batch_size: 4, not 5"),
    ({}, {"options": {"seed": 6}}, "seed: 5, not 6"),
    (lambda file: torch.save(MODEL.state_dict(), file), {}, None),
    (lambda file: torch.save({"settings": CODE}, file), {}, None),
    (lambda file: (foreign()[1](file), os.truncate(file, 5000)), {}, None),
]


@pytest.mark.parametrize(("theirs", "ours", "what"), FOREIGN)
def test_the_file_of_something_else_is_refused_and_left_alone(theirs, ours, what, tmp_path):
    write = theirs if callable(theirs) else foreign(**theirs)[1]
    write(file := tmp_path / "run.pt")
    content, (trainer, fit) = file.read_bytes(), foreign(**ours)
    before = state_of(trainer.model)
    with pytest.raises(ValueError, match=THEIRS + what if what else NONE):
        fit(file)
    assert state_of(trainer.model) == before and trainer.model.training
    assert file.read_bytes() == content and list(tmp_path.iterdir()) == [file]
