"""The modules in which a mistake is a security hole, each with its own unit tests."""

from pathlib import Path

from tests.mutation.trial import Target

ROOT = Path(__file__).parents[2]

_TESTS = {
    "authsvc.policy": (
        "tests/test_policy.py",
        "tests/test_policy_licenses.py",
        "tests/test_policy_machines.py",
        "tests/policy_matrix/test_matrix.py::test_every_cell",
    ),
    "authsvc.spec.scope": ("tests/spec/test_scope.py",),
    "authsvc.spec.claims": ("tests/spec/test_documents.py",),
    "authsvc.spec.pull_path": ("tests/spec/test_pull_path.py",),
    "authsvc.tenancy.patterns": ("tests/tenancy/test_patterns.py",),
    "authsvc.tenancy.names": ("tests/tenancy/test_names.py",),
    "authsvc.credentials.machine_secret": ("tests/credentials/test_machine_secret.py",),
    "authsvc.license_file": (
        "tests/test_license_file.py",
        "tests/signing/test_license_keys.py",
        "tests/installer/test_images.py::test_time_spans",
    ),
    "authsvc.throttle": ("tests/test_throttle.py",),
    "authsvc.client": ("tests/test_client.py",),
}

TARGETS = [Target(module, tests, ROOT) for module, tests in _TESTS.items()]

EQUIVALENT = Path(__file__).with_name("equivalent.txt")


def equivalent_mutants() -> dict[str, set[str]]:
    """Return the keys of the mutants, by module, that no test can tell from the module as it is."""
    found: dict[str, set[str]] = {}
    for line in EQUIVALENT.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            module, key, _ = line.split(" | ")
            found.setdefault(module, set()).add(key)
    return found
