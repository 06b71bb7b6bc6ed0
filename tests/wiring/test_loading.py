"""When use cases and stores are loaded: as a command asks for them, and all of them at the start of a worker."""

from functools import cached_property
from types import SimpleNamespace
from typing import Any, cast

from authsvc.redaction import Secret
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.store.records import Records
from authsvc.wiring.management import server_use_cases
from authsvc.wiring.stores import make_stores


def lazy(parts: object) -> set[str]:
    """Return the names of what is made when it is first asked for."""
    return {name for name, part in vars(type(parts)).items() if isinstance(part, cached_property)}


async def test_a_worker_has_loaded_every_use_case_and_store() -> None:
    """No request waits for an import."""
    connection = Connection(Secret("redis://127.0.0.1:1/0"))
    settings: Any = SimpleNamespace(public_url=SimpleNamespace(authority="registry.test"), audit_budget=1)
    part = cast("Any", None)
    use_cases = server_use_cases(
        settings, connection, Codec(), part, part, lambda _: part, part, part, part, lambda _: None
    )
    for parts in (use_cases, use_cases.stores):
        assert lazy(parts)
        assert lazy(parts) <= vars(parts).keys()
    await connection.close()


async def test_a_command_loads_nothing_before_it_asks() -> None:
    """A store is made at its first use, and once."""
    connection = Connection(Secret("redis://127.0.0.1:1/0"))
    stores = make_stores(Records(connection, Codec()))
    assert lazy(stores).isdisjoint(vars(stores))
    assert stores.teams is stores.teams
    assert lazy(stores) & vars(stores).keys() == {"teams"}
    await connection.close()
