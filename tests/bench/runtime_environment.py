"""An environment that has what an installation has, and nothing that only development needs.

Some libraries import others wherever they find them, such as structlog rich: that would be measured, too.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCK = ROOT / ".ci" / "lock" / "runtime.txt"


def make_runtime_environment(folder: Path) -> tuple[str, ...]:
    """Make an environment of links to the locked distributions in ours, their bytecode included.

    Args:
        folder: for it.

    Returns:
        How to call ``authsvc`` in it.
    """
    subprocess.run((sys.executable, "-m", "venv", "--without-pip", str(folder)), check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    for name, place in _places().items():
        (packages / name).symlink_to(place)
    (packages / "project.pth").write_text(f"{ROOT}\n", encoding="utf-8")
    return (str(folder / "bin" / "python"), "-m", "authsvc")


def _places() -> dict[str, Path]:
    """Return where the folders and files are that the distributions have in ``site-packages``.

    Bytecode of modules without a package is in one folder for all of them. Scripts are elsewhere.
    """
    return {
        file.parts[0]: Path(str(found.locate_file(file.parts[0])))
        for found in _locked()
        for file in found.files or ()
        if file.parts[0] != ".."
    }


def _locked() -> Iterator[Distribution]:
    """Yield the distributions that the lock names; it is for every Python, and names some that ours does not need."""
    for name in re.findall(r"^([\w.-]+)==", LOCK.read_text(encoding="utf-8"), re.MULTILINE):
        try:
            yield distribution(name)
        except PackageNotFoundError:
            continue
