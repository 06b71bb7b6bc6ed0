"""The stores of an installation with some of them replaced."""

from types import SimpleNamespace
from typing import Any, cast

from authsvc.manage.stores import Stores

STORES = frozenset(name for name, part in vars(Stores).items() if isinstance(part, property))
"""Names of all stores."""


def replaced(stores: Stores, **others: Any) -> Stores:
    """Return ``stores`` with others under some of their names."""
    assert others.keys() <= STORES
    return cast("Stores", SimpleNamespace(**{name: getattr(stores, name) for name in STORES} | others))
