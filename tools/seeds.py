"""Execute the lessons with other random numbers, and list the assertions that then fail.

python tools/seeds.py [K] [NN …]      seeds larger by K (default 1); all lessons, or those named

Wherever a lesson sets a seed — ``torch.manual_seed(0)``, ``np.random.default_rng(seed)``, an
argument ``seed=`` or ``random_state=`` — the changed copy in build/seeds/ sets a seed that is
larger by K. So a loop over seeds runs over other ones, while the names and stored results that it
looks up stay the same. What fails is listed; the exit status is then 1. notebooks/ is never
written to. A script in a string, or in a cell that begins with ``%%writefile``, is changed as well.
"""

import ast
import os
import re
import sys

import nbformat
from _common import (
    lessons,
    plain_python,
    read_notebook,
    report_strays,
    settle_data,
    settle_environment,
    write_whole,
)

from notebooks import BUILD, FAILURES, NOTEBOOKS, execute

# Functions whose first argument is a seed, and arguments that are one.
SEEDING = {
    "PCG64",
    "Random",
    "RandomState",
    "SeedSequence",
    "default_rng",
    "manual_seed",
    "manual_seed_all",
    "seed",
}
SEED_ARGUMENTS = {"seed", "random_state"}

FAILED = "application/x-failed-assertion"  # the type of an output that reports one

# Defined in front of a changed cell: a generator or None in place of a number stays what it is.
SHIFT = """
def _shift_seed(seed):
    return seed + {shift} if hasattr(seed, "__index__") else seed
"""
REPORT = f"""
def _report_assertion(text, failure):
    from IPython.display import display
    display({{"{FAILED}": text, "text/plain": str(failure)}}, raw=True)
"""


def called_name(call):
    """Return the last part of the name that is called: ``manual_seed`` in all its spellings."""
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return getattr(call.func, "id", None)


def functions_with_seeds(trees):
    """Return the names of functions and classes, defined in the cells, that take a seed.

    They pass it on to something that is shifted already; shifting it twice would do no harm, but
    two places with the same seed must keep the same.
    """
    names = set()
    for node in (node for tree in trees for node in ast.walk(tree)):
        functions = [node]
        if isinstance(node, ast.ClassDef):
            functions = [item for item in node.body if getattr(item, "name", "") == "__init__"]
        for function in functions:
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                arguments = [*function.args.posonlyargs, *function.args.args]
                arguments += function.args.kwonlyargs
                if SEED_ARGUMENTS & {argument.arg for argument in arguments}:
                    names.add(node.name)
    return names


class ShiftSeeds(ast.NodeTransformer):
    """Let every seed that is set be a larger one."""

    def __init__(self, shift, own_functions=(), in_string=False):
        self.shift = shift
        self.own_functions = own_functions
        self.in_string = in_string

    def shifted(self, node):
        """Return the expression of a seed, larger by the shift."""
        if isinstance(node, ast.Constant):
            is_seed = isinstance(node.value, int) and not isinstance(node.value, bool)
            return ast.Constant(node.value + self.shift) if is_seed else node
        if self.in_string:  # where nothing can be defined: it may be a part of a script
            return ast.BinOp(node, ast.Add(), ast.Constant(self.shift))
        return ast.Call(ast.Name("_shift_seed"), [node], [])

    def visit_Constant(self, node):
        """Shift the seeds in a string that holds a script."""
        if not isinstance(node.value, str) or "\n" not in node.value:
            return node
        try:
            script = ast.parse(node.value)
        except SyntaxError:
            return node
        before = ast.unparse(script)
        own_functions = functions_with_seeds([script])
        script = ShiftSeeds(self.shift, own_functions, in_string=True).visit(script)
        after = ast.unparse(script)
        return node if after == before else ast.Constant(f"\n{after}\n")

    def visit_Call(self, node):
        """Shift ``manual_seed(0)``, and ``seed=0`` in a call of a library's function."""
        self.generic_visit(node)
        if called_name(node) in SEEDING:
            if node.args and not isinstance(node.args[0], ast.Starred):
                node.args[0] = self.shifted(node.args[0])
            seeds = SEED_ARGUMENTS
        else:
            is_own = isinstance(node.func, ast.Name) and node.func.id in self.own_functions
            seeds = set() if is_own else SEED_ARGUMENTS
        for keyword in node.keywords:
            if keyword.arg in seeds:
                keyword.value = self.shifted(keyword.value)
        return node

    def visit_Dict(self, node):
        """Shift the number in ``{"seed": 0}``, which becomes an argument of some call."""
        self.generic_visit(node)
        for index, key in enumerate(node.keys):
            value = node.values[index]
            is_seed = isinstance(key, ast.Constant) and key.value in SEED_ARGUMENTS
            if is_seed and isinstance(value, ast.Constant):
                node.values[index] = self.shifted(value)
        return node


class ReportAssertions(ast.NodeTransformer):
    """Let an assertion that fails report itself, and the cell go on to the next one."""

    def visit_Try(self, node):
        """Leave an assertion alone if the lesson itself handles its failure."""
        return node if node.handlers else self.generic_visit(node)

    def visit_Assert(self, node):
        """Put a handler around the assertion."""
        report = ast.parse(f"_report_assertion({ast.unparse(node)!r}, _failure)").body
        handler = ast.ExceptHandler(ast.Name("AssertionError"), "_failure", report)
        return ast.Try([node], [handler], [], [])


def parsed(source):
    """Return the syntax tree of a cell, or None for what is no Python."""
    try:
        return ast.parse(plain_python(source))
    except SyntaxError:
        return None


def change(sources, shift):
    """Shift the seeds in the code cells of a lesson, and let its assertions report themselves.

    Parameters
    ----------
    sources : list of str
        The code of its cells, IPython's magics included.
    shift : int
        What is added to every seed.

    Returns
    -------
    list of str
        The changed code. A cell that cannot be parsed, or sets no seed and asserts nothing, stays
        as it is.
    """
    trees = [parsed(source) for source in sources]
    own_functions = functions_with_seeds(tree for tree in trees if tree is not None)
    changed = []
    for source, tree in zip(sources, trees, strict=True):
        if tree is not None:
            source = change_cell(source, tree, shift, own_functions)
        changed.append(source)
    return changed


def change_cell(source, tree, shift, own_functions):
    """Return the changed code of a cell, whose syntax tree is given; see `change`."""
    before = ast.unparse(tree)
    magic = source.lstrip().partition("\n")[0]
    tree = ShiftSeeds(shift, own_functions).visit(tree)
    if not magic.startswith("%%writefile"):  # a script has no notebook to report to
        tree = ReportAssertions().visit(tree)
    code = ast.unparse(ast.fix_missing_locations(tree))
    if code == before:
        return source
    if "_shift_seed" in code:
        code = SHIFT.format(shift=shift) + code
    if "_report_assertion" in code:
        code = REPORT + code
    return f"{magic}\n{code}" if magic.startswith("%%") else code


def failed_assertions(notebook):
    """Yield (index of the cell, text) of each assertion that failed, once."""
    reported = set()
    for index, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            text = output.get("data", {}).get(FAILED)
            if text is not None and (index, text) not in reported:
                reported.add((index, text))
                yield index, text


def run(shift, prefixes):
    """Execute the lessons with shifted seeds; return how many findings were printed."""
    report_strays(NOTEBOOKS)
    paths = [path for path in lessons(NOTEBOOKS) if path.stem.startswith(tuple(prefixes) or "")]
    if not paths:
        sys.exit(f"no lesson begins with {' or '.join(prefixes)}")
    folder = BUILD / "seeds"
    folder.mkdir(parents=True, exist_ok=True)
    findings = []
    for number, path in enumerate(paths, start=1):
        notebook = read_notebook(path)
        code_cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
        changed = change([cell.source for cell in code_cells], shift)
        for cell, source in zip(code_cells, changed, strict=True):
            cell.source = source
            cell.outputs = []
        error_text = None
        try:
            execute(notebook, f"[{number}/{len(paths)}] {path.stem}")
        except FAILURES as error:
            last_line = re.sub(r"\x1b\[[\d;]*m", "", str(error)).strip().rpartition("\n")[2]
            where = error.__notes__[-1].partition(" (")[0]
            error_text = f"{path.stem}, {where}: {last_line}"
        write_whole(folder / path.name, nbformat.writes(notebook) + "\n")
        for index, text in failed_assertions(notebook):
            findings.append(f"{path.stem}, cell {index}: {text}")
        if error_text is not None:
            findings.append(error_text)
    print(f"\nseeds shifted by {shift}: {len(findings)} findings")
    for finding in findings:
        print(f"  {finding}")
    return len(findings)


if __name__ == "__main__":
    arguments = sys.argv[1:] or ["1"]
    if not re.fullmatch(r"-?\d+", arguments[0]) or int(arguments[0]) == 0:
        sys.exit(__doc__)
    settle_environment()
    settle_data()
    os.environ["TQDM_DISABLE"] = "1"
    sys.exit(run(int(arguments[0]), arguments[1:]) > 0)
