"""Every exercise: open as a stub, right when answered, wrong in words for each known mistake."""

import contextlib
import importlib
import inspect
import json
import pkgutil
import random
import re
import signal
import threading
import time
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

import convae_lib.exercises
from convae_lib.exercises._exercise import HELPS, Lesson, difference

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("[0-9][0-9]_*.ipynb"))
NAMES = [m.name for m in pkgutil.iter_modules(convae_lib.exercises.__path__) if m.name[0] != "_"]
LESSONS = {n[-2:]: importlib.import_module(f"convae_lib.exercises.{n}") for n in NAMES}
EXERCISES = [exercise for module in LESSONS.values() for exercise in module.lesson.exercises]
MISTAKES = [(e, *mistake) for e in EXERCISES for mistake in e.mistakes]
WAYS = ["raises", "gives None", "prints", "exits", "is slow", "sleeps"]
exercises = pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.number)


@cache
def notebook(number):
    (path,) = (path for path in NOTEBOOKS if path.name.startswith(number))
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def stub(exercise):
    """The names that a reader has when they come to the exercise, its stub among them."""
    cells, space = notebook(exercise.number[:2]), {"__name__": "__main__"}
    (asked,) = (cell for cell in cells if f"ex.{exercise.name}.check(" in cell)
    for cell in cells[: cells.index(asked)]:
        for line in re.findall(r"^(?:import|from) .*$", cell, re.MULTILINE):
            exec(line, space)
    exec(asked, space)
    return space


@exercises
def test_the_stub_in_the_notebook_is_open(exercise, capsys):
    exercise.state = "open"  # whatever was tried before
    given = stub(exercise)[exercise.name]
    number = exercise.number
    open_line = f'○ {number} is open: replace "raise NotImplementedError" and run the cell again\n'
    assert capsys.readouterr().out == open_line
    assert exercise.state == "open"
    assert callable(given)


@exercises
def test_the_solution_solves_the_stub(exercise, capsys):
    space = stub(exercise)
    capsys.readouterr()
    exercise.solution()
    exec(capsys.readouterr().out, space)
    exercise.check(space[exercise.name])
    assert capsys.readouterr().out.startswith(f"✓ {exercise.number}: ")


@exercises
def test_an_exercise_knows_four_mistakes_and_gives_two_hints(exercise, capsys):
    assert len({sentence for sentence, _ in exercise.mistakes}) >= 4
    assert len({*exercise.hints}) == len(exercise.hints) >= 2
    for hint in exercise.hints:
        exercise.hint()
        assert hint in capsys.readouterr().out
    exercise.hint()
    assert f"Next: ex.{exercise.name}.solution()" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("exercise", "sentence", "mistaken"),
    MISTAKES,
    ids=[f"{e.number}-{sentence[:40]}" for e, sentence, _ in MISTAKES],
)
def test_a_known_mistake_is_wrong_and_hears_what_helps(exercise, sentence, mistaken, capsys):
    exercise.check(mistaken)
    line = capsys.readouterr().out
    assert line.startswith(f"✗ {exercise.number}: ")
    assert line.count("\n") == 1
    assert sentence in line
    assert "Next: ex." in line


def misbehaving(way, answer):
    def given(*arguments, **options):
        if way == "raises":
            raise ZeroDivisionError("division by zero")
        if way == "exits":
            raise SystemExit
        if way == "prints":
            print("so it goes")
            return answer(*arguments, **options)
        if way == "sleeps":
            time.sleep(60)
        while way == "is slow":
            pass

    return given


@pytest.mark.parametrize("way", WAYS)
@exercises
def test_whatever_an_answer_does_is_said_in_words(exercise, way, capsys):
    start = time.monotonic()
    late = way in ("is slow", "sleeps")
    exercise.check(misbehaving(way, exercise.answer), seconds=0.03 if late else 20)
    line = capsys.readouterr().out
    assert line.startswith(f"✗ {exercise.number}: ")
    assert line.count("\n") == 1
    said = {"raises": "ZeroDivisionError: division by zero", "gives None": "gave None"}
    said |= {"prints": "is right, but prints", "exits": "SystemExit"}
    assert said.get(way, "took more than 0.03 s") in line
    assert time.monotonic() - start < 30


def spoil(values):
    """Change all tensors, arrays and lists among the values; say how many there are."""
    kinds = {torch.Tensor: lambda x: x.data.logical_not_(), list: lambda x: x.append(x)}
    kinds[np.ndarray] = lambda x: np.copyto(x, x == 0, casting="unsafe")
    spoiled = [kinds[type(value)](value) for value in values if type(value) in kinds]
    return len(spoiled)


@exercises
def test_an_answer_that_changes_what_it_was_given_is_wrong(exercise, capsys):
    spoiled = 0

    def spoiling(*arguments, **options):
        nonlocal spoiled
        value = exercise.answer(*arguments, **options)
        if isinstance(value, torch.nn.Module):  # its forward is given tensors, made it was of sizes
            forward = value.forward
            value.forward = lambda x: (forward(x), spoil([x]))[0]
            spoiled = 1
        value = list(value) if inspect.isgenerator(value) else value
        spoiled += spoil([*arguments, *options.values()])
        return value

    exercise.check(spoiling)
    line = capsys.readouterr().out
    assert ("changed its input" in line and line.startswith("✗")) == bool(spoiled)


@exercises
def test_a_check_draws_no_random_number_of_the_readers(exercise, capsys):
    def draw():
        return random.random(), np.random.rand(), torch.rand(()).item()

    def restart():
        random.seed(1), np.random.seed(1), torch.manual_seed(1)

    def unanswered(*arguments, **options):
        draw()
        raise NotImplementedError

    restart()
    expected = draw()
    for answer in (unanswered, misbehaving("raises", None), exercise.answer):
        restart()
        exercise.check(answer)
        assert draw() == expected


@pytest.mark.parametrize("number", LESSONS)
def test_a_lesson_has_a_cell_for_every_exercise_and_no_other(number):
    module, cells = LESSONS[number], "\n".join(notebook(number))
    asked = re.findall(r"^ex\.(\w+)\.check\((\w+)\)$", cells, re.MULTILINE)
    assert asked == [(e.name, e.name) for e in module.lesson.exercises]
    for verb in ("hint", "solution"):
        assert re.findall(rf"^# ex\.(\w+)\.{verb}\(\)$", cells, re.MULTILINE) == [
            n for n, _ in asked
        ]
    assert cells.count("raise NotImplementedError  # your turn") >= len(asked)
    assert 3 <= len(asked) <= 5
    assert "ex.progress()" in cells


@pytest.mark.parametrize("number", LESSONS)
def test_with_every_answer_filled_in_all_are_solved(number, capsys):
    space, lesson = {"__name__": "__main__"}, LESSONS[number].lesson
    for cell in notebook(number):
        for name in re.findall(r"^ex\.(\w+)\.check\(", cell, re.MULTILINE):
            capsys.readouterr()
            getattr(space["ex"], name).solution()
            exec(capsys.readouterr().out, space)
            cell = f"ex.{name}.check({name})"
        lines = re.findall(r"^(?:import |from |ex\.).*$", cell, re.MULTILINE)
        exec("\n".join(lines), space)
    shown = [f"✓ {exercise.number} {exercise.name}: solved\n" for exercise in lesson.exercises]
    assert capsys.readouterr().out.endswith("".join(shown))


# The framework itself, with exercises of three lines.


@pytest.fixture
def lesson():
    lesson = Lesson("99")

    @lesson.exercise("What is a square?", hints=("Times.", "x * x"), shown="Well.")
    def square(x):
        return x * x

    @square.judge
    def _(trial):
        for x in (torch.tensor([2.0, 3.0]), torch.randn(3, 4)):
            x.requires_grad_()
            trial(x).gives(x**2, "a square is", gradients=[x])

    @square.mistake("That is doubled.")
    def _(x):
        return 2 * x

    @square.mistake("Who cut the graph?")
    def _(x):
        return (x * x).detach()

    @lesson.exercise("What is a total?", hints=("Sum.", "sum()"), shown="Well.")
    def total(numbers, *, of):
        return sum(numbers)

    @total.judge
    def _(trial):
        trial([1, 2, 317_000], of="a list").gives(317_003)
        trial(np.array([1.0, 2.0]), of="an array").gives(3.0)

    @lesson.exercise("What does it do?", hints=("Linear.", "nn.Linear"), shown="Well.")
    class Scale(torch.nn.Module):
        def __init__(self, size):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.rand(size))

        def forward(self, x):
            return x * self.weight

    @Scale.judge
    def _(trial):
        made = trial(4)
        (weight,) = made.parameters((4,))
        x = torch.randn(3, 4)
        made(x).gives(x * weight, gradients=[weight])

    @Scale.mistake("Plus is not times.")
    class _(Scale.answer):
        def forward(self, x):
            return x + self.weight

    @Scale.mistake("A bias is not asked for.")
    class _(Scale.answer):
        def __init__(self, size):
            super().__init__(size)
            self.bias = torch.nn.Parameter(torch.zeros(1))

    return lesson


def said(exercise, answer, capsys):
    capsys.readouterr()
    exercise.check(answer)
    return capsys.readouterr().out


def test_progress_tells_open_wrong_and_solved(lesson, capsys):
    square, total, _ = lesson.exercises
    square.check(square.answer)
    square.check(lambda x: x)  # solved it is
    total.check(lambda numbers, of: 0)
    capsys.readouterr()
    lesson.progress()
    shown = "✓ 99.1 square: solved\n✗ 99.2 total: wrong\n○ 99.3 Scale: open\n"
    assert capsys.readouterr().out == shown


def test_a_line_tells_what_came_what_was_expected_and_what_helps(lesson, capsys):
    square, total, _ = lesson.exercises
    assert said(square, square.answer, capsys) == "✓ 99.1: right in 2 drawn cases. Well.\n"
    assert said(square, lambda x: 2 * x, capsys) == (
        "✗ 99.1: square(tensor([2.0, 3.0])) gave 6 at [1], a square is 9. That is doubled. "
        "Next: ex.square.hint()\n"
    )
    assert said(total, lambda numbers, of: 317_004, capsys) == (
        "✗ 99.2: total([1, 2, 317000], of='a list') gave 317004, expected 317003. "
        "What is a total? Next: ex.total.hint()\n"
    )
    assert "What is a square?" in said(square, lambda x: x + 7, capsys)
    for wrong, words in [
        (lambda x: 0, "gave 0, a tensor is asked for."),
        (lambda x: x[:1], "gave the shape (1,), a square is (2,)."),
        (lambda x: x.sum(), "gave one number, a square is (2,)."),
        (lambda x: "9", "gave '9', a tensor is asked for."),
        (lambda x: (x, x), "gave (tensor([2.0, 3.0]), tensor([2.0, 3.0])), a tensor is asked for."),
        (lambda x: (x * x).tolist(), "right numbers; a tensor is asked for, this is a list."),
        (lambda x: (x * x).detach().numpy(), "asked for, this is a NumPy array."),
        (lambda x: x + 7 and 1 / 0, "raised RuntimeError: Boolean value of Tensor"),
        (lambda x: x.mul_(x), "in-place operation. In place, a step"),
    ]:
        line = said(square, wrong, capsys)
        assert words in line
        assert "What is a square?" not in line
        assert line.count("\n") == 1
    for few, words in [
        (np.array([1.0]), "gave the shape (1,), expected one number."),
        ((1, 2), "gave (1, 2), one number is asked for."),
        (np.float64(0.33), "gave 0.33, expected"),
    ]:
        assert words in said(total, lambda numbers, of, few=few: few, capsys)


def test_a_print_is_told_only_where_the_value_is_right(lesson, capsys):
    square = lesson.exercises[0]
    right = "is right, but prints: return the result, and print nothing."
    assert right in said(square, lambda x: print(x) or x * x, capsys)
    line = said(square, lambda x: print(x) or 2 * x, capsys)
    assert "That is doubled." in line
    assert "print" not in line
    assert "prints, and gave None. Return the result" in said(square, print, capsys)


def test_a_mistake_is_recognised_only_where_all_cases_agree(lesson, capsys):
    total = lesson.exercises[1]
    total.mistake("Always three.")(lambda numbers, *, of: 3.0)
    assert "Always three." not in said(
        total, lambda numbers, *, of: 317_003 if len(numbers) == 3 else 3.5, capsys
    )
    assert "What is a total?" in said(
        total, lambda numbers, *, of: 317_003 if len(numbers) == 3 else 4.0, capsys
    )


def test_what_is_to_be_written_can_be_refused(lesson, capsys):
    @lesson.exercise("What is a sum?", hints=("Add.", "Plus."), shown="Well.")
    def added(a, b):
        return a + b

    @added.judge
    def _(trial):
        trial.refuse(torch, "add", "torch.add")
        trial(1, 2).gives(3)

    space = {"torch": torch, "plus": torch.add}
    exec("answers = lambda a, b: torch.add(a, b), lambda a, b: plus(a, b)", space)
    for answer in space["answers"]:
        line = said(added, answer, capsys)
        assert "added(1, 2) uses torch.add, which it is to do without. Next" in line
    assert said(added, added.answer, capsys).startswith("✓")
    assert space["plus"] is torch.add
    assert torch.add(*torch.ones(2, 1)) == 2


def test_a_failure_can_be_explained(lesson, capsys):
    @lesson.exercise("What is a share?", hints=("Divide.", "a / b"), shown="Well.")
    def share(a, b):
        return a / b if b else 0

    @share.judge
    def _(trial):
        trial.explain({"ZeroDivisionError": "Of nothing, the share is 0."})
        trial(1, 0).gives(0)

    line = said(share, lambda a, b: a / b, capsys)
    assert "raised ZeroDivisionError: division by zero. Of nothing, the share is 0. Next" in line
    assert "Of nothing" not in said(share, lambda a, b: a[b], capsys)


def test_failures_that_torch_puts_badly_are_explained(lesson, capsys):
    square, _, scale = lesson.exercises
    failures = [
        (square, lambda x: x.mul_(x)),
        (square, lambda x: sum(part.mul_(2) for part in x.clone().unbind())),
        (square, lambda x: torch.autograd.grad(x.detach().sum(), x)),
        (square, lambda x: torch.autograd.grad(2 * x, x)),
        (square, lambda x: x.numpy()),
        (square, lambda x: 1 - x[None].min(dim=0)),
        (square, lambda x: x.reshape(len(x) / 1)),
        (square, lambda x: [x for _ in range(len(x) / 1)]),
        (scale, torch.nn.LazyLinear),
    ]
    for (exercise, answer), help in zip(failures, HELPS.values(), strict=True):
        assert f". {help} Next: ex." in said(exercise, answer, capsys)


def test_a_layer_is_judged_with_its_own_parameters(lesson, capsys):
    *_, scale = lesson.exercises
    assert said(scale, scale.answer, capsys).startswith("✓ 99.3: ")
    for sentence, mistaken in scale.mistakes:
        assert sentence in said(scale, mistaken, capsys)
    assert "Scale(4)(tensor of shape (3, 4)) gave" in said(scale, scale.mistakes[0][1], capsys)
    assert "has a parameter of shape (1,) too many" in said(scale, scale.mistakes[1][1], capsys)
    assert "has no parameters. Layers in a plain list" in said(scale, torch.nn.Identity, capsys)
    other = said(scale, lambda size: scale.answer(2), capsys)
    assert "other shapes than asked for: (2,)." in other
    assert "an nn.Module was expected" in said(scale, lambda size: size, capsys)
    assert "the class itself is asked for" in said(scale, scale.answer(4), capsys)

    class Unfinished(torch.nn.Module):
        def __init__(self, size):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.rand(size))

    assert "missing the required" in said(scale, Unfinished, capsys)  # not ○: torch raised it


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda x: x * x.detach(), "its gradient for x is not. What is a square?"),
        (lambda x: (x * x).detach(), "no gradient goes back to x. Who cut the graph?"),
        (lambda x: torch.tensor((x * x).tolist()), "no gradient goes back to x."),
    ],
)
def test_a_right_value_with_a_wrong_gradient_is_wrong(lesson, answer, words, capsys):
    line = said(lesson.exercises[0], answer, capsys)
    assert line.startswith("✗ 99.1: square(tensor([2.0, 3.0])) is right, but")
    assert words in line


def test_a_graph_that_the_answer_used_up_is_told_in_words(lesson, capsys):
    def backward(x):
        value = x * x
        value.sum().backward()
        return value

    assert "its gradient raised RuntimeError: " in said(lesson.exercises[0], backward, capsys)


def test_an_answer_that_changes_its_input_is_wrong(lesson, capsys):
    def in_place(x):
        with torch.no_grad():
            return x.mul_(x)

    def popped(numbers, of):
        whole = sum(numbers)
        numbers.pop()
        return whole

    def added(numbers, of):
        if isinstance(numbers, np.ndarray):
            numbers += 0.5
        return sum(numbers)

    square, total, _ = lesson.exercises
    for exercise, answer in ((square, in_place), (total, popped), (total, added)):
        line = said(exercise, answer, capsys)
        assert "changed its input. Work on a copy" in line
        assert exercise.state == "wrong"


@pytest.mark.parametrize("given", [9, None, "square", torch.ones(2)])
def test_only_a_function_can_be_checked(lesson, given, capsys):
    line = said(lesson.exercises[0], given, capsys)
    assert line.startswith("✗ 99.1: the function itself is asked for, got ")
    assert line.endswith("Write ex.square.check(square)\n")


def test_gradients_are_judged_where_the_reader_has_switched_them_off(lesson, capsys):
    square = lesson.exercises[0]
    with torch.no_grad():
        assert said(square, square.answer, capsys).startswith("✓")
        assert not torch.is_grad_enabled()


def test_a_check_in_a_thread_works(lesson, capsys):
    square = lesson.exercises[0]
    thread = threading.Thread(target=square.check, args=(square.answer,))
    thread.start()
    thread.join()
    assert capsys.readouterr().out.startswith("✓ 99.1: ")


def test_the_readers_own_interrupt_goes_through(lesson, capsys):
    def interrupted(x):
        signal.raise_signal(signal.SIGINT)
        return x

    random.seed(1)
    expected = random.getstate()
    with pytest.raises(KeyboardInterrupt):
        lesson.exercises[0].check(interrupted)
    assert random.getstate() == expected
    assert capsys.readouterr().out == ""
    assert lesson.exercises[0].state == "open"


def test_an_answer_that_catches_the_interrupt_is_interrupted_again(lesson, capsys):
    def stubborn(x):
        with contextlib.suppress(KeyboardInterrupt):
            time.sleep(60)
        time.sleep(60)

    lesson.exercises[0].check(stubborn, seconds=0.03)
    assert "took more than 0.03 s" in capsys.readouterr().out


def test_an_interrupt_never_comes_after_the_check(lesson, capsys):
    square, seconds, marks = lesson.exercises[0], 0.002, ""
    before = signal.getsignal(signal.SIGINT)
    while marks.count("✓") < 50 or "✗" not in marks:  # the limit stays close to what it takes
        square.check(square.answer, seconds=seconds)
        marks += capsys.readouterr().out[0]
        seconds *= 0.97 if marks[-1] == "✓" else 1.1
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(
    ("value", "expected", "differs"),
    [
        (318_480, 318_479, True),
        (np.int64(3), 3, False),
        (torch.tensor(3), 3, False),
        (3.0, 3, False),
        (0.300001, 0.3, False),
        (0.3001, 0.3, True),
        (1e-7, 2e-7, False),  # rounding alone
        (torch.tensor([1e-5, 1.0]), torch.tensor([0.0, 1.0]), False),
        (torch.tensor([1e-5, 2e-5]), torch.tensor([2e-5, 2e-5]), True),
        (torch.tensor([0.1]), np.array([0.1]), True),
        (torch.tensor(True), True, False),
        (False, True, True),
        ("a", "a", False),
        ("a", "b", True),
        ([1, "a"], (1, "a"), False),
        ((1, 2), (1, 2, 3), True),
        (float("nan"), float("nan"), False),
        (float("nan"), 1.0, True),
        (float("inf"), 1.0, True),
        (torch.zeros(2, dtype=torch.bfloat16), torch.zeros(2), False),
        (1j, 1.0, True),
        (object(), 1.0, True),
    ],
)
def test_a_difference_is_more_than_rounding(value, expected, differs):
    assert bool(difference(value, expected)) == differs
