"""``authsvc backup`` on a running stack, and ``authsvc restore`` on a stopped one.

tests/setup/test_restore.py has what becomes of credentials.
"""

import stat
import subprocess

from tests.support.stack import PASSWORD, running_stack
from tests.support.tenants import make_license, make_team


def test_a_backup_of_a_running_stack_is_restored() -> None:
    """The backup is whole and private, is refused while the stack runs, and brings back what was there."""
    with running_stack() as stack:
        team = make_team(stack, "app")
        license_ = make_license(stack, "app")
        file = stack.folder / "backup.tar"
        ran = stack.authsvc("backup", str(file))
        assert "keys, other secrets and images are not in it" in ran.out
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        listed = subprocess.run(["tar", "-tf", file], check=True, capture_output=True, text=True).stdout
        assert listed.split() == ["redis.rdb", "backup.json"]
        content = file.read_bytes()
        assert license_.token.encode() not in content
        assert PASSWORD.encode() not in content
        stack.authsvc("team", "create", "later")

        ran = stack.authsvc("restore", str(file), "--without-audit", "--yes", check=False)
        assert (ran.code, "is running on" in ran.err) == (2, True)
        assert stack.stop() == 0
        ran = stack.authsvc("backup", str(stack.folder / "none.tar"), check=False)
        assert ran.code == 1
        assert not list(stack.folder.glob("*none.tar*"))
        ran = stack.authsvc("restore", "-", "--without-audit", "--yes", stdin=content[:-2000], check=False)
        assert (ran.code, "nothing was changed" in ran.err) == (1, True)
        ran = stack.authsvc("restore", str(file), check=False)
        assert (ran.code, "--without-audit" in ran.err) == (1, True)
        ran = stack.authsvc("restore", str(file), "--without-audit", "--check")
        assert "team 1, app 1, license 1" in ran.out
        ran = stack.authsvc("restore", "-", "--without-audit", check=False, stdin=content)
        assert (ran.code, "repeat it with --yes" in ran.err) == (1, True)

        restored = stack.json("restore", str(file), "--without-audit", "--yes")

        assert restored["records"]["license"] == 1
        stack.start()
        assert [one["slug"] for one in stack.json("team", "list")] == [team]
        (entry,) = stack.json("audit", "list", "--event", "backup.restored")
        assert entry["backup_at"] == restored["backup_at"]
