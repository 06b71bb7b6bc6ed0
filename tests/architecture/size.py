"""Rules on names and sizes: no meaningless module name, no long module or function, no code that nobody calls."""

import ast
import re
from pathlib import Path

from tests.architecture.source import Module, last_name

MEANINGLESS = {"utils", "helpers", "common", "base", "models", "manager"}

ATTRS = {"define", "frozen"}

MAX_MODULE_LINES = 400

MAX_FUNCTION_LINES = 60


def names_mean_something(module: Module) -> list[str]:
    """Find module and folder names that say nothing."""
    return [part for part in Path(module.path).with_suffix("").parts if part in MEANINGLESS]


def module_is_short(module: Module) -> list[str]:
    """Find a module with too many lines."""
    count = len(module.source.splitlines())
    return [f"{count} lines"] if count > MAX_MODULE_LINES else []


def functions_are_short(module: Module) -> list[str]:
    """Find functions with too many lines of code; docstring, comments and blank lines do not count."""
    lines = module.source.splitlines()
    found = []
    for function in module.functions:
        first = function.body[1:] if ast.get_docstring(function) else function.body
        start = first[0].lineno if first else function.lineno
        code = [text for text in lines[start - 1 : function.end_lineno] if re.match(r"\s*[^#\s]", text)]
        if len(code) > MAX_FUNCTION_LINES:
            found.append(f"{function.name}: {len(code)}")
    return found


def services_are_not_compared(module: Module) -> list[str]:
    """Find attrs classes with an async method for which attrs makes ``==`` or ``repr``: each takes 2 KB of a worker."""
    classes = (node for node in ast.walk(module.tree) if isinstance(node, ast.ClassDef))
    services = [one for one in classes if any(isinstance(part, ast.AsyncFunctionDef) for part in one.body)]
    return [one.name for one in services if any(map(_makes_comparison, one.decorator_list))]


def _makes_comparison(decorator: ast.expr) -> bool:
    if not isinstance(decorator, ast.Call):
        return last_name(decorator) in ATTRS
    off = {word.arg for word in decorator.keywords if ast.unparse(word.value) == "False"}
    return last_name(decorator.func) in ATTRS and not {"eq", "repr"} <= off
