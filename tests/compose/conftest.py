"""One engine and one image for all tests of compose.yaml; each test module has a project of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compose import stand_ins
from tests.compose.engine import ComposeEngine, Project, base_images, compose_engine


@pytest.fixture(scope="session")
def engine() -> Iterator[ComposeEngine]:
    """Return an engine that has every base image of compose.yaml, and our image built on them."""
    with compose_engine() as running:
        for image in sorted(set(base_images().values())):
            if stand_ins.known(image):
                running.make_stand_in(image)
        yield running


@pytest.fixture(scope="module")
def project(engine: ComposeEngine) -> Iterator[Project]:
    """Return compose.yaml, not started; removed with its volumes at the end."""
    made = Project(engine)
    yield made
    made.with_settings(COMPOSE_PROFILES="*").compose(
        "down", "--volumes", "--remove-orphans", "--timeout", "5", check=False
    )


@pytest.fixture
def folder(engine: ComposeEngine) -> Path:
    """Return where a person keeps files."""
    return engine.folder
