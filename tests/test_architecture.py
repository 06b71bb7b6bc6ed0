"""The walls of the house: every rule of tests/architecture on every module, and samples that prove each rule."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.architecture.imports import (
    ENTRY_POINTS,
    HTTP_ROOMS,
    REDIS_ROOMS,
    cli_changes_state_through_manage,
    http_only_in_its_rooms,
    imports_point_down,
    keys_are_not_read_below_manage,
    manage_knows_no_store,
    redis_only_in_store,
    wiring_only_from_entry_points,
)
from tests.architecture.output import (
    files_are_written_whole,
    no_sentence_names_a_command,
    numbers_agree_with_their_nouns,
    printed_text_is_printable,
)
from tests.architecture.purity import (
    CLOCK_READERS,
    CORE_SHELL,
    async_marks_the_shell,
    clock_only_at_the_entry,
    core_is_pure,
    import_does_no_work,
)
from tests.architecture.secrets import secrets_are_compared_in_constant_time
from tests.architecture.size import (
    MAX_FUNCTION_LINES,
    MAX_MODULE_LINES,
    functions_are_short,
    module_is_short,
    names_mean_something,
    services_are_not_compared,
)
from tests.architecture.source import CORE_MODULES, CORE_ROOMS, HOUSE, Module
from tests.architecture.tools import (
    LICENSE_READERS,
    PORTABLE,
    TOOLS_MAY_USE,
    licenses_are_verified,
    portable_modules_stay_portable,
)

WALLS: list[Callable[[Module], list[str]]] = [
    redis_only_in_store,
    http_only_in_its_rooms,
    core_is_pure,
    async_marks_the_shell,
    clock_only_at_the_entry,
    cli_changes_state_through_manage,
    manage_knows_no_store,
    keys_are_not_read_below_manage,
    wiring_only_from_entry_points,
    imports_point_down,
    portable_modules_stay_portable,
    licenses_are_verified,
    files_are_written_whole,
    printed_text_is_printable,
    no_sentence_names_a_command,
    numbers_agree_with_their_nouns,
    names_mean_something,
    module_is_short,
    functions_are_short,
    services_are_not_compared,
    import_does_no_work,
    secrets_are_compared_in_constant_time,
]

BREACHES: list[tuple[Callable[[Module], list[str]], str, str]] = [
    (redis_only_in_store, "manage/teams.py", "from redis.asyncio import Redis"),
    (redis_only_in_store, "cli/team.py", "def command():\n    import redis"),
    (http_only_in_its_rooms, "issuance.py", "import aiohttp"),
    (http_only_in_its_rooms, "server/parent.py", "from aiohttp import web"),
    (core_is_pure, "policy.py", "import time"),
    (core_is_pure, "policy.py", "from authsvc.store.keys import app"),
    (core_is_pure, "spec/scope.py", "import os"),
    (core_is_pure, "tenancy/dates.py", "from datetime import datetime\nat = datetime.now()"),
    (core_is_pure, "signing/root.py", "def make(ec):\n    return ec.generate_private_key(None)"),
    (core_is_pure, "credentials/verifier.py", "import time"),
    (core_is_pure, "license_file.py", "def read():\n    return open('x')"),
    (async_marks_the_shell, "policy.py", "async def decide(): ..."),
    (async_marks_the_shell, "issuance.py", "def issue(): ..."),
    (clock_only_at_the_entry, "manage/teams.py", "from datetime import datetime, UTC\nat = datetime.now(UTC)"),
    (clock_only_at_the_entry, "web/token.py", "import time\nat = time.time()"),
    (cli_changes_state_through_manage, "cli/team.py", "from authsvc.store.teams import RedisTeams"),
    (cli_changes_state_through_manage, "cli/team.py", "from ..store import teams"),
    (manage_knows_no_store, "manage/teams.py", "from authsvc.store.teams import RedisTeams"),
    (manage_knows_no_store, "manage/licenses.py", "def show():\n    from ..store import licenses"),
    (wiring_only_from_entry_points, "web/token.py", "from authsvc.wiring import clock"),
    (wiring_only_from_entry_points, "local/up.py", "import authsvc.wiring"),
    (imports_point_down, "settings.py", "from authsvc.signing.root import LEAF_LIFE"),
    (imports_point_down, "settings.py", "from authsvc import listen_address"),
    (imports_point_down, "signing/keyring.py", "from authsvc.keys import files"),
    (imports_point_down, "processes/supervisor.py", "from authsvc.setup.layout import Layout"),
    (imports_point_down, "processes/supervisor.py", "def f():\n    from ..local import probes"),
    (imports_point_down, "keys/files.py", "from authsvc.upstreams.link import UpstreamLink"),
    (keys_are_not_read_below_manage, "store/teams.py", "from authsvc.keys.files import read"),
    (imports_point_down, "manage/keys.py", "import authsvc.web.token"),
    (imports_point_down, "helpers.py", ""),
    (imports_point_down, "__init__.py", "from authsvc.errors import NotFound"),
    (portable_modules_stay_portable, "license_file.py", "from __future__ import annotations\nimport attrs"),
    (portable_modules_stay_portable, "license_file.py", "import json\nimport re\nimport base64"),
    (portable_modules_stay_portable, "spec/reference.py", "match 1:\n    case _: ..."),
    (portable_modules_stay_portable, "spec/reference.py", "good = isinstance(1, int | str)"),
    (portable_modules_stay_portable, "spec/reference.py", "pairs = zip('a', 'b', strict=True)"),
    (portable_modules_stay_portable, "spec/__init__.py", "from authsvc.errors import NotFound"),
    (portable_modules_stay_portable, "installer/keys.py", "from authsvc.errors import NotFound"),
    (portable_modules_stay_portable, "installer/keys.py", "import cryptography"),
    (portable_modules_stay_portable, "installer/keys.py", "import yaml"),
    (portable_modules_stay_portable, "installer/manifests.py", "from yaml.constructor import Constructor"),
    (licenses_are_verified, "installer/kubelet.py", "from authsvc.installer.license_store import find"),
    (licenses_are_verified, "installer/documents.py", "def show():\n    from authsvc.license_file import parse"),
    (licenses_are_verified, "installer/login.py", "from authsvc.installer import license_store"),
    (files_are_written_whole, "cli/keys.py", "path.write_text('x')"),
    (files_are_written_whole, "setup/layout.py", "draft.replace(path)"),
    (files_are_written_whole, "setup/layout.py", "import os\nos.link(a, b)"),
    (files_are_written_whole, "installer/login.py", "def f(path):\n    with open(path, 'wb') as file: ..."),
    (files_are_written_whole, "cli/keys.py", "def f(path):\n    with path.open(mode='a') as file: ..."),
    (numbers_agree_with_their_nouns, "cli/team.py", "def f(n):\n    return f'{n} problems in the file'"),
    (numbers_agree_with_their_nouns, "manage/teams.py", "def f(x):\n    return f'{len(x)} new rows'"),
    (printed_text_is_printable, "cli/team.py", "def f(name):\n    click.echo(name)"),
    (printed_text_is_printable, "cli/console.py", "def other(name):\n    click.echo(name)"),
    (printed_text_is_printable, "installer/login.py", "import sys\ndef say(name):\n    sys.stderr.write(name)"),
    (no_sentence_names_a_command, "policy.py", "ask = 'make a new one with: authsvc token create'"),
    (no_sentence_names_a_command, "manage/teams.py", "def f(slug):\n    return f'see: authsvc app list --team {slug}'"),
    (no_sentence_names_a_command, "keys/secret_files.py", "why = 'it is missing; `authsvc init` makes it'"),
    (no_sentence_names_a_command, "setup/init.py", "why = 'start it with authsvc up'"),
    (names_mean_something, "store/utils.py", ""),
    (names_mean_something, "common/dates.py", ""),
    (module_is_short, "policy.py", "x = 1\n" * (MAX_MODULE_LINES + 1)),
    (functions_are_short, "policy.py", "def f():\n" + "    x = 1\n" * (MAX_FUNCTION_LINES + 1)),
    (functions_are_short, "policy.py", "class A:\n    async def f():\n" + "        x = 1\n" * (MAX_FUNCTION_LINES + 1)),
    (services_are_not_compared, "manage/teams.py", "@frozen\nclass A:\n    async def f(self): ..."),
    (services_are_not_compared, "manage/teams.py", "@define(eq=False)\nclass A:\n    async def f(self): ..."),
    (
        services_are_not_compared,
        "manage/teams.py",
        "@frozen(eq=False, repr=True)\nclass A:\n    async def f(self): ...",
    ),
    (import_does_no_work, "settings.py", "import os\nHOME = os.getenv('HOME')"),
    (import_does_no_work, "settings.py", "from pathlib import Path\nTEXT = Path('x').read_text()"),
    (import_does_no_work, "settings.py", "def f(n=count()): ..."),
    (import_does_no_work, "settings.py", "class A:\n    size = open('x')"),
    (import_does_no_work, "settings.py", "def read():\n    return open('x')\n\nTEXT = read()"),
    (import_does_no_work, "settings.py", "@register\ndef f(): ..."),
    (
        import_does_no_work,
        "cli/team.py",
        "import click\noption = click.option(default=count())\n\n@option\ndef f(): ...",
    ),
    (import_does_no_work, "store/connection.py", "REDIS = Redis()"),
    (secrets_are_compared_in_constant_time, "web/events.py", "def f(bearer, known):\n    return bearer == known"),
    (secrets_are_compared_in_constant_time, "manage/links.py", "good = link.secret_sha256 != sent"),
    (secrets_are_compared_in_constant_time, "manage/links.py", "good = sent in record.secrets"),
    (secrets_are_compared_in_constant_time, "credentials/proof.py", "good = known == proof.password.reveal()"),
    (secrets_are_compared_in_constant_time, "credentials/proof.py", "good = secret.sha256() == known[0]"),
]
"""For each wall small samples that break it: a checker that lets them pass would let anything pass."""

GOOD: list[tuple[Callable[[Module], list[str]], str, str]] = [
    (redis_only_in_store, "store/server_check.py", "import redis"),
    (http_only_in_its_rooms, "web/token.py", "import aiohttp"),
    (core_is_pure, "policy.py", "import re\nfrom datetime import datetime\nfrom authsvc.spec.scope import ALL_ACTIONS"),
    (core_is_pure, "web/token.py", "import asyncio"),
    (manage_knows_no_store, "manage/teams.py", "from authsvc.manage.stores import Stores"),
    (imports_point_down, "web/token.py", "from authsvc.web.proxy import Origin\nfrom authsvc import __version__"),
    (imports_point_down, "web/token.py", "from authsvc.settings import Settings"),
    (functions_are_short, "policy.py", 'def f():\n    """Say.\n' + "\n    word\n" * 99 + '    """\n    return 1\n'),
    (services_are_not_compared, "manage/teams.py", "@frozen\nclass A:\n    def f(self): ..."),
    (services_are_not_compared, "manage/teams.py", "class A(Protocol):\n    async def f(self): ..."),
    (
        services_are_not_compared,
        "manage/teams.py",
        "@frozen(eq=False, repr=False)\nclass A:\n    async def f(self): ...",
    ),
    (import_does_no_work, "settings.py", "import re\nA = re.compile('a')\n\ndef f():\n    return open('x')"),
    (import_does_no_work, "cli/team.py", "import click\nteam = click.option('--team')\n\n@team\ndef f(): ..."),
    (import_does_no_work, "settings.py", "if __name__ == '__main__':\n    main()"),
    (portable_modules_stay_portable, "policy.py", "import attrs"),
    (licenses_are_verified, "installer/login.py", "from authsvc.installer.license_store import InstalledLicense"),
    (printed_text_is_printable, "cli/console.py", "def say(name):\n    click.echo(name)"),
    (files_are_written_whole, "cli/keys.py", "at = text.replace('a', 'b')\nwith open(at, 'rb') as file: ..."),
    (files_are_written_whole, "cli/audit_export.py", "import os\nfile = os.fdopen(os.open(p, os.O_APPEND), 'a')"),
    (licenses_are_verified, "installer/login.py", "from authsvc.installer.verification import open_license"),
    (no_sentence_names_a_command, "cli/hints.py", "hint = 'make it with: authsvc team create'"),
    (no_sentence_names_a_command, "setup/init.py", '"""What `authsvc init` does."""\nN = 1\n"""Of `authsvc up`."""'),
    (no_sentence_names_a_command, "signing/root.py", "name = f'authsvc token root {serial}'"),
    (secrets_are_compared_in_constant_time, "web/events.py", "good = hmac.compare_digest(bearer, known)"),
    (secrets_are_compared_in_constant_time, "web/events.py", "empty = bearer == '' or token is None"),
    (secrets_are_compared_in_constant_time, "tenancy/records.py", "same = token_id == other.token_id"),
]
"""Samples that look a little like a breach and are none."""


@cache
def house() -> list[Module]:
    """Read every module of authsvc."""
    return [
        Module(path.relative_to(HOUSE).as_posix(), path.read_text(encoding="utf-8"))
        for path in sorted(HOUSE.rglob("*.py"))
    ]


@pytest.mark.parametrize("wall", WALLS, ids=lambda wall: wall.__name__)
def test_wall_stands(wall: Callable[[Module], list[str]]) -> None:
    """No module of the house breaks the wall."""
    assert {module.path: found for module in house() if (found := wall(module))} == {}


@pytest.mark.parametrize(("wall", "path", "source"), BREACHES)
def test_checker_sees_a_breach(wall: Callable[[Module], list[str]], path: str, source: str) -> None:
    """The checker of each wall refuses a small sample that breaks it."""
    assert wall(Module(path, source))


@pytest.mark.parametrize(("wall", "path", "source"), GOOD)
def test_checker_lets_good_code_pass(wall: Callable[[Module], list[str]], path: str, source: str) -> None:
    """The checker accepts a sample that only looks like a breach."""
    assert wall(Module(path, source)) == []


def test_every_wall_has_a_breach_that_proves_it() -> None:
    """No checker is without its sensitivity twin."""
    assert {wall for wall, _, _ in BREACHES} == set(WALLS)


def test_lists_name_modules_that_exist() -> None:
    """A room or module that was renamed does not leave the walls behind."""
    paths = {module.path for module in house()}
    folders = {f"{Path(path).parent.as_posix()}/" for path in paths}
    listed = {
        *CORE_ROOMS,
        *CORE_MODULES,
        *CORE_SHELL,
        *CLOCK_READERS,
        *REDIS_ROOMS,
        *HTTP_ROOMS,
        *ENTRY_POINTS,
        *PORTABLE,
        *LICENSE_READERS,
        *TOOLS_MAY_USE,
    }
    assert listed - paths - folders == set()
