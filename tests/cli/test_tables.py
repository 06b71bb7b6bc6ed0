"""Tables of people: with values as long as real ones, a line of every list has 100 characters at most."""

from collections.abc import Iterator
from datetime import UTC, datetime

import click
import pytest

from authsvc.cli import activity, image, upstream, webhook
from authsvc.cli.pagination import LINE, Column, Facts, Table, table_line, widths_of
from tests.support.command import call
from tests.support.stack import PASSWORD, Stack
from tests.support.tenants import unique
from tests.test_docs import TREE

LISTS = {
    path
    for path, command in TREE.items()
    if not isinstance(command, click.Group) and path.split()[-1] in {"list", "links"}
}

COMPANY = "Nordic Warehouse Automation and Logistics Aktiengesellschaft"
AT = "2026-11-28T12:01:27Z"
APP = "warehouse-suite"
REFUSED = "connection_refused"

ELSEWHERE: dict[str, tuple[Table, Facts]] = {
    "authsvc image list": (
        image._table(datetime(2027, 1, 12, tzinfo=UTC)),
        {
            "repository": f"{APP}/frontend",
            "tag": "2.14.3",
            "digest": f"sha256:{'0' * 64}",
            "size": 123_456_789,
            "platforms": [{"platform": name} for name in ("linux/amd64", "linux/arm64", "linux/arm/v7")],
            "artifact_type": None,
            "pushed_at": AT,
            "pulled_at": AT,
            "signed": True,
            "sbom": None,
            "recorded": True,
            "pulled": {"at": AT},
            "pulls_since": AT,
        },
    ),
    "authsvc activity list": (
        activity.TABLE,
        {
            "resolution": "hour",
            "period": AT,
            "action": "pull",
            "repository": f"{APP}/backend-worker",
            "app": APP,
            "tag": "2.14.3-rc.1",
            "digest": None,
            "customer": COMPANY,
            "subject": None,
            "count": 12_345,
            "bytes": 10**11,
            "hits": 1234,
            "misses": 12,
            "stale": 3,
            "last_at": AT,
        },
    ),
    "authsvc upstream list": (
        upstream._TABLE,
        {
            "app": APP,
            "name": "partner-registry-of-the-group",
            "provider": "artifactory",
            "last_good_at": AT,
            "last_error_at": AT,
            "last_error_code": f"upstream_{REFUSED}",
            "credential_ends_at": AT,
        },
    ),
    "authsvc webhook list": (
        webhook._TABLE,
        {
            "id": "a" * 16,
            "app": APP,
            "team": "t",
            "disabled_at": None,
            "failing_since": AT,
            "url": "https://automation.nordic-warehouse.example/hooks/authsvc/licenses?tenant=1",
            "delivered": 123_456,
            "waiting": 1234,
            "failed": 1234,
        },
    ),
}
"""Lists of what other programs bring about: their tables are looked at alone."""


@pytest.fixture(scope="module")
def arguments(stack: Stack) -> dict[str, list[str]]:
    """Return what each list needs, of a team that has long names of everything."""
    team, app = unique("nordic-warehouse-automation"), unique(APP)
    email = f"maximiliane.mustermann-schmidt@{team}.example"

    def run(*words: str, stdin: str = "") -> str:
        ran = call(*words, "--data-dir", str(stack.data_dir), stdin=stdin)
        assert ran.code == 0, ran
        return ran.out

    run("team", "create", team, "--name", COMPANY)
    run("app", "create", app, "--team", team, "--name", COMPANY)
    apps = ("--app", app)
    run("member", "add", email, "--team", team, "--role", "developer", *apps, "--password-stdin", stdin=f"{PASSWORD}\n")
    run("member", "disable", email)
    run("member", "invite", f"new.{email}", "--team", team, "--role", "developer", *apps)
    run("member", "enable", email)
    run("token", "create", "laptop of the deputy head of deployment", "--member", email, "--expires", "90d")
    grants = [
        word for name in ("backend-worker", "frontend", "api/**") for word in ("--grant", f"{app}/{name}:pull,push")
    ]
    run(
        "service-account",
        "create",
        "continuous-integration",
        "--team",
        team,
        *grants,
        "--expires",
        "90d",
        "--as",
        email,
    )
    names = ("--reference", "PO-2026-11-28-000123456789", "--customer-reference", "CRM-000123456789-NORTH")
    license_ = ("license", "create", *apps, "--customer", COMPANY, "--customer-email", email, *names)
    run(*license_, "--expires", "2031-01-31T12:00:00Z")
    return {
        "authsvc team list": [],
        "authsvc app list": ["--team", team],
        "authsvc member list": ["--team", team],
        "authsvc member links": ["--team", team],
        "authsvc token list": ["--member", email],
        "authsvc service-account list": ["--team", team],
        "authsvc customer list": ["--team", team],
        "authsvc license list": ["--customer", "Nordic"],
        "authsvc audit list": [],
    }


def lines_of(table: Table, facts: Facts) -> Iterator[str]:
    """Yield the lines of a table with one item."""
    headings, row = [column.heading for column in table.columns], list(table.row(facts))
    widths = widths_of(table.columns, [row], more=False)
    for cells in (headings, row):
        yield table_line(cells, table.columns, widths)


def test_every_list_is_looked_at(arguments: dict[str, list[str]]) -> None:
    """A new one needs arguments, or a table with an item."""
    assert LISTS == arguments.keys() | ELSEWHERE.keys()


@pytest.mark.parametrize("path", sorted(LISTS - ELSEWHERE.keys()))
def test_a_list_fits(stack: Stack, arguments: dict[str, list[str]], path: str) -> None:
    """Long names are cut, what identifies an item is whole."""
    ran = call(*path.split()[1:], *arguments[path], "--data-dir", str(stack.data_dir))
    assert ran.code == 0, ran
    lines = ran.out.splitlines()
    assert len(lines) > 1
    assert not [line for line in lines if len(line) > LINE]


@pytest.mark.parametrize("path", ELSEWHERE)
def test_a_table_fits(path: str) -> None:
    """The same without an installation."""
    lines = list(lines_of(*ELSEWHERE[path]))
    assert not [line for line in lines if len(line) > LINE]


def test_what_is_cut_ends_with_an_ellipsis() -> None:
    """So that nobody types it."""
    columns = (Column("ID"), Column("NAME", cut=True))
    assert list(lines_of(Table(columns, lambda _: ["x" * 16, "y" * 200], ""), {}))[1].endswith("y…")
