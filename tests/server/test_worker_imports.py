"""What a worker imports only when it is needed."""

import subprocess
import sys

ON_DEMAND = ("fido2", "zxcvbn")
"""Packages with large tables, for passkeys and for new passwords: 2 MiB and more in each worker."""


def test_a_worker_starts_without_large_tables() -> None:
    """Most workers never need them."""
    script = "import sys, authsvc.server.worker; print(*sys.modules)"
    done = subprocess.run((sys.executable, "-c", script), capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    assert "authsvc.credentials.passkeys" in imported
    assert imported.isdisjoint(ON_DEMAND)
