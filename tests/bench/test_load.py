"""The generator against real servers; no figure is asserted."""

from pathlib import Path

import pytest
from attrs import evolve

from authsvc.activity.kinds import ActivityKind
from tests.bench import installation
from tests.bench.bare import PLAIN, SIGNING, bare_server
from tests.bench.beside import EventLoad, run_beside
from tests.bench.cold import run_cold
from tests.bench.flood import run_flood
from tests.bench.load import Target, basic, run_load, write_credentials
from tests.support.recorded_activity import recorded
from tests.support.stack import Stack
from tests.support.tenants import make_license, make_team, unique


@pytest.mark.parametrize(("kind", "processes"), [(PLAIN, 1), (SIGNING, 1), (PLAIN, 2)])
def test_the_bare_handlers_answer_everything(kind: str, processes: int, tmp_path: Path) -> None:
    """The yardsticks serve what the generator sends, and the generator measures their processor time."""
    values = write_credentials(tmp_path / "values", ["Basic YTpi", "Basic Yzpk"])
    with bare_server([None] * processes, "s", "repository:a/b:pull", kind) as bare:
        load = run_load(bare, values, 1, None)
    assert (0, 0, True, True) == (load.refused, load.broken, load.per_second > 0, (load.processor or 0) > 0)
    assert processes == len(bare.processes)


def test_every_credential_of_a_real_stack_is_accepted(stack: Stack, tmp_path: Path) -> None:
    """Every license and every account gets a token; the same load with wrong secrets gets none."""
    known = installation.fill(stack, 20, 2, 2, 2)
    target = installation.target(stack)
    kinds = {
        "licenses": known.licenses,
        "files": known.files,
        "members": known.members[0],
        "personal": known.personal_tokens,
        "service": known.service_accounts,
        "wrong": [basic("license", "asv_lic_wrong")],
    }
    loads = {
        name: run_load(target, write_credentials(tmp_path / name, values), 1, None) for name, values in kinds.items()
    }
    assert {name: name != "wrong" for name in kinds} == {name: load.refused == 0 for name, load in loads.items()}
    cold = run_cold(target, known.members[1])
    assert min(cold.per_second, cold.processor, cold.alone) > 0
    assert all(0 < waited.p50 <= waited.p99 for waited in run_flood(target, known.at_home, known.elsewhere))


def test_events_of_the_generator_are_recorded(stack: Stack, tmp_path: Path) -> None:
    """Each is a new one, and counts for its license; tokens beside them are answered."""
    app = unique("bench")
    make_team(stack, app)
    license_ = make_license(stack, app)
    target = evolve(installation.target(stack), scope=f"repository:{app}/x:pull")
    events = EventLoad.of(stack, [f"license:{license_.id}"], tmp_path, f"{app}/worker")
    alone = events.run(1, None)
    values = write_credentials(tmp_path / "values", [basic(license_.account.username, license_.token)])
    tokens, meanwhile = run_beside(target, values, events, alone, 1, None)
    assert (0, 0, 0, 0) == (alone.refused, alone.broken, tokens.refused, meanwhile.refused)
    assert recorded(stack, app)[ActivityKind.PULL] >= alone.per_second > 1


def test_credentials_are_for_the_owner_alone(tmp_path: Path) -> None:
    """The file with credentials is not readable by others."""
    assert 0o600 == write_credentials(tmp_path / "values", ["Basic YTpi"]).stat().st_mode & 0o777


def test_a_target_keeps_the_path_of_its_url() -> None:
    """Another server's endpoint may lie anywhere."""
    target = Target("http://127.0.0.1:5001/auth?ignored=1", "registry", "repository:a/b:pull")
    assert "/auth?service=registry&scope=repository%3Aa%2Fb%3Apull" == target.path
