"""Names: classes and modules are made of known words, docs/glossary.md defines the rest, and none means two things."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HOUSE = ROOT / "authsvc"


def listed(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


ENGLISH = listed(
    """
    account action active added after all ambiguous answer any append archived attempt audited available before
    between bounded busy by call case catalogue change changed check checked checker closed collected collection
    confirm confirmation conflict connected containing content copy count counted counting create credential
    current date death delete deleted deletion demand denial denied derive describe described disk document done
    due each early end ended entry event evidence existing expected expiry explanation export fact failed fair field
    filter filtered finder flight folder followed format found free from full given group handover
    has hashing health helper
    history host id image import in indexed inherited input inside install installed interval is issued kind
    known label last later layout level library lifetime limit limited line list listed listen listening live
    loaded loader loading local location lock long lookup lost machine manage managed management mark match
    through remembered resolved listing visit join opened command commands maker
    pasted texts
    matching maximum merged message minimum missing move moved name named needed new newest next no not nothing
    object old on one only open order ordered other our ours outcome output outside overloaded own owner pace
    page pair part past path pause pauses peer pending per period person plan policy precondition present
    presented preview previous printable private problem program progress public purpose question quoted random
    range rate read reader readiness ready real reason recent record recorded refusal refused region reissue
    related remote removed rename renamed repeated report requester required requirement reserved result right
    room row rule run running same saved search seen selected selection sender sentence served set setting setup share
    shared short shown side since single site size skipped slow some sorted source special split spreadsheet stale
    start
    starting state step stopping stored strength such sum summary taken target term than time too tool total tried
    trimmer trusted type unavailable unknown unreadable unused up update updated usage use used user valid value
    verification vetted view waiting warning watch what when where which who whole with within word work writer wrong
    day schedule test text ending failing watched choice direct proven
    applied condition conversion migrate migrated parsed
    appended damaged description loss restored restoration restore revocations
    """
)
"""Plain English, in which a name is read as it is."""

FIELD = listed(
    """
    accel address aggregator api application argument atomic audit authentication authenticator authority
    authorization authsvc backoff batch batched bearer binaries blob body cache certificate channel claim cli
    client codec column completion compose csv config configuration connection console context control counter crawler
    cursor customer descriptor dialect digest dir endpoint
    error es256 etag exposition file garbage handler hash head header hmac http
    fanout idempotency index indexing init installer issuance issuer json jws key kubelet label lazy leaf listener log
    login main manifest memory metric middleware migration nginx node observer openapi ops option pagination
    parameter password permission platform pool port portal prefix process proxy query redirect redis reference
    receiver refresher registry resolver reload render renewal renewer reply request resource response restart root
    backup rdb snapshot
    push bar charts cookies deadline download form renderer rendering signed text upload uploaded hasher job
    compact relying party passkey challenge assertion attestation
    rotation route s3 schema script secret sentinel serve server session settings signature signer socket spec stack
    status
    stdin store stream supervisor table tag tar tcp template thread throttle throttled tls token transaction unix url
    verifier versioned web webhook worker yaml
    """
)
"""Terms of the field: what somebody who builds such servers would search for."""

Names = dict[str, list[str]]


def names() -> Names:
    """Return the name of every class and module of authsvc, without leading underscores, with where it is."""
    found: Names = defaultdict(list)
    for path in sorted(HOUSE.rglob("*.py")):
        place = path.relative_to(HOUSE).as_posix()
        if path.stem not in {"__init__", "__main__"}:
            found[path.stem].append(place)
        elif path.parent != HOUSE and path.stem == "__init__":
            found[path.parent.name].append(place)
        for name in classes(path.read_text(encoding="utf-8")):
            found[name].append(place)
    return found


def classes(source: str) -> Iterator[str]:
    """Yield the name of every class, private and nested ones too, without leading underscores."""
    yield from (node.name.lstrip("_") for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef))


def words(name: str) -> list[str]:
    """Return the words of a name, such as `shared metrics` of SharedMetrics and shared_metrics, in lower case."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+[0-9]*|[A-Z]+[0-9]*|[0-9]+", name)]


def forms(word: str) -> set[str]:
    """Return a word and what it may be the plural of."""
    singular = {word[:-1]} if word.endswith("s") else set()
    return {word} | singular | ({word[:-2]} if word.endswith("es") else set()) | {re.sub("ies$", "y", word)}


def glossary() -> list[list[str]]:
    """Return the cells of every row of docs/glossary.md."""
    lines = (ROOT / "docs/glossary.md").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return [row for row in cells if row[0] != "word"]


def defined() -> set[str]:
    """Return the words of all terms of the glossary."""
    return {word for row in glossary() for word in re.findall(r"[a-z0-9]+", row[0].lower())}


def unknown(name: str, terms: set[str]) -> list[str]:
    """Return the words of a name that neither the lists nor the terms have."""
    return [word for word in words(name) if not forms(word) & (ENGLISH | FIELD | terms)]


def named_in_the_code(row: list[str]) -> list[str]:
    """Return the classes and modules that a row of the glossary names."""
    return re.findall(r"`((?:[a-z_0-9]+/)*[a-z_0-9]+\.py|_?[A-Z]\w*)`", row[1])


def test_every_name_is_made_of_known_words() -> None:
    """A coined word gets a row in docs/glossary.md, or better gives way to one of the field."""
    terms = defined()
    assert {name: found for name in names() if (found := unknown(name, terms))} == {}


def test_the_glossary_names_what_exists() -> None:
    """Each row of the words of the code names classes and modules that are there."""
    found = names()
    known = set(found) | {place for places in found.values() for place in places}
    rows = [row for row in glossary() if named_in_the_code(row)]
    assert len(rows) > 20
    wrong = {row[0]: [name for name in named_in_the_code(row) if name.lstrip("_") not in known] for row in rows}
    assert {term: gone for term, gone in wrong.items() if gone} == {}


def test_every_term_is_defined_once() -> None:
    """A term has one row in each table."""
    terms = [row[0] for row in glossary()]
    assert sorted(terms) == sorted(set(terms))


def test_no_class_name_means_two_things() -> None:
    """No two classes have the same name, private ones included: a search for one finds one."""
    places: Names = defaultdict(list)
    for path in sorted(HOUSE.rglob("*.py")):
        for name in classes(path.read_text(encoding="utf-8")):
            places[name].append(path.relative_to(HOUSE).as_posix())
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


@pytest.mark.parametrize(
    ("name", "coined"),
    [
        ("GatheredReads", ["gathered"]),
        ("leaf_keeper", ["keeper"]),
        ("_APIServer", []),
        ("LicenseKeys", []),
        ("es256", []),
        ("registries", []),
    ],
)
def test_coined_words_are_noticed(name: str, coined: list[str]) -> None:
    """The search finds a coined word in a class or module, and knows plurals and abbreviations."""
    assert unknown(name, defined()) == coined


def test_a_second_class_of_a_name_is_noticed() -> None:
    """Private and nested classes count."""
    assert sorted(classes("class A:\n    class _B: ...\n\ndef f():\n    class B: ...\n")) == ["A", "B", "B"]


def test_rows_name_classes_and_modules() -> None:
    """The second column is read as code spans."""
    assert named_in_the_code(["x", "`A`, `b/c_d.py`, `_E`, `word`"]) == ["A", "b/c_d.py", "_E"]
