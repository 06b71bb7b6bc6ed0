"""Every subject, in every state, asking for everything everywhere: authsvc decides what the table says."""

import ast
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from authsvc import policy
from tests.policy_matrix.matrix import ORACLE, decided, disagreements, questions, scopes_of, subject_of, with_apps
from tests.policy_matrix.oracle import COUNTS, FILE, Cell, TableError, load
from tests.policy_matrix.seeded_bugs import BUGS
from tests.support.builders import NOW

CELLS = 4000
"""The least number of cells (reference/threats-and-faults.md, row 9)."""

SOURCE = Path(__file__).with_name("oracle.py").read_text(encoding="utf-8")
TABLE = FILE.read_text(encoding="utf-8")


def test_every_cell(record_property: Callable[[str, object], None]) -> None:
    """Account and actions are those of the table, cell by cell, and there are enough cells to mean something."""
    number = len(questions())
    record_property("cells", number)
    print(f"{number:,} cells")  # noqa: T201

    assert number == len({cell for cell, _ in questions()}) >= CELLS
    assert [] == list(disagreements())


@pytest.mark.parametrize("bug", BUGS)
def test_a_seeded_bug_is_caught(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one wrong function in the policy the matrix disagrees: it would not let that bug pass."""
    BUGS[bug](monkeypatch)
    try:
        caught = next(disagreements(), None) is not None
    except AssertionError:  # it granted a resource that nobody asked for
        caught = True

    assert caught


def test_scopes_asked_for_together_get_what_they_get_alone() -> None:
    """In one request every resource is decided for itself: none lends a right to its neighbour."""
    size = 16
    batches = [ORACLE.relations[start : start + size] for start in range(0, len(ORACLE.relations), size)]
    wrong = []
    for subject, facts in ORACLE.subjects.items():
        for state, account in ORACLE.states[facts["kind"]].items():
            for batch in batches if account == COUNTS else ():
                cells = [Cell(subject, state, relation, "*") for relation in batch]
                scopes = scopes_of(" ".join(cell.scope for cell in cells))
                decision = policy.decide(with_apps(subject_of(subject, state), scopes), scopes, NOW)
                expected = {(cell.relation, ORACLE.answer(cell).granted) for cell in cells if decided(cell).granted}
                actual = {(entry.name, frozenset(entry.actions)) for entry in decision.access}
                wrong += [(subject, state, expected ^ actual)] if expected != actual else []

    assert [] == wrong


# --- the oracle itself -------------------------------------------------------------------------------------------


def test_the_oracle_imports_the_standard_library_alone() -> None:
    """What judges authsvc is made of nothing from authsvc, nor of the tests' builders, which are."""
    found = set()
    for node in ast.walk(ast.parse(SOURCE)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            found.add((node.module or "").partition(".")[0])

    assert found
    assert set() == found - sys.stdlib_module_names
    assert not {"__import__", "import_module", "exec", "eval"} & {
        node.id for node in ast.walk(ast.parse(SOURCE)) if isinstance(node, ast.Name)
    }


@pytest.mark.parametrize(
    ("there", "instead"),
    [
        ("acme/deep/a/b/c                       P     P ", "acme/deep/a/b/c                       P       "),
        ("acme/item                             PUD", "acme/item                             PUX"),
        ("acme/item                             PUD", "acme/items                            PUD"),
        ("acme/item                             PUD", "acme/api                              PUD"),
        ("                                      whole paths", "                                      whole whole"),
        ("                                      whole paths", "                                      whole other"),
        ('"expired"               = "DENIED"', '"expired"               = "denied"'),
        ('relations = ["acme/Worker"', 'relations = ["acme/workers"'),
        ('"frobnicate"       = ""', '"frobnicate"       = "F"'),
        ("[states.license]\n", "[states.licence]\n"),
        ('licenses = ["globs", "proxied"]', 'licenses = ["globs", "view"]'),
        ('["revoked", "expired"]', '["revoked", "ended"]'),
        ('"acme/item"                          = "acme"', '"acme/items"                         = "acme"'),
    ],
)
def test_a_table_with_a_hole_is_refused(there: str, instead: str) -> None:
    """A missing value, an unknown letter or a misspelt name is an error, not a cell less."""
    assert there in TABLE
    with pytest.raises(TableError):
        load(TABLE.replace(there, instead, 1))


def test_the_table_keeps_the_contract() -> None:
    """By itself the table lets nobody out of the team, no license push, and no role do more than the contract says."""
    world = ORACLE.world
    reach = {app for app in world["apps"] if app not in world["archived"]}
    roles = {"owner": {"pull", "push", "delete"}, "developer": {"pull", "push"}, "viewer": {"pull"}}
    for (subject, relation), granted in ORACLE.rights.items():
        facts, parts = ORACLE.subjects[subject], relation.split("/")
        most = roles[facts["role"]] if "role" in facts else {"pull"} if facts["kind"] == "license" else roles["owner"]
        proxied = parts[0] == "proxy"
        assert granted <= ({"pull"} if proxied else most), (subject, relation)
        app = parts[1] if proxied else parts[0]
        home = reach if "team" not in facts else set(world["other_apps"])
        assert not granted or app in home.intersection(facts.get("limit", home)), (subject, relation)
        assert "push" not in granted or "pull" in granted, (subject, relation)
