"""Rules on the core: no clock, no randomness, no I/O; and on every module: importing it does no work."""

import ast
from collections.abc import Iterator

from tests.architecture.source import Function, Module, calls, last_name, within

CORE_SHELL = {
    "credentials/throttled_passwords.py",
    "credentials/authenticator.py",
    "credentials/licenses.py",
    "credentials/facts.py",
    "credentials/machines.py",
    "credentials/portal_sessions.py",
    "credentials/passkeys.py",
    "credentials/verifier.py",
    "issuance.py",
    "preflight.py",
    "batch_signer.py",
    "fair_share.py",
    "in_flight.py",
    "activity/event_sink.py",
}
"""The modules of the core rooms that wait for others. They get `now` as an argument too."""

PURE_IMPORTS = (
    "unicodedata",
    *("__future__", "base64", "binascii", "collections", "contextlib.suppress", "dataclasses", "datetime", "enum"),
    "functools.lru_cache",
    "sys.intern",
    "functools.partial",
    *("functools.cached_property",),
    *("hashlib", "hmac", "http.HTTPStatus", "ipaddress", "json", "math", "re", "typing", "urllib.parse"),
    *("heapq", "logging.ERROR", "logging.INFO", "zlib"),
    *(
        "attrs",
        "cryptography",
        "fido2",
        "idna",
        "jwt",
        "msgspec.Struct",
        "msgspec.json.encode",
        "typing_extensions",
        "zxcvbn",
    ),
    *(
        "authsvc.spec",
        "authsvc.tenancy",
        "authsvc.credentials",
        "authsvc.signing",
        "authsvc.activity",
        "authsvc.images",
        "authsvc.upstreams",
        "authsvc.webhooks",
        "authsvc.migration",
        "yaml.nodes",
        "authsvc.keys.seal_context",
    ),
    *(
        "authsvc.policy",
        "authsvc.decision",
        "authsvc.refusal_sentences",
        "authsvc.issuance",
        "authsvc.system_token",
        "authsvc.client",
        "authsvc.outcomes",
        "authsvc.throttle",
        "authsvc.batch_signer",
        "authsvc.fair_share",
        "authsvc.in_flight",
        "authsvc.license_file",
        "authsvc.error_codes",
        "authsvc.errors",
        "authsvc.redaction",
        "authsvc.counts",
        "authsvc.printable",
        "authsvc.audit.credential",
        "authsvc.audit.entry",
        "authsvc.audit.entry_words",
        "authsvc.audit.pending_entry",
        "authsvc.audit.compact_text",
        "authsvc.audit.request_ids",
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

PURE_AT_IMPORT = {
    *("partial", "permitted", "unique", "join", "partition", "len"),
    *(
        "TypeVar",
        "datetime",
        "timedelta",
        "compile",
        "frozenset",
        "set",
        "tuple",
        "dict",
        "list",
        "str",
        "range",
        "fromhex",
    ),
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
    *("seconds", "decimal_seconds", "number", "one_of"),
}
"""Lower-case callables that a module may call while it is imported; constructors, in CapWords, come besides."""

WORKING_CLASSES = {"Popen", "Thread", "Process", "Redis", "Connection", "ClientSession", "Context", "Queue"}
"""Constructors that do more than keep values."""


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
