"""Imports of licenses without files: rows a second, and memory of a short and of a long one."""

import csv
import os
import subprocess
import time
from pathlib import Path

from attrs import frozen

from tests.bench.figure import Figure
from tests.support.stack import Stack

LEAST_ROWS = 1200
"""A second."""

MOST_GROWTH = 1.05
"""To how many times the memory of the short import the one of the long import may grow."""

COLUMNS = ("reference", "customer", "type", "expires", "repositories", "field.seats", "contact")


@frozen
class Imported:
    """What an import took.

    Attributes:
        rows: of the file.
        seconds: until it had ended.
        cpu: seconds of processor time of the command.
        mebibytes: peak of the command's resident memory.
    """

    rows: int
    seconds: float
    cpu: float
    mebibytes: float


def write_rows(path: Path, rows: int) -> None:
    """Write a file for ``license import``; the customers have one license each."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number in range(rows):
            row = (f"IMP-{rows}-{number:06}", f"Imported {rows} {number:06}", "paid", "2099-01-01", "worker;api/*")
            writer.writerow((*row, "25", "sales@vendor.com"))


def run_import(stack: Stack, folder: Path, app: str, rows: int) -> Imported:
    """Import a file of so many rows into an app."""
    path = folder / f"{rows}.csv"
    write_rows(path, rows)
    environ = {**stack.environ, "AUTHSVC_DATA_DIR": str(stack.data_dir)}
    began = time.monotonic()
    with (folder / "import.err").open("w+b") as said:
        process = subprocess.Popen(
            (*stack.command, "license", "import", str(path), "--app", app),
            env=environ, cwd=folder, stdout=subprocess.DEVNULL, stderr=said,
        )  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        assert process.returncode == 0, said.read()[-2000:]
    return Imported(rows, time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def measure_imports(stack: Stack, folder: Path, app: str, short: int, long: int) -> list[Figure]:
    """Import two files, and compare."""
    one, other = run_import(stack, folder, app, short), run_import(stack, folder, app, long)
    return [
        Figure(f"import of {long:,} rows", other.rows / other.seconds, "rows/s", least=LEAST_ROWS),
        Figure(f"import of {long:,} rows, CPU", 1e6 * other.cpu / other.rows, "µs a row"),
        Figure(f"import of {long:,} rows, memory", other.mebibytes, "MiB"),
        Figure(f"its memory to that of {short:,} rows", other.mebibytes / one.mebibytes, "times", MOST_GROWTH),
    ]
