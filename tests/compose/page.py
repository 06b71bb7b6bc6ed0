"""The commands of docs/deploy.md, typed as they stand there."""

import re
from pathlib import Path

from tests.compose.engine import ROOT, UP, Project
from tests.support.stack import run


def commands(heading: str) -> list[str]:
    """Return the blocks of commands below a heading of docs/deploy.md."""
    page = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    section = page.partition(f"\n{heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^```\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def typed(project: Project, folder: Path, *blocks: str) -> None:
    """Type commands in a folder, as an operator does beside compose.yaml."""
    environ = {**project.environ, "COMPOSE_FILE": str(ROOT / "compose.yaml")}
    for block in blocks:
        run("bash", "-euo", "pipefail", "-c", block, environ=environ, cwd=folder, seconds=UP, check=True)
