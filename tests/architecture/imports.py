"""Rules on imports: which package may use which, and that no import points up."""

from tests.architecture.source import Module, within

REDIS_ROOMS = ("store/",)

HTTP_ROOMS = ("web/", "registries/", "wiring/")

ENTRY_POINTS = ("server/worker.py", "server/parent.py", "cli/", "wiring/")

CLI_MAY_IMPORT = (
    "cli",
    "activity.history",
    "activity.export",
    "images",
    "audit.entry",
    "backup_file",
    "audit.stored_entry",
    "audit.sentences",
    "doctor",
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
    "upstreams",
    "webhooks",
    "signing.root",
    "error_codes",
    "errors",
    "redaction",
    "settings",
    "logs",
    "log_line",
    "log_writer",
    "license_file",
    "installer.yaml_nodes",
    "migration",
    "atomic_file",
    "counts",
    "printable",
    "spreadsheet_csv",
)

LAYERS: tuple[frozenset[str], ...] = tuple(
    frozenset(row.split())
    for row in (
        "error_codes",
        "client in_flight errors redaction printable atomic_file bounded_json disk_room worker_status log_writer",
        "clock_skew counts followed_log compact_json",
        "private_file public_url backup_file tools_archive redis_url setting_values log_line processes spreadsheet_csv",
        "tls listen_address settings logs",
        "spec license_file throttle",
        "tenancy signing outcomes images",
        "credentials",
        "decision",
        "policy refusal_sentences batch_signer",
        "issuance fair_share metrics",
        "system_token",
        "preflight audit activity",
        "keys",
        "upstreams",
        "webhooks migration",
        "store registries",
        "image_index webhook_sender",
        "manage",
        "web",
        "wiring",
        "setup doctor",
        "server local",
        "installer",
        "cli",
        "__main__",
    )
)
"""Packages and modules from bottom to top: each imports from rows below its own, nothing from beside or above it."""


def redis_only_in_store(module: Module) -> list[str]:
    """Find imports of redis outside store/."""
    return [] if module.path.startswith(REDIS_ROOMS) else [n for n in module.imports if within(n, "redis")]


def http_only_in_its_rooms(module: Module) -> list[str]:
    """Find imports of aiohttp outside web/, registries/ and wiring/."""
    return [] if module.path.startswith(HTTP_ROOMS) else [n for n in module.imports if within(n, "aiohttp")]


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


def keys_are_not_read_below_manage(module: Module) -> list[str]:
    """Find imports of keys/ by what stores and sends secrets; what a sealed secret is bound to may be named."""
    if not module.path.startswith(("upstreams/", "webhooks/", "store/", "registries/")):
        return []
    return [n for n in module.imports if within(n, "authsvc.keys") and not within(n, "authsvc.keys.seal_context")]


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
