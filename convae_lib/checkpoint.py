"""Keep the state of a training in a file, and resume it from there. Used in lesson 11."""

import hashlib
import inspect
import io
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ._utils import device_of, get_rng_states, set_rng_states
from .distributed import broadcast, rank, unwrap
from .training import FitArguments, PyTorchTrainer

State = dict[str, Any]
Description = dict[str, str]
ANOTHER_FILE = "use another file, or delete this one to start from the beginning"
CHANGED_BY_STEPS = {"last_epoch", "T_cur", "T_i"}  # in the state of a scheduler


class Checkpoint:
    """A callback of `PyTorchTrainer.fit` that saves the whole state, so that fit can be resumed.

    After every evaluation it saves the model, the optimizer, the scheduler, the states of the
    random generators and the history. If the file exists when `fit` is called, the training is
    resumed from there, and ends with the same bits as a training that was never interrupted.

    A file is written whole or not at all. It is read without running code from it
    (``weights_only``). A checkpoint of a compiled model, or of a model wrapped in
    DistributedDataParallel, resumes a plain one and the reverse.

    Parameters
    ----------
    path : str or Path
        The file. Its folder must exist.

    Raises
    ------
    OSError
        If the file cannot be read or written.
    ValueError
        In `fit`, if the file belongs to another training: another model, optimizer, schedule,
        loss, batch size, seed, or other data; if ``epochs`` is smaller than the number of epochs
        in the file; or if the file cannot be read. At the first save, if the history or the
        state holds a value that could not be restored.

    Notes
    -----
    A training that a callback stopped stays stopped. Ctrl-C leaves the file of the last
    evaluation. Used in lesson 11.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name) / "run.pt"
    >>> x = torch.zeros(8, 3)
    >>> for epochs in (1, 2):
    ...     model = nn.Linear(3, 3)
    ...     optim = torch.optim.SGD(model.parameters(), lr=0.1)
    ...     trainer = PyTorchTrainer(model, optim, nn.MSELoss())
    ...     trainer.verbose = False
    ...     history = trainer.fit(x, x, x, x, epochs, seed=0, callbacks=[Checkpoint(path)])
    >>> history.frame["epoch"].tolist()
    [1, 2]
    >>> folder.cleanup()
    """

    def __init__(self, path: str | Path):
        self.path = Path(path).resolve()  # a callback may change the current folder
        self.part = self.path.with_name(f"{self.path.name}.part")
        self.scheduler: Any = None
        self.identity: dict[str, Description] = {}

    def start(self, trainer: PyTorchTrainer, arguments: FitArguments) -> None:
        """Resume the training if the file exists; called by `fit` before the first epoch."""
        self.scheduler = arguments.scheduler
        self.identity = _describe_training(trainer, arguments)
        if rank() == 0:
            self._check_writable()
        state = broadcast(self._read() if rank() == 0 else None)
        if state is None:
            return
        self._check_identity(trainer, state)
        self._restore(trainer, state)
        epoch = trainer.history.last_epoch
        if arguments.epochs < epoch:
            raise ValueError(
                f"epochs must be at least {epoch}, the number of epochs that {self.path} has been "
                f"trained for, got {arguments.epochs}; ask for more epochs, or {ANOTHER_FILE}"
            )
        if not trainer.verbose:
            return
        if state["stopped"]:
            print(f"{self.path}: a callback stopped this training after epoch {epoch}")
        elif arguments.epochs == epoch:
            print(f"{self.path}: all {epoch} epochs are done")
        else:
            print(f"{self.path}: resuming after epoch {epoch}")

    def __call__(self, trainer: PyTorchTrainer) -> None:
        """Save the state; called by `fit` after every evaluation."""
        if rank() > 0:
            return
        state = {
            "identity": self.identity,
            "model": unwrap(trainer.model).state_dict(),
            "optimizer": trainer.optim.state_dict(),
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "generators": get_rng_states(device_of(trainer.model)),
            "rows": trainer.history.rows,
            "batch_losses": trainer.history.batch_losses,
            "stopped": trainer.stop,
        }
        self._write(_as_bytes(_without_numpy_scalars(state)))

    def finish(self, trainer: PyTorchTrainer) -> None:
        """Save once more if a later callback stopped the training; called by `fit` at its end."""
        if trainer.stop and not trainer.history.interrupted:
            self(trainer)

    def _check_writable(self) -> None:
        try:
            self.part.touch()
            self.part.unlink()  # also what a killed process left
            if self.path.exists():
                self.path.open("r+b").close()
        except OSError as error:
            raise OSError(
                f"checkpoint must be a file that can be written, got {self.path} ({error}); "
                "create its folder, or choose another path"
            ) from error

    def _read(self) -> State | None:
        if not self.path.exists():
            return None
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            return {"identity": state["identity"], "stopped": state["stopped"], **state}
        except Exception as error:
            raise ValueError(
                f"{self.path} must be a checkpoint written by this class, and cannot be read "
                f"({type(error).__name__}); {ANOTHER_FILE}"
            ) from error

    def _check_identity(self, trainer: PyTorchTrainer, state: State) -> None:
        for name, current in self.identity.items():
            saved = state["identity"].get(name, {})
            if name == "optimizer":  # fit may be called again with the optimizer it has changed
                groups = state["optimizer"]["param_groups"]
                if current == _describe_optimizer(trainer.optim, groups):
                    continue
            for detail in sorted(saved.keys() | current.keys()):
                if saved.get(detail) != current.get(detail):
                    raise ValueError(
                        f"{self.path} belongs to another training: the {name} differs in "
                        f"{detail}, {saved.get(detail)} in the file and {current.get(detail)} "
                        f"now; {ANOTHER_FILE}"
                    )

    def _restore(self, trainer: PyTorchTrainer, state: State) -> None:
        unwrap(trainer.model).load_state_dict(state["model"])
        trainer.optim.load_state_dict(state["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        set_rng_states(state["generators"], device_of(trainer.model))
        trainer.history.rows = state["rows"]
        trainer.history.batch_losses = state["batch_losses"]
        trainer.stop = state["stopped"]

    def _write(self, content: bytes) -> None:
        """Write all of it, or leave the file as it was."""
        try:
            self.part.write_bytes(content)
            self.part.replace(self.path)
        except OSError as error:
            kept = "the checkpoint before it is kept" if self.path.exists() else "none is there yet"
            raise OSError(
                f"{self.path} could not be written ({error}): {len(content):,} bytes are "
                f"needed, and {kept}; make room on the disk, or choose another path"
            ) from error
        finally:
            self.part.unlink(missing_ok=True)


def _as_bytes(state: State) -> bytes:
    """Return the content of the file, after reading it back as `Checkpoint` will."""
    stream = io.BytesIO()
    try:
        torch.save(state, stream)
        stream.seek(0)
        torch.load(stream, map_location="cpu", weights_only=True)
    except Exception as error:
        name, value = _find_unreadable(state)
        raise ValueError(
            f"a checkpoint can hold numbers, strings, tensors, and lists or dictionaries of them, "
            f"got {name} = {value!r:.60} of type {type(value).__name__}; convert it first, for "
            "example with float(), str() or torch.from_numpy()"
        ) from error
    return stream.getvalue()


def _find_unreadable(value: Any, name: str = "state") -> tuple[str, Any]:
    """Return the name of the innermost value that cannot be restored, and the value."""
    items: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        items = [(f"{name}[{key!r}]", part) for key, part in value.items()]
    elif isinstance(value, list | tuple):
        items = [(f"{name}[{index}]", part) for index, part in enumerate(value)]
    for part_name, part in items:
        try:
            stream = io.BytesIO()
            torch.save(part, stream)
            stream.seek(0)
            torch.load(stream, weights_only=True)
        except Exception:
            return _find_unreadable(part, part_name)
    return name, value


def _without_numpy_scalars(value: Any) -> Any:
    """Replace NumPy's 64-bit numbers, for example learning rates, by equal Python numbers."""
    if isinstance(value, np.float64 | np.int64 | np.bool_):
        return value.item()
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return type(value)(_without_numpy_scalars(part) for part in value)
    if isinstance(value, dict) and type(value) is dict:
        return {key: _without_numpy_scalars(part) for key, part in value.items()}
    return value


def _describe_training(trainer: PyTorchTrainer, arguments: FitArguments) -> dict[str, Description]:
    """Describe what two calls of fit must share for one to resume the other."""
    loss = {
        "criterion": _describe_callable(trainer.criterion),
        "method": type(trainer).batch_loss.__qualname__,
    }
    return {
        "model": _describe_model(unwrap(trainer.model)),
        "scheduler": _describe_scheduler(arguments.scheduler),
        "optimizer": _describe_optimizer(trainer.optim, trainer.optim.param_groups),
        "loss": loss,
        "training data": _describe_data(arguments.x_train, arguments.y_train),
        "test data": _describe_data(arguments.x_test, arguments.y_test),
        "call": {"batch_size": str(arguments.batch_size), "seed": str(arguments.seed)},
    }


def _describe_model(model: nn.Module) -> Description:
    description = {"type": type(model).__name__}
    for name, tensor in model.state_dict().items():
        description[name] = f"{tensor.dtype} {tuple(tensor.shape)}"
    return description


def _describe_optimizer(optim: Optimizer, groups: list[State]) -> Description:
    description = {"type": type(optim).__name__}
    for number, group in enumerate(groups):
        has_schedule = "initial_lr" in group  # which changes the first three of these
        left_out = {"lr", "momentum", "betas", "params"} if has_schedule else {"params"}
        for option, value in group.items():
            if option not in left_out:
                description[f"{option} of group {number}"] = _as_text(value)
        description[f"tensors of group {number}"] = str(len(group["params"]))
    return description


def _describe_scheduler(scheduler: Any) -> Description:
    if scheduler is None:
        return {"type": "None"}
    return {"type": type(scheduler).__name__, **_constant_part(scheduler.state_dict())}


def _constant_part(state: State) -> Description:
    """Describe the entries of a scheduler's state that its steps do not change."""
    constant: Description = {}
    for name, value in state.items():
        if name == "_schedulers":  # of SequentialLR and ChainedScheduler
            constant["parts"] = str([_constant_part(part) for part in value])
        elif name == "_milestones" or not (name.startswith("_") or name in CHANGED_BY_STEPS):
            constant[name] = _as_text(value)
    return constant


def _describe_callable(function: Any) -> str:
    if isinstance(function, nn.Module):
        tensors = [_digest(tensor) for tensor in function.state_dict().values()]
        options = {
            name: value for name, value in vars(function).items() if isinstance(value, int | float)
        }
        return f"{function!r} with {options} and {tensors}"
    if isinstance(function, partial):
        arguments = _as_text((function.args, function.keywords))
        return f"partial({_describe_callable(function.func)}, {arguments})"
    name = getattr(function, "__qualname__", type(function).__qualname__)
    if inspect.isfunction(function) and function.__name__ == "<lambda>":
        code = function.__code__
        constants = [value for value in code.co_consts if isinstance(value, int | float | str)]
        name += f" with {code.co_names}, {constants}, {code.co_code.hex()}"
    return str(name)


def _describe_data(x: Tensor, y: Tensor) -> Description:
    digest = _digest(x)
    return {"x": digest, "y": digest if y is x else _digest(y)}


def _digest(tensor: Tensor) -> str:
    """Describe a tensor by its shape, its dtype and a hash of its content."""
    hashed = hashlib.blake2b(digest_size=8)
    for rows in tensor.detach().reshape(-1).split(1_000_000):  # in pieces: memory
        hashed.update(rows.cpu().view(torch.uint8).numpy())
    return f"{tensor.dtype} {tuple(tensor.shape)} {hashed.hexdigest()}"


def _as_text(value: Any) -> str:
    """Return equal text for equal values, whether a number is Python's, NumPy's or a tensor."""
    if isinstance(value, Tensor):
        value = value.item() if value.numel() == 1 else value.tolist()
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, list | tuple):
        return str([_as_text(part) for part in value])
    return str(value)
