"""One source file of authsvc, parsed, and what a rule asks of its syntax tree."""

import ast
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from attrs import frozen

HOUSE = Path(__file__).parents[2] / "authsvc"

CORE_ROOMS = (
    "spec/",
    "tenancy/",
    "credentials/",
    "signing/",
    "activity/",
    "images/",
    "upstreams/",
    "webhooks/",
    "migration/",
)
"""Folders whose modules decide and compute; see docs/architecture.md."""

CORE_MODULES = (
    "decision.py",
    "policy.py",
    "refusal_sentences.py",
    "issuance.py",
    "client.py",
    "outcomes.py",
    "system_token.py",
    "preflight.py",
    "batch_signer.py",
    "fair_share.py",
    "in_flight.py",
    "license_file.py",
    "bounded_json.py",
    "error_codes.py",
    "errors.py",
    "redaction.py",
    "counts.py",
    "printable.py",
    "audit/credential.py",
    "audit/entry.py",
    "audit/entry_words.py",
    "audit/pending_entry.py",
    "audit/compact_text.py",
    "audit/request_ids.py",
    "audit/token_event.py",
    "audit/aggregator.py",
    "audit/stored_entry.py",
    "audit/sentences.py",
)
"""Modules of the top folder that belong to the core."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@frozen(slots=False)
class Module:
    """One source file of the house; `path` is relative to authsvc/."""

    path: str
    source: str

    @cached_property
    def tree(self) -> ast.Module:
        """The parsed source."""
        return ast.parse(self.source)

    @property
    def is_core(self) -> bool:
        """Whether it lies in a core room."""
        return self.path.startswith(CORE_ROOMS) or self.path in CORE_MODULES

    @cached_property
    def imports(self) -> list[str]:
        """Everything imported at any depth, as dotted names that end with the imported name."""
        package = ["authsvc", *Path(self.path).parent.parts]
        found = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                start = package[: len(package) - node.level + 1] if node.level else []
                origin = ".".join([*start, *([node.module] if node.module else [])])
                found += [f"{origin}.{alias.name}" for alias in node.names]
        return found

    @property
    def functions(self) -> Iterator[Function]:
        """Every function and method at any depth."""
        return (node for node in ast.walk(self.tree) if isinstance(node, Function))


def within(name: str, *packages: str) -> bool:
    """Whether the dotted name is one of the packages or inside of one."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def last_name(node: ast.AST) -> str:
    """Return `c` of `a.b.c`."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    """Every call at any depth."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))
