"""One run of a module's tests in a process of its own, with a mutant in the module's place.

No file changes: the mutant is compiled from its syntax tree when the tests import the module.
"""

import ast
import importlib.abc
import importlib.machinery
import os
import resource
import sys
import tempfile
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType

import hypothesis
import pytest
from attrs import frozen

NOT_IMPORTED = 99
"""Exit status when the tests never imported the module: they cannot tell anything about it."""

MEMORY = 4 << 30
"""Bytes that a mutant's tests may map, since a loop without an end may also collect something."""


OPTIONS = (
    *("-x", "-q", "--tb=line", "-p", "no:cacheprovider"),
    # Both would import more than these tests need, every time.
    *("--noconftest", "-p", "no:schemathesis"),
    # All trials have imported hypothesis already.
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
)
"""What pytest is given besides the tests."""


@frozen
class Target:
    """A module and the tests that must notice a mistake in it.

    Attributes:
        module: its dotted name.
        tests: what pytest is given, relative to ``root``; the quickest first.
        root: the folder that both are found in.
    """

    module: str
    tests: tuple[str, ...]
    root: Path

    @property
    def path(self) -> Path:
        """The module's file."""
        return self.root / f"{self.module.replace('.', '/')}.py"


def run(target: Target, tree: ast.Module | None, output: Path) -> None:
    """Run the tests and exit with pytest's status. To be called in a process that has imported nothing of ``target``.

    Args:
        target: what is tested.
        tree: the mutant; None for the module as it is.
        output: what pytest prints.
    """
    os.setsid()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.chdir(target.root)
    sys.path.insert(0, str(target.root))
    finder = _Finder(target, tree or ast.parse(target.path.read_bytes()))
    sys.meta_path.insert(0, finder)
    with tempfile.TemporaryDirectory() as scratch:
        status = pytest.main(
            [*OPTIONS, f"--basetemp={scratch}/tests", *target.tests],
            plugins=[_Quick()],
        )
    sys.stdout.flush()
    # At once: what a mutant left running must not keep the process.
    os._exit(status if finder.used else NOT_IMPORTED)


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the mutant when the module is imported."""

    def __init__(self, target: Target, tree: ast.Module) -> None:
        self.used = False
        self._target = target
        self._code: CodeType = compile(tree, target.path, "exec")

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:  # noqa: ARG002 -- importlib calls it so
        if name != self._target.module:
            return None
        spec = ModuleSpec(name, self, origin=str(self._target.path))
        spec.has_location = True
        return spec

    def exec_module(self, module: ModuleType) -> None:
        self.used = True
        exec(self._code, module.__dict__)  # noqa: S102 -- that is what importing it means


class _Quick:
    """Draws the same examples in every trial, and shrinks none: only whether a test fails is of interest."""

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self) -> None:
        hypothesis.settings.register_profile(
            "mutation",
            phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),
            deadline=None,
            suppress_health_check=list(hypothesis.HealthCheck),
            database=None,
            derandomize=True,
        )
        hypothesis.settings.load_profile("mutation")
