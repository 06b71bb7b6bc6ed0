"""Reading tests/vectors: the examples of the specifications as data."""

import json
import tomllib
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).parents[1] / "vectors"


def load(name: str) -> dict[str, Any]:
    """Return the vector file ``name``, TOML or JSON."""
    text = (VECTORS / name).read_text(encoding="utf-8")
    return dict(json.loads(text) if name.endswith(".json") else tomllib.loads(text))


def cases(name: str, key: str) -> list[Any]:
    """Return the named examples under ``key`` as pytest parameters, with their names as ids."""
    return list(load(name)[key])


def name_of(case: dict[str, Any]) -> str:
    """Return what an example is called: the id of its test."""
    return str(case["name"])


def stretched(text: str) -> str:
    """Return ``text``; ``abc*9`` is ``abc`` with its last character repeated up to nine characters."""
    head, star, length = text.rpartition("*")
    if not (star and length.isdigit()):
        return text
    return head + head[-1] * (int(length) - len(head))
