"""What the benchmark does with a whole stack: rolls, pulls and further servers; no figure is asserted."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench import installation
from tests.bench.load import run_load, write_credentials
from tests.bench.pulls import LAYERS, run_pulls
from tests.bench.roll import run_roll
from tests.bench.servers import further_server
from tests.support.stack import Stack, running_stack


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Return a stack of its own: its worker is replaced."""
    with running_stack() as running:
        yield running


@pytest.fixture(scope="module")
def licenses(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file with the credentials of some licenses."""
    known = installation.fill(stack, 300, 1, 1)
    return write_credentials(tmp_path_factory.mktemp("bench") / "licenses", known.licenses)


def test_a_further_server_issues_tokens_of_the_same_licenses(stack: Stack, licenses: Path) -> None:
    """With as many workers as it is told, each of which is measured."""
    with further_server(stack, "two", (None, None), None, CACHED_RECORDS="256") as target:
        load = run_load(target, licenses, 1, None)
    assert (0, 0, 2, True) == (load.refused, load.broken, len(target.processes), (load.processor or 0) > 0)


def test_pulls_through_the_stack_and_from_the_bare_registry(stack: Stack, licenses: Path) -> None:
    """Both give the whole image, and one of them asks for a token once."""
    assert licenses.exists()
    pulls = run_pulls(stack, 2, layer_bytes=1000)
    assert (LAYERS, 2, 2, 1.0) == (pulls.layers, len(pulls.seconds), len(pulls.bare_seconds), pulls.token_requests)
    assert min(*pulls.seconds, *pulls.bare_seconds) > 0


def test_the_worker_is_replaced_during_load(stack: Stack, licenses: Path) -> None:
    """Requests are answered before and after; the old worker is no longer there."""
    before = installation.worker(stack)
    load = run_roll(stack, licenses, 3, None)
    assert (0, 0, True) == (load.refused, load.broken, load.per_second > 0)
    assert before != installation.worker(stack)
