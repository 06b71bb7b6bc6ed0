"""What the registry has on its disk: which repository links to which blob."""

from collections import defaultdict
from collections.abc import Iterable

from tests.support.stack import Stack


def links(stack: Stack) -> dict[str, set[str]]:
    """Return every digest that a repository links to: layers, manifests and tags."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    root = stack.data_dir / "registry" / "docker" / "registry" / "v2" / "repositories"
    for file in root.rglob("link"):
        parts = file.relative_to(root).parts
        inside = next(place for place, part in enumerate(parts) if part.startswith("_"))
        found["/".join(parts[:inside])].add(file.read_text().strip())
    return dict(found)


def repositories_with(stack: Stack, digests: Iterable[str]) -> set[str]:
    """Return the repositories that link to any of ``digests``."""
    wanted = set(digests)
    return {repository for repository, linked in links(stack).items() if linked & wanted}
