"""``authsvc gc`` where there is nothing to collect, and where it cannot be done."""

import json
from pathlib import Path

from tests.support.command import call, sentence


def test_an_installation_without_an_image(folder: Path) -> None:
    """Which is no error, for scripts neither."""
    data = ("--data-dir", str(folder / "data"))
    assert call("init", *data).code == 0

    assert call("gc", *data).out == f"there is no image in {folder / 'data/registry'}\n"
    assert json.loads(call("gc", *data, "--json").out) == {"dry_run": False, "blobs": 0, "bytes": 0}


def test_an_installation_without_its_images(folder: Path) -> None:
    """In compose, authsvc's container does not change them; the sentence says what does."""
    data = folder / "data"
    assert call("init", "--data-dir", str(data)).code == 0
    said = sentence(call("gc", environ={"AUTHSVC_CONFIG": str(data / "config/authsvc.toml")}), 2)
    assert said.endswith("with compose.yaml: docker compose run --rm gc")
