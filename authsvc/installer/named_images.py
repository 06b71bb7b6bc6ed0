"""An image that an input names, or the reason why it cannot be checked."""

from __future__ import annotations

from dataclasses import dataclass

from authsvc.spec.reference import Reference


@dataclass(frozen=True)
class NamedImage:
    """An image, or a possible image, in the input.

    Attributes:
        text: as the tools that read the input would ask for it.
        source: name of the file; None for what was typed on the command line.
        line: where it stands, counted from 1; None on the command line.
        problem: why it cannot be checked; None when it can.
        looked_at: False for an image of the license's registry that stands where no image is expected.
    """

    text: str
    source: str | None = None
    line: int | None = None
    problem: str | None = None
    looked_at: bool = True


def typed(text: str) -> NamedImage:
    """Return an image that was typed on the command line."""
    return NamedImage(text, problem=problem_of(text))


def problem_of(text: str) -> str | None:
    """Return why ``text`` is not an image that can be asked about, or None when it is one."""
    if "{{" in text:
        return "it is a template; check the finished text, as from `helm template`"
    if "$" in text:
        return "it has a variable in it; check the finished text, as from `docker compose config`"
    if text != text.strip():
        hint = " (end the block with `|-` or `>-`)" if text.endswith("\n") else ""
        return f"it begins or ends with white space, which docker and Kubernetes refuse{hint}"
    try:
        Reference.parse(text)
    except ValueError as error:
        return f"it is not an image: {error}"
    return None


def merged(found: list[NamedImage]) -> list[NamedImage]:
    """Return each image once, where it stands first, and no mention of an image that is asked about anyway."""
    asked = {str(Reference.parse(one.text)) for one in found if one.problem is None}
    first: dict[tuple[str, str | None, int | None], NamedImage] = {}
    for one in found:
        if not one.looked_at and problem_of(one.text) is None and str(Reference.parse(one.text)) in asked:
            continue
        # Two lines with the same fault are two things to correct.
        key = (one.text, one.source, one.line) if one.problem else (one.text, None, None)
        first.setdefault(key, one)
    return list(first.values())
