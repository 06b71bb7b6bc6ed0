"""Rules on the license holder's tools: standard library only, Python 3.9 on, verified licenses only."""

import ast
import sys

from tests.architecture.source import Module, last_name, within

PORTABLE = (
    "__init__.py",
    "atomic_file.py",
    "printable.py",
    "spec/__init__.py",
    "spec/reference.py",
    "license_file.py",
    "installer/",
)
"""The license holder's tools and what they share with us: standard library only, Python 3.9 on."""

TOOLS_MAY_IMPORT = ("printable", "atomic_file", "installer", "license_file", "spec.reference", "__version__")
"""What of ours the tools in installer/ may use."""

UNVERIFIED = (
    "authsvc.installer.license_store.read",
    "authsvc.installer.license_store.find",
    "authsvc.license_file.parse",
    "authsvc.license_file.verify",
    "authsvc.license_file.registry_token",
)
"""What returns a license whose signature nobody has checked."""

LICENSE_READERS = ("installer/license_store.py", "installer/verification.py")
"""The two modules that may use those: every other gets its licenses from installer/verification.py."""

TOOLS_MAY_USE = {
    "installer/es256.py": ("_sha2",),  # of the standard library from 3.12 on
    "installer/yaml_nodes.py": ("yaml",),  # the zipapp brings its pure-Python part
    "installer/manifests.py": ("yaml.nodes",),
}
"""The packages beyond the standard library that single modules of installer/ may use."""

NEWER_THAN_39 = {"strict", "slots", "kw_only", "match_args"}
"""Keyword arguments of zip() and dataclass() that Python 3.9 does not know."""


def portable_modules_stay_portable(module: Module) -> list[str]:
    """Find what a bare Python 3.9 could not import in the modules that the license holder's tools share."""
    if not module.path.startswith(PORTABLE):
        return []
    tools = [f"authsvc.{name}" for name in TOOLS_MAY_IMPORT] if module.path.startswith("installer/") else []
    optional = TOOLS_MAY_USE.get(module.path, ())
    found = [
        name
        for name in module.imports
        if name.partition(".")[0] not in sys.stdlib_module_names and not within(name, *tools, *optional)
    ]
    if len(module.tree.body) > 2 and "__future__.annotations" not in module.imports:
        found.append("no `from __future__ import annotations`")
    try:
        ast.parse(module.source, feature_version=(3, 9))
    except SyntaxError as error:
        found.append(str(error))
    annotations = {
        id(inner)
        for node in ast.walk(module.tree)
        for note in (getattr(node, "annotation", None), getattr(node, "returns", None))
        if isinstance(note, ast.AST)
        for inner in ast.walk(note)
    }
    for node in ast.walk(module.tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr) and id(node) not in annotations:
            if last_name(node.right).isupper():  # flags of a call, such as os.O_CREAT
                continue
            found.append(f"line {node.lineno}: a union outside an annotation")
        if isinstance(node, ast.keyword) and node.arg in NEWER_THAN_39:
            found.append(f"line {node.lineno}: {node.arg}=")
    return found


def licenses_are_verified(module: Module) -> list[str]:
    """Find commands of the license holder's tools that read a license file without checking its signature."""
    if not module.path.startswith("installer/") or module.path in LICENSE_READERS:
        return []
    whole = {"authsvc.installer.license_store", "authsvc.license_file"}  # through which any of them could be reached
    return [name for name in module.imports if within(name, *UNVERIFIED) or name in whole]
