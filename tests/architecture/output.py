"""Rules on what is printed and written: printable text, whole files, commands named by the command line alone."""

import ast
import re

from tests.architecture.source import Module, calls, last_name
from tests.test_docs import TREE

PRINTS = {"click.echo", "click.secho", "print", "sys.stdout.write", "sys.stderr.write"}

PRINTERS = {
    "cli/console.py": ("say", "print_json", "print_document"),
    "installer/license_tool.py": ("main", "_say", "_print_json", "_print_document", "_warn"),
    "installer/credential_helper.py": ("main", "_tell", "_fail"),
}
"""The functions that print: each makes text printable first, or prints a document that another program reads."""

COMMAND_ROOMS = ("cli/", "local/")
"""Where sentences may name a command of ``authsvc``: their reader is at the command line."""

COMMAND = re.compile("`authsvc [a-z]|" + "|".join(rf"\b{re.escape(path)}\b" for path in TREE))
"""A command that somebody could type, such as ``authsvc team create``."""


def printed_text_is_printable(module: Module) -> list[str]:
    """Find printing past the functions that make text printable, in the command line and the tools."""
    if not module.path.startswith(("cli/", "installer/")):
        return []
    allowed = [f for f in module.functions if f.name in PRINTERS.get(module.path, ())]
    within_allowed = {id(call) for function in allowed for call in calls(function)}
    return [
        ast.unparse(call)
        for call in calls(module.tree)
        if ast.unparse(call.func) in PRINTS and id(call) not in within_allowed
    ]


def files_are_written_whole(module: Module) -> list[str]:
    """Find code that puts files in place itself, instead of by atomic_file.py.

    Files that grow (logs, an export of the audit) are opened by descriptor, which says with which permissions.
    """
    return [] if module.path == "atomic_file.py" else [ast.unparse(c) for c in calls(module.tree) if _writes_file(c)]


def _writes_file(call: ast.Call) -> bool:
    name = last_name(call.func)
    if ast.unparse(call.func) in {"os.replace", "os.rename", "os.link"} or name in {"write_text", "write_bytes"}:
        return True
    if name in {"rename", "replace"}:  # of a path: that of a text has two arguments, that of a date named ones
        return len(call.args) == 1 and not call.keywords
    place = 0 if isinstance(call.func, ast.Attribute) else 1
    modes = [*call.args[place : place + 1], *(keyword.value for keyword in call.keywords if keyword.arg == "mode")]
    return name == "open" and any(
        isinstance(mode, ast.Constant) and isinstance(mode.value, str) and set(mode.value) & set("wax+")
        and set(mode.value) <= set("rwaxbt+") for mode in modes
    )  # fmt: skip


def no_sentence_names_a_command(module: Module) -> list[str]:
    """Find sentences that send their reader to the command line, which only the operator has."""
    if module.path.startswith(COMMAND_ROOMS):
        return []
    docs = {id(node.value) for node in ast.walk(module.tree) if isinstance(node, ast.Expr)}
    texts = (node for node in ast.walk(module.tree) if isinstance(node, ast.Constant) and id(node) not in docs)
    return [found[0] for node in texts if isinstance(node.value, str) and (found := COMMAND.search(node.value))]
