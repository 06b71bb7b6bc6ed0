"""Every use case checks a permission, and looks up what an actor named in one place."""

import ast
import importlib
import inspect
import pkgutil
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path

import pytest

from authsvc import manage
from authsvc.manage.actor import Actor
from authsvc.manage.authorization import permission_of, permitted
from authsvc.manage.idempotency import repeatable
from authsvc.manage.operation import Operation
from authsvc.manage.permissions import Permission
from authsvc.manage.stores import Stores
from tests.support.stores import STORES

FOLDER = Path(manage.__file__).parent

READS = {"get", "by_email", "by_name", "by_reference", "by_references", "with_reference"}
"""Methods of a store that return a record by a name or an id that somebody may have typed."""

UNSEEN_READS = {
    # What exists elsewhere is a fact of the whole installation: a slug and an address are taken or free.
    "teams.create_app: apps.get",
    "links.invite: members.by_email",
    # The name of the actor's own team, by the slug in the actor's own record.
    "teams.name_of_team: teams.get",
    # A link's secret proves the right to it, and what it rests on is in its own record.
    "links.redeem: links.get",
    "links._set_password: members.by_email",
    # Who made a link and whom it is for, by the link's own record; a link to a page has all that it opens in its own.
    "links._behind: members.get",
    "links._behind: personal_tokens.get",
    "maker.maker_now: members.get",
    "maker.maker_now: service_accounts.get",
    "maker.maker_now: personal_tokens.get",
    "license_by_link._opened: license_links.get",
    "license_by_link._opened: licenses.get",
    "license_by_link._opened: apps.get",
    "license_by_link._opened: teams.get",
    # A link whose id is given instead of its license's: one that the actor does not see is as one that is not there.
    "license_links._one: license_links.get",
    # Who owns a token that was found.
    "tokens.show: members.get",
    "tokens.revoke: members.get",
    # Who pushed and pulled images of an app that the actor was found to see.
    "subject_names._name_of: members.get",
    "subject_names._name_of: service_accounts.get",
    "subject_names._name_of: customers.get",
    "subject_names._name_of: licenses.get",
    "images._customers: licenses.get",
    "repositories._customers: licenses.get",
    "ended_images.customers_of_image: licenses.get",
    # The licenses behind rows of activity: those that the actor does not see are left out.
    "activity_view.of: licenses.get",
    # Within an app that the actor was found to see.
    "license_files.of_references: licenses.by_references",
    "license_import._known: licenses.by_references",
    "license_renewal._known: licenses.by_references",
    "license_import._customers: customers.get",
    "license_renewal._one: licenses.get",
    # Within the team of a license that the actor may write: a customer that an actor with a limit does not see is used
    # when its exact name is given, as every license of the team uses it.
    "license_customer.known_customer: customers.by_reference",
    "license_customer.known_customer: customers.by_name",
}
"""Reads outside lookup.py, each with its reason."""


def classes() -> Iterator[type]:
    """Yield every class that a module of manage/ defines."""
    for found in pkgutil.iter_modules(manage.__path__):
        module = importlib.import_module(f"{manage.__name__}.{found.name}")
        yield from (one for one in vars(module).values() if inspect.isclass(one) and one.__module__ == module.__name__)


def methods(kind: type) -> dict[str, Callable[..., object]]:
    """Return the public methods of a class."""
    return {name: one for name, one in vars(kind).items() if inspect.isfunction(one) and not name.startswith("_")}


def is_use_case(method: Callable[..., object]) -> bool:
    """Whether a method waits for something, or checks a permission."""
    inner = inspect.unwrap(method)
    waits = inspect.iscoroutinefunction(inner) or inspect.isasyncgenfunction(inner)
    return waits or permission_of(method) is not None


def use_cases(kinds: Iterable[type]) -> dict[str, Callable[..., object]]:
    """Return every public method of the classes that have a use case, by its qualified name."""
    found = {}
    for kind in kinds:
        own = methods(kind)
        if not getattr(kind, "_is_protocol", False) and any(map(is_use_case, own.values())):
            found.update({f"{kind.__name__}.{name}": method for name, method in own.items()})
    return found


def unchecked(kinds: Iterable[type]) -> list[str]:
    """Return the use cases that check no permission."""
    return [name for name, method in use_cases(kinds).items() if permission_of(method) is None]


def reads(path: Path) -> set[str]:
    """Return the reads of single records in a module, each with the function that makes it."""
    found = set()
    for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
            match call.func:
                case ast.Attribute(ast.Attribute(ast.Attribute() | ast.Name(), store), method) if (
                    method in READS and store in STORES
                ):
                    found.add(f"{path.stem}.{function.name}: {store}.{method}")
                case _:
                    pass
    return found


def test_every_use_case_checks_a_permission() -> None:
    """A new method without a permission fails here, before anybody can call it."""
    assert len(use_cases(classes())) > 40
    assert unchecked(classes()) == []


def test_every_use_case_has_a_permission_of_its_own() -> None:
    """One row is one use case, so that one can be changed without another; and no row is left over."""
    used = Counter(permission_of(method) for method in use_cases(classes()).values())

    assert {permission: count for permission, count in used.items() if count > 1} == {}
    assert set(used) == set(Permission)


class Careless:
    """A class of use cases, one of which forgot its permission."""

    stores: Stores

    async def _first(self, _result: str, _operation: Operation) -> None:
        """Answer a repeat."""

    @permitted(Permission.LICENSE_SHOW)
    async def show(self, actor: Actor) -> None:
        """Check."""

    async def forget(self, actor: Actor) -> None:
        """Check nothing."""

    async def stream(self, actor: Actor) -> AsyncIterator[Actor]:
        """Check nothing either."""
        yield actor

    @repeatable(_first)
    @permitted(Permission.LICENSE_REVOKE)
    async def late(self, operation: Operation) -> None:
        """Check only what is no repeat."""

    def helper(self) -> None:
        """Be public in a class of use cases, so be one."""

    async def _inner(self) -> None:
        """Be reached by the others alone."""


class Values:
    """A class of values alone."""

    def shown(self) -> str:
        """Compute."""
        return ""


def test_a_use_case_without_a_permission_is_noticed() -> None:
    """The walk finds coroutines and plain methods beside them, and leaves private ones and values alone.

    A check inside what answers a repeat would let somebody who lost the permission read the first result.
    """
    assert unchecked([Careless, Values]) == [f"Careless.{name}" for name in ("forget", "stream", "late", "helper")]


def test_records_are_looked_up_in_one_place() -> None:
    """Outside the lookups nothing reads a record by a name that an actor gave, but for what is listed here."""
    found = set[str]().union(*(reads(path) for path in FOLDER.glob("*.py") if not path.stem.endswith("lookup")))

    assert found == UNSEEN_READS


@pytest.mark.parametrize("read", ["self.stores.licenses.get(x)", "stores.members.by_email(x)"])
def test_a_read_elsewhere_is_noticed(read: str, tmp_path: Path) -> None:
    """The search finds a store behind an attribute and behind a name."""
    module = tmp_path / "sample.py"
    module.write_text(f"async def show(self, stores, x):\n    return await {read}\n", encoding="utf-8")

    assert len(reads(module)) == 1
