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

An answer that does what a mistake does, in the case that fails and in all before it, is told that
mistake's sentence; any other with wrong values the exercise's question. `tests/test_exercises.py`
holds every exercise to this.
"""

import _thread
import contextlib
import copy
import inspect
import io
import random
import re
import signal
import textwrap
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from types import FrameType
from typing import Any, NamedTuple, NoReturn
from unittest import mock

import numpy as np
import torch

CUT = "Something cuts the graph: detach, item, no_grad, NumPy?"
IN_PLACE = "In place, a step overwrites what the gradient needs: make a new tensor."
WHOLE = "/ makes a float, // a whole number."
UNREGISTERED = (
    "Layers in a plain list are not registered: give each a name, self.…, or nn.ModuleList."
)

HELPS = {  # by words in the text of an exception
    "inplace": IN_PLACE,
    "in-place": IN_PLACE,
    "not require grad": "Nothing was recorded. Which tensor of yours needs requires_grad_()?",
    "only for scalar outputs": "A gradient is that of one number. Of which?",
    "Can't call numpy()": "NumPy knows no gradients: stay with tensors.",
    "torch.return_types": "Over an axis, min, max and median give a pair: .values has the values.",
    "tuple of ints": WHOLE,
    "cannot be interpreted as an integer": WHOLE,
    "uninitialized parameter": "A lazy layer has no weights before its first call: give its sizes.",
}

MARKS = {"open": "○", "wrong": "✗", "solved": "✓"}


class Open(Exception):
    """Nothing has been written yet."""


class Wrong(Exception):
    """What an answer did, in a sentence, and a sentence that helps."""


class Difference(NamedTuple):
    """How a value differs, and a sentence that helps; None where the exercise's question does."""

    what: str
    help: str | None = None


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
        state, words = self._judged(answer, seconds)
        print(MARKS[state], self.number + words)
        if self.state != "solved":  # whoever has solved it may go on playing
            self.state = state

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
            with _same_random_numbers(), torch.enable_grad():
                _within(seconds, partial(self._judge, trial))
        except Open:
            return "open", ' is open: replace "raise NotImplementedError" and run the cell again'
        except Wrong as wrong:
            return "wrong", f": {wrong} {self._next()}"
        except TimeoutError:
            return "wrong", f": {trial.call} took more than {seconds:g} s. {self._next()}"
        except Exception as error:  # of the judge, at a value that nobody thought of
            words = f"could not be tried: {_said(error)}. {trial.helps_with(error)}".strip()
            return "wrong", f": {trial.call} {words} {self._next()}"
        if trial.printed:
            words = "is right, but prints: return the result, and print nothing."
            return "wrong", f": {self.name} {words} {self._next()}"
        return "solved", f": right {trial.times}. {self.shown}"


class Trial:
    """Somebody's function on trial: call it like the function, and judge what comes out."""

    def __init__(self, exercise: Exercise, function: Callable[..., Any], name: str):
        self.exercise, self.function, self.name = exercise, function, name
        self.call, self.calls = f"{name}()", 0
        self.arguments: dict[str, Any] = {}
        self.printed: list[str] = []
        self.passed: list[Outcome] = []
        self.refused: list[tuple[Any, str, str]] = []
        self.helps = dict(HELPS)

    def refuse(self, owner: Any, name: str, words: str) -> None:
        """Find every answer wrong that calls ``owner.name``, by whatever name of its own."""
        self.refused.append((owner, name, words))

    def explain(self, helps: dict[str, str]) -> None:
        """Give the sentence that helps where an answer fails with such words."""
        self.helps = helps | self.helps

    def helps_with(self, error: BaseException) -> str:
        """The sentence that helps with a failure, if there is one."""
        text = f"{type(error).__name__}: {error}"
        return next((help for words, help in self.helps.items() if words in text), "")

    def of(self, function: Callable[..., Any]) -> "Trial":
        """The same trial, of what its last call gave."""
        trial = copy.copy(self)  # with the same lists
        trial.function, trial.name, trial.calls = function, self.call, 0
        return trial

    @property
    def times(self) -> str:
        return f"in {self.calls} drawn cases" if self.calls > 1 else "in the one case there is"

    def __call__(self, *arguments: Any, **options: Any) -> "Outcome":
        words = [brief(a) for a in arguments] + [f"{k}={brief(v)}" for k, v in options.items()]
        self.call, self.calls = f"{self.name}({', '.join(words)})", self.calls + 1
        given = [*arguments, *options.values()]
        before, printed = _snapshot(given), io.StringIO()
        with contextlib.suppress(TypeError, ValueError):
            named = getattr(self.function, "forward", self.function)
            self.arguments = inspect.signature(named).bind(*arguments, **options).arguments
        try:
            with (
                contextlib.redirect_stdout(printed),
                warnings.catch_warnings(action="ignore"),  # the line says what is wrong
                self._refusals(),
            ):
                value = self.function(*arguments, **options)
        except Wrong:
            raise
        except (Exception, SystemExit) as error:
            if isinstance(error, NotImplementedError) and not str(error):  # torch's say something
                raise Open from None
            self.wrong(f"raised {_said(error)}.", self.helps_with(error))
        self.printed += [printed.getvalue()] if printed.getvalue() else []
        if value is None and printed.getvalue():
            self.wrong("prints, and gave None.", "Return the result, and print nothing.")
        if value is None:
            self.wrong("gave None.", "Does every way through your function end in a return?")
        for argument, was in zip(given, before, strict=True):
            if _changed(argument, was):
                kind = "array" if isinstance(argument, np.ndarray) else "tensor"
                kind = "list" if isinstance(argument, tuple | list) else kind
                self.wrong("changed its input.", f"Work on a copy, or make a new {kind}.")
        return Outcome(self, value, lambda mistaken: mistaken(*arguments, **options))

    @contextlib.contextmanager
    def _refusals(self) -> Iterator[None]:
        """Inside, calling what is refused raises `Wrong`."""
        names = getattr(self.function, "__globals__", {})
        with contextlib.ExitStack() as patches:
            for owner, name, words in self.refused:
                wrong = Wrong(f"{self.call} uses {words}, which it is to do without.")
                refused, refusal = getattr(owner, name), mock.Mock(side_effect=wrong)
                patches.enter_context(mock.patch.object(owner, name, refusal))
                own = [alias for alias, value in names.items() if value is refused]
                names.update(dict.fromkeys(own, refusal))
                patches.callback(names.update, dict.fromkeys(own, refused))
            yield

    def wrong(self, what: str, help: str | None = None) -> NoReturn:
        """Find the answer wrong: what its last call did, and a sentence that helps."""
        help = self.exercise.question if help is None else help
        raise Wrong(f"{self.call} {what} {help}".strip())

    def name_of(self, tensor: torch.Tensor) -> str:
        """What a tensor is called: an argument, or a parameter of the layer that was called."""
        named = dict(self.arguments)
        if isinstance(self.function, torch.nn.Module):
            named |= dict(self.function.named_parameters())
        return next((name for name, value in named.items() if value is tensor), "what it was given")


class Outcome:
    """What a call gave."""

    def __init__(
        self, trial: Trial, value: Any, again: Callable[[Callable[..., Any]], Any]
    ) -> None:
        self.trial, self.value, self._again = trial, value, again
        self.tolerance = 1e-4

    def __call__(self, *arguments: Any, **options: Any) -> "Outcome":
        """Call what the call gave: a layer, a network, a function."""
        outcome = self.trial.of(self.value)(*arguments, **options)
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
        if unlike := difference(self.value, expected, tolerance, oracle):
            self.trial.wrong(f"{unlike.what}.", self.recognised() or unlike.help)
        for tensor in gradients:
            wanted, name = _gradient(expected, tensor), self.trial.name_of(tensor)
            try:
                found = _gradient(self.value, tensor)
            except RuntimeError as error:  # the answer went backward itself, or wrote in place
                what = f"is right, but its gradient raised {_said(error)}."
                self.trial.wrong(what, self.trial.helps_with(error))
            if found is None and wanted is not None:
                what = f"is right, but no gradient goes back to {name}."
                self.trial.wrong(what, self.recognised(tensor) or CUT)
            if difference(found, wanted, tolerance):
                what = f"is right, but its gradient for {name} is not."
                self.trial.wrong(what, self.recognised(tensor))
        self.trial.passed.append(self)

    def parameters(self, *shapes: tuple[int, ...]) -> list[torch.Tensor]:
        """The parameters of a layer or network that the call made, one of each shape."""
        if not isinstance(self.value, torch.nn.Module):
            self.trial.wrong(f"gave {brief(self.value)}, an nn.Module was expected.", "")
        left, found = list[torch.Tensor](self.value.parameters()), list[torch.Tensor]()
        for shape in shapes:
            fitting = [i for i, parameter in enumerate(left) if parameter.shape == shape]
            if not fitting:
                own = ", ".join(str(tuple(p.shape)) for p in self.value.parameters())
                what = f"has parameters of other shapes than asked for: {own}."
                if not own:
                    self.trial.wrong("has no parameters.", self.recognised() or UNREGISTERED)
                self.trial.wrong(what, self.recognised() or "")
            found.append(left.pop(fitting[0]))
        if left:
            what = f"has a parameter of shape {tuple(left[0].shape)} too many."
            self.trial.wrong(what, self.recognised() or "")
        return found

    def recognised(self, tensor: torch.Tensor | None = None) -> str | None:
        """The sentence of the first mistake that comes to the same, if there is one.

        With ``tensor``, the gradient there must come to the same too.
        """
        for sentence, mistaken in self.trial.exercise.mistakes:
            if self._agrees(mistaken, tensor) and all(
                outcome._agrees(mistaken) for outcome in self.trial.passed[:20]
            ):
                return sentence
        return None

    def _agrees(self, mistaken: Callable[..., Any], tensor: torch.Tensor | None = None) -> bool:
        """Whether the mistake comes to the same here."""
        with contextlib.suppress(Exception), contextlib.redirect_stdout(io.StringIO()):
            value = self._again(mistaken)
            if isinstance(value, torch.nn.Module):
                return _shapes(value) == _shapes(self.value)
            if not difference(self.value, value, self.tolerance):
                if tensor is None:
                    return True
                ours, theirs = _gradient(self.value, tensor), _gradient(value, tensor)
                return not difference(ours, theirs, self.tolerance)
        return False

    def _twin(self, mistaken: Callable[..., Any]) -> Any:
        """What the mistake makes in place of this value, with this value's parameters."""
        twin = self._again(mistaken)
        if not isinstance(twin, torch.nn.Module):
            return twin
        named = dict(twin.named_parameters())
        own = self.parameters(*(parameter.shape for parameter in named.values()))
        swapped = dict(zip(named, own, strict=True))
        twin.train(self.value.training)
        return lambda *given, **options: torch.func.functional_call(twin, swapped, given, options)


def _shapes(module: torch.nn.Module) -> list[tuple[int, ...]]:
    return sorted(tuple(parameter.shape) for parameter in module.parameters())


def _gradient(result: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor | None:
    """The gradient of all numbers of the result, each with another weight; None without a graph."""
    total = (result * torch.linspace(1, 2, result.numel()).reshape(result.shape)).sum()
    if not total.requires_grad:
        return None
    return torch.autograd.grad(total, tensor, retain_graph=True, allow_unused=True)[0]


def difference(
    value: Any, expected: Any, tolerance: float = 1e-4, oracle: str = "expected"
) -> Difference | None:
    """Say how a value differs from the expected one; None if it does not, but for rounding.

    Whole numbers must be equal, others within ``tolerance`` of the largest of them.
    """
    unlike = Difference(f"gave {brief(value)}, {oracle} {brief(expected)}")
    if isinstance(expected, tuple | list):
        if not isinstance(value, tuple | list) or len(value) != len(expected):
            asked = f"a {type(expected).__name__} of {len(expected)}"
            return Difference(f"gave {brief(value)}, {asked} is asked for", "")
        for number, pair in enumerate(zip(value, expected, strict=True), start=1):
            if part := difference(*pair, tolerance, oracle):
                return part._replace(what=f"{part.what} (value {number} of {len(expected)})")
        return None
    if expected is None or isinstance(expected, str):
        return None if isinstance(value, type(expected)) and value == expected else unlike
    for kind in (torch.Tensor, np.ndarray):
        if isinstance(expected, kind) and not isinstance(value, kind):
            return Difference(_of_wrong_kind(value, expected, tolerance), "")
    if isinstance(value, tuple | list) and np.ndim(expected) == 0:
        return Difference(f"gave {brief(value)}, one number is asked for", "")
    try:
        got, wanted = _as_array(value), _as_array(expected)
    except (TypeError, ValueError):
        return unlike
    if got.shape != wanted.shape:
        shapes = [f"{array.shape}" if array.shape else "one number" for array in (got, wanted)]
        gave = "the shape " if got.shape else ""
        return Difference(f"gave {gave}{shapes[0]}, {oracle} {shapes[1]}", "")
    if np.issubdtype(wanted.dtype, np.integer):
        tolerance = 0
    got, wanted = got.astype(float), wanted.astype(float)
    scale = np.max(np.abs(wanted), where=np.isfinite(wanted), initial=0.01)
    far = ~np.isclose(got, wanted, rtol=tolerance, atol=tolerance * scale, equal_nan=True)
    if not far.any():
        return None
    if isinstance(expected, bool):
        return unlike
    worst = np.argmax(np.where(far, np.nan_to_num(np.abs(got - wanted), nan=np.inf), -1))
    place = tuple(int(i) for i in np.unravel_index(worst, got.shape))
    where, digits = f" at {list(place)}" if place else "", ".6g" if tolerance else ".12g"
    gave = f"gave {got[place] + 0:{digits}}{where}"
    return Difference(f"{gave}, {oracle} {wanted[place] + 0:{digits}}")


def _of_wrong_kind(value: Any, expected: Any, tolerance: float) -> str:
    """Say that a tensor or an array was asked for, and whether the numbers at least are right."""
    asked = "a tensor" if torch.is_tensor(expected) else "a NumPy array"
    kinds = {torch.Tensor: "a tensor", np.ndarray: "a NumPy array", list: "a list"}
    kinds |= {tuple: "a tuple"}
    kind = next((words for kind, words in kinds.items() if isinstance(value, kind)), None)
    with contextlib.suppress(TypeError, ValueError):
        if kind and not difference(_as_array(value), _as_array(expected), tolerance):
            return f"has the right numbers; {asked} is asked for, this is {kind}"
    return f"gave {brief(value)}, {asked} is asked for"


def brief(value: Any) -> str:
    """A value in a few words: tensors by their shape, unless they are tiny."""
    if isinstance(value, torch.Tensor | np.ndarray):
        kind = "tensor" if torch.is_tensor(value) else "array"
        if value.ndim <= 1 and np.prod(value.shape) <= 6:
            return f"{kind}({np.round(_as_array(value), 3).tolist()})"
        return f"{kind} of shape {tuple(value.shape)}"
    if isinstance(value, torch.nn.Module | torch.optim.Optimizer) or callable(value):
        return getattr(value, "__name__", type(value).__name__)
    if isinstance(value, float | np.floating):
        return repr(float(f"{value:.6g}"))
    if isinstance(value, np.generic):
        return repr(value.item())
    if isinstance(value, torch.Generator | np.random.Generator | np.random.RandomState):
        return "rng"
    if isinstance(value, tuple | list):
        words = ", ".join(map(brief, value[:20]))
        left, right = "()" if isinstance(value, tuple) else "[]"
        comma = "," if left == "(" and len(value) == 1 else ""
        if len(value) <= 20 and len(words) <= 38:
            return f"{left}{words}{comma}{right}"
        return f"a {type(value).__name__} of {len(value)}"
    return textwrap.shorten(repr(value), 40, placeholder=" …")


def _said(error: BaseException) -> str:
    words = textwrap.shorten(str(error), 160, placeholder=" …")
    return f"{type(error).__name__}: {words}".rstrip(": .")


def _as_array(value: Any) -> Any:
    """Numbers as an array of numpy's, of 64 bits."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        value = value.double() if value.is_floating_point() else value.long()
    elif isinstance(value, tuple | list):
        value = [_as_array(part) for part in value]
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


def _within(seconds: float, function: Callable[[], None]) -> None:
    """Call the function; raise TimeoutError if it takes longer, in the main thread, as cells do."""
    if threading.current_thread() is not threading.main_thread():
        return function()
    main, late, done = threading.get_ident(), threading.Event(), threading.Event()

    def watch() -> None:
        wait = seconds
        while not done.wait(wait):
            wait = 1  # and again, should the function have caught it
            late.set()
            if hasattr(signal, "pthread_kill"):  # ends a sleep as well, but Windows has none
                signal.pthread_kill(main, signal.SIGINT)
            else:
                _thread.interrupt_main()

    def interrupted(number: int, frame: FrameType | None) -> None:
        if not (late.is_set() and done.is_set()):  # else it is the watcher's, and comes too late
            raise KeyboardInterrupt

    watcher, before = threading.Thread(target=watch), signal.signal(signal.SIGINT, interrupted)
    try:
        try:
            watcher.start()
            function()
        finally:
            done.set()
    except KeyboardInterrupt:
        if late.is_set():
            raise TimeoutError from None
        raise
    finally:
        done.set()
        watcher.join()
        signal.signal(signal.SIGINT, before)
