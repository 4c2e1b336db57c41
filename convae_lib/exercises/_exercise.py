"""What an exercise is: an answer, a judge, hints, and the mistakes that it recognises.

    lesson = Lesson("02")

    @lesson.exercise("In how many places can the window stand?", hints=(…), shown="…")
    def output_size(size, kernel, stride, padding):  # the answer; `output_size` is an Exercise now
        return (size + 2 * padding - kernel) // stride + 1

    @output_size.judge
    def _(trial):
        for size, kernel, stride, padding in drawn():
            trial(size, kernel, stride, padding).gives(expected, "nn.Conv2d makes")

    @output_size.mistake("Both sides are padded.")
    def _(size, kernel, stride, padding):
        return (size + padding - kernel) // stride + 1

An answer that does what a mistake does is told that mistake's sentence, any other wrong one the
exercise's question. `tests/test_exercises.py` holds every exercise to this.
"""

import _thread
import contextlib
import inspect
import io
import random
import re
import signal
import textwrap
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn

import numpy as np
import torch

MARKS = {"open": "○", "wrong": "✗", "solved": "✓"}


class Open(Exception):
    """Nothing has been written yet."""


class Wrong(Exception):
    """What an answer did, in a sentence, and a sentence that helps."""


class Lesson:
    """The exercises of one lesson, in the order in which they are defined."""

    def __init__(self, number: str):
        self.number = number
        self.exercises: list[Exercise] = []

    def exercise(
        self, question: str, *, hints: tuple[str, ...], shown: str
    ) -> Callable[[Callable[..., Any]], "Exercise"]:
        """Make an `Exercise` of its answer, a function or a class."""

        def made(answer: Callable[..., Any]) -> Exercise:
            number = f"{self.number}.{len(self.exercises) + 1}"
            self.exercises.append(Exercise(number, answer, question, hints, shown))
            return self.exercises[-1]

        return made

    def progress(self) -> None:
        """Print which exercises of the lesson are open, wrong and solved."""
        for exercise in self.exercises:
            print(f"{MARKS[exercise.state]} {exercise.number} {exercise.name}: {exercise.state}")


class Exercise:
    """An exercise of a lesson: `check` your answer, ask for a `hint`, or read the `solution`."""

    def __init__(
        self,
        number: str,
        answer: Callable[..., Any],
        question: str,
        hints: tuple[str, ...],
        shown: str,
    ):
        self.number, self.name, self.answer = number, answer.__name__, answer
        self.question, self.hints, self.shown = question, hints, shown
        self.mistakes: list[tuple[str, Callable[..., Any]]] = []
        self.state = "open"
        self._hinted = 0

    def judge(self, judge: Callable[["Trial"], None]) -> None:
        """Decorate the function that puts an answer to the test."""
        self._judge = judge

    def mistake(self, sentence: str) -> Callable[[Callable[..., Any]], None]:
        """Decorate a wrong answer, with the sentence that helps whoever gave it."""
        return lambda mistaken: self.mistakes.append((sentence, mistaken))

    def check(self, answer: Callable[..., Any], *, seconds: float = 20) -> None:
        """Print whether ``answer`` is open (○), wrong (✗) or right (✓); nothing else changes.

        An answer that takes more than ``seconds`` is wrong.
        """
        self.state, words = self._judged(answer, seconds)
        print(MARKS[self.state], self.number + words)

    def hint(self) -> None:
        """Print the next hint, from a nudge to nearly the line."""
        self._hinted = min(self._hinted + 1, len(self.hints))
        rest = len(self.hints) - self._hinted
        onward = "one more hint" if rest == 1 else f"{rest} more hints" if rest else self._next()
        print(f"{self.number}: {self.hints[self._hinted - 1]} ({onward})")

    def solution(self) -> None:
        """Print an answer that is right."""
        source = inspect.getsource(self.answer)
        _, kind, rest = re.split(r"^(def|class) ", source, maxsplit=1, flags=re.MULTILINE)
        print(kind, rest, end="")

    def _next(self) -> str:
        more = "hint" if self._hinted < len(self.hints) else "solution"
        return f"Next: ex.{self.name}.{more}()"

    def _judged(self, answer: Any, seconds: float) -> tuple[str, str]:
        """Whether an answer is open, wrong or solved, and the words behind the number."""
        if not callable(answer) or isinstance(answer, torch.nn.Module):
            kind = "class" if inspect.isclass(self.answer) else "function"
            given = f"the {kind} itself is asked for, got {brief(answer)}."
            return "wrong", f": {given} Write ex.{self.name}.check({self.name})"
        trial = Trial(self, answer, self.name)
        try:
            with _same_random_numbers(), torch.enable_grad(), _time_limit(seconds):
                self._judge(trial)
        except Open:
            return "open", ' is open: replace "raise NotImplementedError" and run the cell again'
        except Wrong as wrong:
            return "wrong", f": {wrong} {self._next()}"
        except TimeoutError:
            return "wrong", f": {trial.call} took more than {seconds:g} s. {self._next()}"
        except Exception as error:  # of the judge, at a value that nobody thought of
            words = f"gave what cannot be judged, {_said(error)}. {self.question}"
            return "wrong", f": {trial.call} {words} {self._next()}"
        return "solved", f": right {trial.times}. {self.shown}"


class Trial:
    """Somebody's function on trial: call it like the function, and judge what comes out."""

    def __init__(self, exercise: Exercise, function: Callable[..., Any], name: str):
        self.exercise, self.function, self.name = exercise, function, name
        self.call, self.calls = f"{name}()", 0

    @property
    def times(self) -> str:
        return f"in {self.calls} drawn cases" if self.calls > 1 else "in the one case there is"

    def __call__(self, *arguments: Any, **options: Any) -> "Outcome":
        words = [brief(a) for a in arguments] + [f"{k}={brief(v)}" for k, v in options.items()]
        self.call, self.calls = f"{self.name}({', '.join(words)})", self.calls + 1
        given = [*arguments, *options.values()]
        before, printed = _snapshot(given), io.StringIO()
        try:
            with contextlib.redirect_stdout(printed):
                value = self.function(*arguments, **options)
        except (Exception, SystemExit) as error:
            if isinstance(error, NotImplementedError) and not str(error):  # torch's say something
                raise Open from None
            self.wrong(f"raised {_said(error)}.")
        if printed.getvalue():
            self.wrong("printed something.", "Return the result, and print nothing.")
        if value is None:
            self.wrong("gave None.", "Does every way through your function end in a return?")
        if _changed(given, before):
            self.wrong("changed its input.", "Work on a copy, or make a new tensor.")
        return Outcome(self, value, lambda mistaken: mistaken(*arguments, **options))

    def wrong(self, what: str, help: str | None = None) -> NoReturn:
        """Find the answer wrong: what its last call did, and a sentence that helps."""
        raise Wrong(f"{self.call} {what} {help or self.exercise.question}")


class Outcome:
    """What a call gave."""

    def __init__(
        self, trial: Trial, value: Any, again: Callable[[Callable[..., Any]], Any]
    ) -> None:
        self.trial, self.value, self._again = trial, value, again
        self.tolerance = 1e-4

    def __call__(self, *arguments: Any, **options: Any) -> "Outcome":
        """Call what the call gave: a layer, a network, a function."""
        trial = Trial(self.trial.exercise, self.value, self.trial.call)
        outcome = trial(*arguments, **options)
        outcome._again = lambda mistaken: self._twin(mistaken)(*arguments, **options)
        return outcome

    def gives(
        self,
        expected: Any,
        oracle: str = "expected",
        *,
        gradients: Iterable[torch.Tensor] = (),
        again: Callable[[Callable[..., Any]], Any] | None = None,
        tolerance: float = 1e-4,
    ) -> None:
        """Find the answer wrong unless its value is ``expected``, which ``oracle`` says.

        With ``gradients``, tensors that both were computed from, their gradients must agree too.
        ``again`` gives the value for a mistake, where calling it with the same arguments does not.
        """
        self._again, self.tolerance = again or self._again, tolerance
        if what := difference(self.value, expected, tolerance, oracle):
            self.trial.wrong(f"{what}.", self.recognised())
        for tensor in gradients:
            wanted = _gradient(expected, tensor)
            try:
                found = _gradient(self.value, tensor)
            except RuntimeError as error:  # the answer went backward itself
                self.trial.wrong(f"is right, but its gradient raised {_said(error)}.")
            if found is None and wanted is not None:
                self.trial.wrong("is right, but no gradient goes back.", self.recognised(tensor))
            if difference(found, wanted, tolerance):
                self.trial.wrong("is right, but its gradient is not.", self.recognised(tensor))

    def parameters(self, *shapes: tuple[int, ...]) -> list[torch.Tensor]:
        """The parameters of a layer or network that the call made, one of each shape."""
        if not isinstance(self.value, torch.nn.Module):
            self.trial.wrong(f"gave {brief(self.value)}, an nn.Module was expected.")
        left, found = list[torch.Tensor](self.value.parameters()), list[torch.Tensor]()
        for shape in shapes:
            fitting = [i for i, parameter in enumerate(left) if parameter.shape == shape]
            if not fitting:
                what = f"has no parameter of shape {shape} where one belongs."
                self.trial.wrong(what, self.recognised())
            found.append(left.pop(fitting[0]))
        if left:
            what = f"has a parameter of shape {tuple(left[0].shape)} too many."
            self.trial.wrong(what, self.recognised())
        return found

    def recognised(self, tensor: torch.Tensor | None = None) -> str | None:
        """The sentence of the first mistake that comes to the same, if there is one.

        With ``tensor``, the gradient there must come to the same too.
        """
        for sentence, mistaken in self.trial.exercise.mistakes:
            with contextlib.suppress(Exception), contextlib.redirect_stdout(io.StringIO()):
                value = self._again(mistaken)
                if isinstance(value, torch.nn.Module):
                    if _shapes(value) == _shapes(self.value):
                        return sentence
                elif not difference(self.value, value, self.tolerance):
                    if tensor is None:
                        return sentence
                    ours, theirs = _gradient(self.value, tensor), _gradient(value, tensor)
                    if not difference(ours, theirs, self.tolerance):
                        return sentence
        return None

    def _twin(self, mistaken: Callable[..., Any]) -> Any:
        """What the mistake makes in place of this value, with this value's parameters."""
        twin = self._again(mistaken)
        if isinstance(twin, torch.nn.Module):
            twin.train(self.value.training)
            with torch.no_grad():
                own = Outcome(self.trial, self.value, self._again)
                theirs = own.parameters(*(parameter.shape for parameter in twin.parameters()))
                for parameter, copied in zip(twin.parameters(), theirs, strict=True):
                    parameter.copy_(copied)
        return twin


def _shapes(module: torch.nn.Module) -> list[tuple[int, ...]]:
    return sorted(tuple(parameter.shape) for parameter in module.parameters())


def _gradient(result: Any, tensor: torch.Tensor) -> torch.Tensor | None:
    total = sum(part.square().sum() for part in (result if isinstance(result, tuple) else [result]))
    if not total.requires_grad:
        return None
    return torch.autograd.grad(total, tensor, retain_graph=True, allow_unused=True)[0]


def difference(
    value: Any, expected: Any, tolerance: float = 1e-4, oracle: str = "expected"
) -> str | None:
    """Say how a value differs from the expected one; None if it does not, but for rounding.

    Whole numbers must be equal, others within ``tolerance`` of the largest of them.
    """

    def unlike() -> str:
        return f"gave {brief(value)}, {oracle} {brief(expected)}"

    if isinstance(expected, tuple | list):
        if not isinstance(value, tuple | list) or len(value) != len(expected):
            return f"gave {brief(value)}, {oracle} {len(expected)} values"
        for number, pair in enumerate(zip(value, expected, strict=True), start=1):
            if what := difference(*pair, tolerance, oracle):
                return f"{what} (value {number} of {len(expected)})"
        return None
    if expected is None or isinstance(expected, str):
        return None if isinstance(value, type(expected)) and value == expected else unlike()
    for kind in (torch.Tensor, np.ndarray):
        if isinstance(expected, kind) and not isinstance(value, kind):
            return unlike()
    try:
        got, wanted = _as_array(value), _as_array(expected)
    except (TypeError, ValueError):
        return unlike()
    if got.shape != wanted.shape:
        return f"gave the shape {got.shape}, {oracle} {wanted.shape}"
    if np.issubdtype(wanted.dtype, np.integer):
        tolerance = 0
    got, wanted = got.astype(float), wanted.astype(float)
    scale = np.max(np.abs(wanted), where=np.isfinite(wanted), initial=0.01)
    far = ~np.isclose(got, wanted, rtol=tolerance, atol=tolerance * scale, equal_nan=True)
    if not far.any():
        return None
    if isinstance(expected, bool):
        return unlike()
    worst = np.argmax(np.where(far, np.nan_to_num(np.abs(got - wanted), nan=np.inf), -1))
    place = tuple(int(i) for i in np.unravel_index(worst, got.shape))
    where, digits = f" at {list(place)}" if place else "", ".6g" if tolerance else ".12g"
    return f"gave {got[place] + 0:{digits}}{where}, {oracle} {wanted[place] + 0:{digits}}"


def brief(value: Any) -> str:
    """A value in a few words: tensors by their shape, unless they are tiny."""
    if isinstance(value, torch.Tensor | np.ndarray):
        kind = "tensor" if torch.is_tensor(value) else "array"
        if value.ndim <= 1 and np.prod(value.shape) <= 6:
            return f"{kind}({np.round(_as_array(value), 3).tolist()})"
        return f"{kind} of shape {tuple(value.shape)}"
    if isinstance(value, torch.nn.Module | torch.optim.Optimizer) or callable(value):
        return getattr(value, "__name__", type(value).__name__)
    return textwrap.shorten(repr(value), 40, placeholder=" …")


def _said(error: BaseException) -> str:
    words = textwrap.shorten(str(error), 160, placeholder=" …")
    return f"{type(error).__name__}: {words}".rstrip(": .")


def _as_array(value: Any) -> Any:
    """Numbers as an array of numpy's, of 64 bits."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        value = value.double() if value.is_floating_point() else value.long()
    elif isinstance(value, str):
        raise TypeError
    array = np.asarray(value)
    return array.astype(float if np.issubdtype(array.dtype, np.floating) else int, casting="safe")


def _snapshot(argument: Any) -> Any:
    """A copy of what an answer might change: tensors, arrays, and lists of anything."""
    if isinstance(argument, tuple | list):
        return [_snapshot(part) for part in argument]
    if isinstance(argument, torch.Tensor):
        return argument.detach().clone()
    return argument.copy() if isinstance(argument, np.ndarray) else argument


def _changed(argument: Any, before: Any) -> bool:
    if isinstance(argument, tuple | list):
        return len(argument) != len(before) or any(map(_changed, argument, before))
    if isinstance(argument, torch.Tensor | np.ndarray):
        return difference(argument, before, 0) is not None
    return argument is not before


@contextlib.contextmanager
def _same_random_numbers() -> Iterator[None]:
    """Whatever is drawn inside, the generators stand afterwards where they stood."""
    ours, numpys = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(range(torch.cuda.device_count())):
        torch.manual_seed(0)
        np.random.seed(0)
        random.seed(0)
        try:
            yield
        finally:
            random.setstate(ours)
            np.random.set_state(numpys)


@contextlib.contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError where the block takes too long; in the main thread, as cells run."""
    main, late, done = threading.get_ident(), threading.Event(), threading.Event()

    def interrupt() -> None:
        wait = seconds
        while not done.wait(wait):  # again, should the block have caught it
            wait = 1
            late.set()
            if hasattr(signal, "pthread_kill"):  # ends a sleep as well, but Windows has none
                signal.pthread_kill(main, signal.SIGINT)
            else:
                _thread.interrupt_main()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    threading.Thread(target=interrupt, daemon=True).start()
    try:
        yield
    except KeyboardInterrupt:
        if late.is_set():
            raise TimeoutError from None
        raise
    finally:
        done.set()
