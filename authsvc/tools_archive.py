"""Packs the license holder's tools into one file that runs on a bare Python 3.9 or newer.

The build is reproducible: times in the archive are fixed, and names are sorted. The sources are those of the installed
package and of PyYAML's pure-Python part.
"""

import importlib.metadata
import io
import stat
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

PARTS = (
    *("__init__.py", "atomic_file.py", "printable.py", "license_file.py"),
    *("spec/__init__.py", "spec/reference.py", "installer/*.py"),
)
"""The modules of the package that the tools import, and no others."""

YAML = "pyyaml"

FIRST_LINE = b"#!/usr/bin/env python3\n"
MAIN = "import sys\nfrom authsvc.installer.__main__ import main\nsys.exit(main())\n"
FIXED_TIME = (1980, 1, 1, 0, 0, 0)
"""The earliest time that the format can represent."""


def tools_archive() -> bytes:
    """Return the file.

    Raises:
        LookupError: PyYAML is not installed, or not completely.
    """
    package = Path(__file__).parent
    sources = sorted(path for part in PARTS for path in package.glob(part))
    own = ((f"authsvc/{path.relative_to(package).as_posix()}", path.read_text(encoding="utf-8")) for path in sources)
    return _packed([("__main__.py", MAIN), *own, *_yaml_sources()])


def _yaml_sources() -> Iterator[tuple[str, str]]:
    """Yield the modules of PyYAML, without its binding to a C library, and its licence notice."""
    found = {}
    try:
        files = importlib.metadata.distribution(YAML).files or ()
    except importlib.metadata.PackageNotFoundError as error:
        raise LookupError(f"{YAML} is not installed") from error
    for path in files:
        if path.parts[0] == "yaml" and path.suffix == ".py" and path.name != "cyaml.py":
            found[path.as_posix()] = path.read_text(encoding="utf-8")
        elif path.name == "LICENSE":
            found["yaml/LICENSE"] = path.read_text(encoding="utf-8")
    if not {"yaml/LICENSE", "yaml/scanner.py"} <= found.keys():
        raise LookupError(f"the installed {YAML} is not complete")
    yield from sorted(found.items())


def _packed(files: Iterable[tuple[str, str]]) -> bytes:
    packed = io.BytesIO(FIRST_LINE)
    packed.seek(0, io.SEEK_END)
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            entry = zipfile.ZipInfo(name, FIXED_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, content)
    return packed.getvalue()
