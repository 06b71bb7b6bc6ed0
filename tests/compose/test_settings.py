"""Every setting of the server can be set where an operator of compose sets things."""

import re

from authsvc.settings import SETTINGS
from tests.compose.engine import ROOT

RENDERED = {"public_url", "redis_url", "redis_disk", "registry_url", "secrets_dir", "control_socket", "key_socket"}
"""In authsvc.toml, which `init` writes."""

OFFLINE_ROOT = {"leaf_key", "leaf_certificate"}
"""For installations whose root is kept elsewhere: those mount files of their own."""

KEY_SERVICE = {"keys_dir"}
"""An argument of the key service's own container; the server has no such folder there."""


def test_every_setting_is_passed_on() -> None:
    """A setting that is new in the program must be thought about in compose.yaml."""
    given = set(re.findall(r"^      AUTHSVC_(\w+):", (ROOT / "compose.yaml").read_text(), re.MULTILINE))
    settings = {setting.name for setting in SETTINGS} - RENDERED - OFFLINE_ROOT - KEY_SERVICE

    assert {name.upper() for name in settings} <= given
