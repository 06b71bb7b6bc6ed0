"""The walls of the house: who may import what, what the core may not do, and how large anything may get."""

import ast
import re
import sys
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

import pytest
from attrs import frozen

from tests.test_docs import TREE

HOUSE = Path(__file__).parent.parent / "authsvc"

CORE_ROOMS = ("spec/", "tenancy/", "credentials/", "signing/")
"""Folders whose modules decide and compute; see docs/architecture.md."""

CORE_MODULES = (
    "decision.py",
    "policy.py",
    "refusal_sentences.py",
    "issuance.py",
    "client.py",
    "outcomes.py",
    "preflight.py",
    "fair_share.py",
    "in_flight.py",
    "license_file.py",
    "bounded_json.py",
    "errors.py",
    "redaction.py",
    "printable.py",
    "audit/entry.py",
    "audit/token_event.py",
    "audit/aggregator.py",
    "audit/stored_entry.py",
    "audit/sentences.py",
)
"""Modules of the top folder that belong to the core."""

CORE_SHELL = {
    "credentials/throttled_passwords.py",
    "credentials/authenticator.py",
    "credentials/licenses.py",
    "credentials/facts.py",
    "credentials/verifier.py",
    "issuance.py",
    "preflight.py",
    "fair_share.py",
    "in_flight.py",
}
"""The modules of the core rooms that wait for others. They get `now` as an argument too."""

PURE_IMPORTS = (
    "unicodedata",
    *("__future__", "base64", "binascii", "collections", "contextlib.suppress", "dataclasses", "datetime", "enum"),
    "functools.lru_cache",
    "functools.partial",
    *("functools.cached_property",),
    *("hashlib", "hmac", "http.HTTPStatus", "ipaddress", "json", "math", "re", "typing", "urllib.parse"),
    *("heapq", "logging.ERROR", "logging.INFO", "zlib"),
    *("attrs", "cryptography", "jwt", "typing_extensions", "zxcvbn"),
    *("authsvc.spec", "authsvc.tenancy", "authsvc.credentials", "authsvc.signing"),
    *(
        "authsvc.policy",
        "authsvc.decision",
        "authsvc.refusal_sentences",
        "authsvc.issuance",
        "authsvc.client",
        "authsvc.outcomes",
        "authsvc.throttle",
        "authsvc.fair_share",
        "authsvc.in_flight",
        "authsvc.license_file",
        "authsvc.errors",
        "authsvc.redaction",
        "authsvc.printable",
        "authsvc.audit.entry",
        "authsvc.audit.token_event",
        "authsvc.audit.aggregator",
        "authsvc.audit.stored_entry",
        "authsvc.bounded_json",
    ),
)
"""All that a core module may import: nothing here reads a clock, draws randomness, or touches a file or socket."""

SHELL_IMPORTS = ("asyncio", "concurrent.futures.Executor", "contextlib.asynccontextmanager")
"""What the shell of the core may import besides."""

CLOCKS = {"now", "today", "utcnow", "monotonic", "time_ns", "perf_counter"}
IMPURE_CALLS = {"open", "print", "input", "exec", "eval", "generate_private_key"}

CLOCK_READERS = ("wiring/", "cli/", "local/up.py", "installer/credential_helper.py", "installer/license_tool.py")
"""Who may read the wall clock: the composition root and the entry points."""

REDIS_ROOMS = ("store/",)
HTTP_ROOMS = ("web/", "registries/", "wiring/")
ENTRY_POINTS = ("server/worker.py", "server/parent.py", "cli/", "wiring/")
CLI_MAY_IMPORT = (
    "cli",
    "audit.entry",
    "audit.stored_entry",
    "audit.sentences",
    "manage",
    "worker_status",
    "keys",
    "local",
    "processes",
    "server",
    "setup",
    "listen_address",
    "public_url",
    "wiring",
    "tenancy",
    "signing.root",
    "errors",
    "redaction",
    "settings",
    "logs",
    "log_writer",
    "license_file",
    "atomic_file",
    "printable",
)

LAYERS: tuple[frozenset[str], ...] = tuple(
    frozenset(row.split())
    for row in (
        "client in_flight errors redaction printable atomic_file bounded_json disk_room worker_status log_writer",
        "private_file public_url redis_url logs processes",
        "listen_address settings",
        "spec license_file throttle",
        "tenancy signing outcomes",
        "credentials",
        "decision",
        "policy refusal_sentences",
        "issuance fair_share metrics",
        "preflight audit",
        "keys store registries",
        "manage",
        "web",
        "wiring",
        "setup",
        "server local",
        "cli installer",
        "__main__",
    )
)
"""Packages and modules from bottom to top: each imports from rows below its own, nothing from beside or above it."""

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

MEANINGLESS = {"utils", "helpers", "common", "base", "models", "manager"}
MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 60

PURE_AT_IMPORT = {
    *("partial", "permitted", "unique"),
    *("TypeVar", "timedelta", "compile", "frozenset", "set", "tuple", "dict", "list", "str", "range", "fromhex"),
    *("frozen", "define", "field", "dataclass", "classmethod", "staticmethod", "property", "override"),
    *(
        "contextmanager",
        "asynccontextmanager",
        "cached_property",
        "lru_cache",
        "overload",
        "group",
        "command",
        "option",
    ),
    *("argument", "version_option", "add_command"),
    *("repeatable", "shows_secret"),
}
"""Lower-case callables that a module may call while it is imported; constructors, in CapWords, come besides."""

WORKING_CLASSES = {"Popen", "Thread", "Process", "Redis", "Connection", "ClientSession", "Context", "Queue"}
"""Constructors that do more than keep values."""

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


def redis_only_in_store(module: Module) -> list[str]:
    """Find imports of redis outside store/."""
    return [] if module.path.startswith(REDIS_ROOMS) else [n for n in module.imports if within(n, "redis")]


def http_only_in_its_rooms(module: Module) -> list[str]:
    """Find imports of aiohttp outside web/, registries/ and wiring/."""
    return [] if module.path.startswith(HTTP_ROOMS) else [n for n in module.imports if within(n, "aiohttp")]


def core_is_pure(module: Module) -> list[str]:
    """Find impure imports and calls in core modules."""
    if not module.is_core:
        return []
    allowed = (*PURE_IMPORTS, *(SHELL_IMPORTS if module.path in CORE_SHELL else ()))
    found = [name for name in module.imports if not within(name, *allowed)]
    return found + [name for call in calls(module.tree) if (name := last_name(call.func)) in CLOCKS | IMPURE_CALLS]


def async_marks_the_shell(module: Module) -> list[str]:
    """Find core modules that wait though they are not listed as shell, and listed ones that do not."""
    waits = any(isinstance(function, ast.AsyncFunctionDef) for function in module.functions)
    return [module.path] if module.is_core and waits != (module.path in CORE_SHELL) else []


def clock_only_at_the_entry(module: Module) -> list[str]:
    """Find readings of the wall clock outside the composition root and the entry points."""
    if module.path.startswith(CLOCK_READERS):
        return []
    return [
        ast.unparse(call)
        for call in calls(module.tree)
        if last_name(call.func) in {"now", "today", "utcnow"} or ast.unparse(call.func) == "time.time"
    ]


def cli_changes_state_through_manage(module: Module) -> list[str]:
    """Find imports of the command line that go around manage/."""
    if not module.path.startswith("cli/"):
        return []
    allowed = [f"authsvc.{name}" for name in (*CLI_MAY_IMPORT, "__version__")]
    return [name for name in module.imports if name.startswith("authsvc.") and not within(name, *allowed)]


def manage_knows_no_store(module: Module) -> list[str]:
    """Find imports of store/ by use cases: they read and write through the protocols of manage/stores.py."""
    if not module.path.startswith("manage/"):
        return []
    return [name for name in module.imports if within(name, "authsvc.store")]


def wiring_only_from_entry_points(module: Module) -> list[str]:
    """Find imports of wiring by anything that is not an entry point."""
    return [] if module.path.startswith(ENTRY_POINTS) else [n for n in module.imports if within(n, "authsvc.wiring")]


def imports_point_down(module: Module) -> list[str]:
    """Find imports of a package in the same layer or above, and packages without a layer."""
    package = module.path.partition("/")[0].removesuffix(".py")
    layers = {name: number for number, row in enumerate(LAYERS) for name in row}
    if package == "__init__":
        return [name for name in module.imports if within(name, "authsvc")]
    if package not in layers:
        return [f"{package} is in no layer"]
    imported = [(name, name.split(".")[1]) for name in module.imports if name.startswith("authsvc.")]
    return [name for name, other in imported if other != package and layers.get(other, -1) >= layers[package]]


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


def import_does_no_work(module: Module) -> list[str]:
    """Find calls that run while the module is imported and are not known to be pure."""
    local = {node.name: node for node in module.tree.body if isinstance(node, Function)}
    # A decorator kept under a name, such as an option that several commands share: its making is looked at already.
    kept = {last_name(target) for node in module.tree.body if isinstance(node, ast.Assign) for target in node.targets}
    known = PURE_AT_IMPORT | local.keys() | kept
    return [name for name in _called(list(module.tree.body), local, set()) if name not in known and not _keeps(name)]


def _keeps(name: str) -> bool:
    """Whether a callable of this name only keeps values: a constructor, or a shared option of the command line."""
    constructor = name.lstrip("_")[:1].isupper() and name not in WORKING_CLASSES
    return constructor or name.endswith(("_option", "_options"))


def _called(nodes: list[ast.AST], local: dict[str, Function], seen: set[str]) -> Iterator[str]:
    """Yield the names of what runs at once, and what a function of the same module runs when it is called so."""
    for node in nodes:
        if isinstance(node, ast.If) and ast.unparse(node.test) in {"__name__ == '__main__'", "TYPE_CHECKING"}:
            continue
        if isinstance(node, Function | ast.Lambda):
            at_once = [*node.args.defaults, *filter(None, node.args.kw_defaults)]
            decorators = node.decorator_list if isinstance(node, Function) else []
            names = [last_name(decorator) for decorator in decorators if not isinstance(decorator, ast.Call)]
            children: list[ast.AST] = [*at_once, *decorators]
        else:
            names = [last_name(node.func)] if isinstance(node, ast.Call) else []
            if isinstance(node, ast.ClassDef):
                names = [
                    last_name(decorator) for decorator in node.decorator_list if not isinstance(decorator, ast.Call)
                ]
            children = list(ast.iter_child_nodes(node))
        for name in names:
            yield name
            if name in local and name not in seen:
                yield from _called(list(local[name].body), local, seen | {name})
        yield from _called(children, local, seen)


def no_sentence_names_a_command(module: Module) -> list[str]:
    """Find sentences that send their reader to the command line, which only the operator has."""
    if module.path.startswith(COMMAND_ROOMS):
        return []
    docs = {id(node.value) for node in ast.walk(module.tree) if isinstance(node, ast.Expr)}
    texts = (node for node in ast.walk(module.tree) if isinstance(node, ast.Constant) and id(node) not in docs)
    return [found[0] for node in texts if isinstance(node.value, str) and (found := COMMAND.search(node.value))]


WALLS: list[Callable[[Module], list[str]]] = [
    redis_only_in_store,
    http_only_in_its_rooms,
    core_is_pure,
    async_marks_the_shell,
    clock_only_at_the_entry,
    cli_changes_state_through_manage,
    manage_knows_no_store,
    wiring_only_from_entry_points,
    imports_point_down,
    portable_modules_stay_portable,
    licenses_are_verified,
    files_are_written_whole,
    printed_text_is_printable,
    no_sentence_names_a_command,
    names_mean_something,
    module_is_short,
    functions_are_short,
    import_does_no_work,
]

BREACHES: list[tuple[Callable[[Module], list[str]], str, str]] = [
    (redis_only_in_store, "manage/teams.py", "from redis.asyncio import Redis"),
    (redis_only_in_store, "cli/team.py", "def command():\n    import redis"),
    (http_only_in_its_rooms, "issuance.py", "import aiohttp"),
    (http_only_in_its_rooms, "server/parent.py", "from aiohttp import web"),
    (core_is_pure, "policy.py", "import time"),
    (core_is_pure, "policy.py", "from authsvc.store.keys import app"),
    (core_is_pure, "spec/scope.py", "import os"),
    (core_is_pure, "tenancy/dates.py", "from datetime import datetime\nat = datetime.now()"),
    (core_is_pure, "signing/root.py", "def make(ec):\n    return ec.generate_private_key(None)"),
    (core_is_pure, "credentials/verifier.py", "import time"),
    (core_is_pure, "license_file.py", "def read():\n    return open('x')"),
    (async_marks_the_shell, "policy.py", "async def decide(): ..."),
    (async_marks_the_shell, "issuance.py", "def issue(): ..."),
    (clock_only_at_the_entry, "manage/teams.py", "from datetime import datetime, UTC\nat = datetime.now(UTC)"),
    (clock_only_at_the_entry, "web/token.py", "import time\nat = time.time()"),
    (cli_changes_state_through_manage, "cli/team.py", "from authsvc.store.teams import RedisTeams"),
    (cli_changes_state_through_manage, "cli/team.py", "from ..store import teams"),
    (manage_knows_no_store, "manage/teams.py", "from authsvc.store.teams import RedisTeams"),
    (manage_knows_no_store, "manage/licenses.py", "def show():\n    from ..store import licenses"),
    (wiring_only_from_entry_points, "web/token.py", "from authsvc.wiring import clock"),
    (wiring_only_from_entry_points, "local/up.py", "import authsvc.wiring"),
    (imports_point_down, "settings.py", "from authsvc.signing.root import LEAF_LIFE"),
    (imports_point_down, "settings.py", "from authsvc import listen_address"),
    (imports_point_down, "signing/keyring.py", "from authsvc.keys import files"),
    (imports_point_down, "processes/supervisor.py", "from authsvc.setup.layout import Layout"),
    (imports_point_down, "processes/supervisor.py", "def f():\n    from ..local import probes"),
    (imports_point_down, "store/teams.py", "from authsvc.keys.files import read"),
    (imports_point_down, "manage/keys.py", "import authsvc.web.token"),
    (imports_point_down, "helpers.py", ""),
    (imports_point_down, "__init__.py", "from authsvc.errors import NotFound"),
    (portable_modules_stay_portable, "license_file.py", "from __future__ import annotations\nimport attrs"),
    (portable_modules_stay_portable, "license_file.py", "import json\nimport re\nimport base64"),
    (portable_modules_stay_portable, "spec/reference.py", "match 1:\n    case _: ..."),
    (portable_modules_stay_portable, "spec/reference.py", "good = isinstance(1, int | str)"),
    (portable_modules_stay_portable, "spec/reference.py", "pairs = zip('a', 'b', strict=True)"),
    (portable_modules_stay_portable, "spec/__init__.py", "from authsvc.errors import NotFound"),
    (portable_modules_stay_portable, "installer/keys.py", "from authsvc.errors import NotFound"),
    (portable_modules_stay_portable, "installer/keys.py", "import cryptography"),
    (portable_modules_stay_portable, "installer/keys.py", "import yaml"),
    (portable_modules_stay_portable, "installer/manifests.py", "from yaml.constructor import Constructor"),
    (licenses_are_verified, "installer/kubelet.py", "from authsvc.installer.license_store import find"),
    (licenses_are_verified, "installer/documents.py", "def show():\n    from authsvc.license_file import parse"),
    (licenses_are_verified, "installer/login.py", "from authsvc.installer import license_store"),
    (files_are_written_whole, "cli/keys.py", "path.write_text('x')"),
    (files_are_written_whole, "setup/layout.py", "draft.replace(path)"),
    (files_are_written_whole, "setup/layout.py", "import os\nos.link(a, b)"),
    (files_are_written_whole, "installer/login.py", "def f(path):\n    with open(path, 'wb') as file: ..."),
    (files_are_written_whole, "cli/keys.py", "def f(path):\n    with path.open(mode='a') as file: ..."),
    (printed_text_is_printable, "cli/team.py", "def f(name):\n    click.echo(name)"),
    (printed_text_is_printable, "cli/console.py", "def other(name):\n    click.echo(name)"),
    (printed_text_is_printable, "installer/login.py", "import sys\ndef say(name):\n    sys.stderr.write(name)"),
    (no_sentence_names_a_command, "policy.py", "ask = 'make a new one with: authsvc token create'"),
    (no_sentence_names_a_command, "manage/teams.py", "def f(slug):\n    return f'see: authsvc app list --team {slug}'"),
    (no_sentence_names_a_command, "keys/secret_files.py", "why = 'it is missing; `authsvc init` makes it'"),
    (no_sentence_names_a_command, "setup/init.py", "why = 'start it with authsvc up'"),
    (names_mean_something, "store/utils.py", ""),
    (names_mean_something, "common/dates.py", ""),
    (module_is_short, "policy.py", "x = 1\n" * (MAX_MODULE_LINES + 1)),
    (functions_are_short, "policy.py", "def f():\n" + "    x = 1\n" * (MAX_FUNCTION_LINES + 1)),
    (functions_are_short, "policy.py", "class A:\n    async def f():\n" + "        x = 1\n" * (MAX_FUNCTION_LINES + 1)),
    (import_does_no_work, "settings.py", "import os\nHOME = os.getenv('HOME')"),
    (import_does_no_work, "settings.py", "from pathlib import Path\nTEXT = Path('x').read_text()"),
    (import_does_no_work, "settings.py", "def f(n=count()): ..."),
    (import_does_no_work, "settings.py", "class A:\n    size = open('x')"),
    (import_does_no_work, "settings.py", "def read():\n    return open('x')\n\nTEXT = read()"),
    (import_does_no_work, "settings.py", "@register\ndef f(): ..."),
    (
        import_does_no_work,
        "cli/team.py",
        "import click\noption = click.option(default=count())\n\n@option\ndef f(): ...",
    ),
    (import_does_no_work, "store/connection.py", "REDIS = Redis()"),
]
"""For each wall small samples that break it: a checker that lets them pass would let anything pass."""

GOOD: list[tuple[Callable[[Module], list[str]], str, str]] = [
    (redis_only_in_store, "store/server_check.py", "import redis"),
    (http_only_in_its_rooms, "web/token.py", "import aiohttp"),
    (core_is_pure, "policy.py", "import re\nfrom datetime import datetime\nfrom authsvc.spec.scope import ALL_ACTIONS"),
    (core_is_pure, "web/token.py", "import asyncio"),
    (manage_knows_no_store, "manage/teams.py", "from authsvc.manage.stores import Stores"),
    (imports_point_down, "web/token.py", "from authsvc.web.proxy import Origin\nfrom authsvc import __version__"),
    (imports_point_down, "web/token.py", "from authsvc.settings import Settings"),
    (functions_are_short, "policy.py", 'def f():\n    """Say.\n' + "\n    word\n" * 99 + '    """\n    return 1\n'),
    (import_does_no_work, "settings.py", "import re\nA = re.compile('a')\n\ndef f():\n    return open('x')"),
    (import_does_no_work, "cli/team.py", "import click\nteam = click.option('--team')\n\n@team\ndef f(): ..."),
    (import_does_no_work, "settings.py", "if __name__ == '__main__':\n    main()"),
    (portable_modules_stay_portable, "policy.py", "import attrs"),
    (licenses_are_verified, "installer/login.py", "from authsvc.installer.license_store import InstalledLicense"),
    (printed_text_is_printable, "cli/console.py", "def say(name):\n    click.echo(name)"),
    (files_are_written_whole, "cli/keys.py", "at = text.replace('a', 'b')\nwith open(at, 'rb') as file: ..."),
    (files_are_written_whole, "cli/audit_export.py", "import os\nfile = os.fdopen(os.open(p, os.O_APPEND), 'a')"),
    (licenses_are_verified, "installer/login.py", "from authsvc.installer.verification import open_license"),
    (no_sentence_names_a_command, "cli/hints.py", "hint = 'make it with: authsvc team create'"),
    (no_sentence_names_a_command, "setup/init.py", '"""What `authsvc init` does."""\nN = 1\n"""Of `authsvc up`."""'),
    (no_sentence_names_a_command, "signing/root.py", "name = f'authsvc token root {serial}'"),
]
"""Samples that look a little like a breach and are none."""


def house() -> list[Module]:
    """Read every module of authsvc."""
    return [
        Module(path.relative_to(HOUSE).as_posix(), path.read_text(encoding="utf-8"))
        for path in sorted(HOUSE.rglob("*.py"))
    ]


@pytest.mark.parametrize("wall", WALLS, ids=lambda wall: wall.__name__)
def test_wall_stands(wall: Callable[[Module], list[str]]) -> None:
    """No module of the house breaks the wall."""
    assert {module.path: found for module in house() if (found := wall(module))} == {}


@pytest.mark.parametrize(("wall", "path", "source"), BREACHES)
def test_checker_sees_a_breach(wall: Callable[[Module], list[str]], path: str, source: str) -> None:
    """The checker of each wall refuses a small sample that breaks it."""
    assert wall(Module(path, source))


@pytest.mark.parametrize(("wall", "path", "source"), GOOD)
def test_checker_lets_good_code_pass(wall: Callable[[Module], list[str]], path: str, source: str) -> None:
    """The checker accepts a sample that only looks like a breach."""
    assert wall(Module(path, source)) == []


def test_every_wall_has_a_breach_that_proves_it() -> None:
    """No checker is without its sensitivity twin."""
    assert {wall for wall, _, _ in BREACHES} == set(WALLS)


def test_lists_name_modules_that_exist() -> None:
    """A room or module that was renamed does not leave the walls behind."""
    paths = {module.path for module in house()}
    folders = {f"{Path(path).parent.as_posix()}/" for path in paths}
    listed = {
        *CORE_ROOMS,
        *CORE_MODULES,
        *CORE_SHELL,
        *CLOCK_READERS,
        *REDIS_ROOMS,
        *HTTP_ROOMS,
        *ENTRY_POINTS,
        *PORTABLE,
        *LICENSE_READERS,
        *TOOLS_MAY_USE,
    }
    assert listed - paths - folders == set()
