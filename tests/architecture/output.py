"""Rules on what is printed and written: printable text, whole files, commands named by the command line alone."""

import ast
import itertools
import re

from tests.architecture.source import Module, calls, last_name
from tests.test_docs import TREE

PRINTS = {"click.echo", "click.secho", "print", "sys.stdout.write", "sys.stderr.write"}

PRINTERS = {
    "cli/console.py": ("say", "print_error", "print_next", "write", "print_json", "print_document"),
    "installer/license_tool.py": ("main", "_say", "_print_json", "_print_document", "_warn"),
    "installer/credential_helper.py": ("main", "_tell", "_fail"),
}
"""The functions that print: each makes text printable first, or prints a document that another program reads."""

NO_NOUNS = (
    "accepts already answers as asks begins belongs brings covers does ends exists gives has holds is leads matches "
    "names needs opens redirects refuses says sends sets signs stands takes this us was works means "
    "adds allows becomes joins less"
)
"""Words with an s at their end that may stand behind a value; a verb that is missing here is added."""

NEVER_ONE = {
    "images; check at most ",
    "values; check it in parts",
    "members; split the file",
    "bytes and may have ",
    "bytes",
    "bytes, as a socket's name",
    "bytes of headers",
    "days; write 24h, 30m, 7d or 0",
    "days",
    "seconds; look before you repeat it, it may have been done",
    "ms",
}
"""What follows numbers that are never 1: limits, and what is beyond them."""

PLURAL = re.compile(r" ((?:more |new |other )?([a-z]+s)\b.*)", re.DOTALL)

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


def numbers_agree_with_their_nouns(module: Module) -> list[str]:
    """Find a value in front of a plural that is not made by counts.counted: with 1 it would be ``1 rows``."""
    found = []
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.JoinedStr):
            continue
        for value, text in itertools.pairwise(node.values):
            if not isinstance(value, ast.FormattedValue) or not isinstance(text, ast.Constant):
                continue
            noun = PLURAL.match(str(text.value))
            constant = ast.unparse(value.value).replace(".days", "").replace(".", "_").isupper()
            if noun and noun[2] not in NO_NOUNS.split() and noun[1] not in NEVER_ONE and not constant:
                found.append(f"{ast.unparse(value.value)} {noun[1]}")
    return found
