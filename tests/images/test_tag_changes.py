"""Which pushes were lost to a deletion, by what the registry reports."""

import pytest

from authsvc.images.tag_changes import TagChange, is_complete, lost_pushes

OLD, NEW, PLACEHOLDER, EARLIER = "sha256:old", "sha256:new", "sha256:placeholder", "sha256:earlier"
TAG, OTHER = "1.0", "other"


def push(tag: str | None, digest: str, *, own: bool = False) -> TagChange:
    """Return a push."""
    return TagChange(digest, tag, deleted=False, own=own)


def delete(*, tag: str | None = None, digest: str | None = None, own: bool = True) -> TagChange:
    """Return a deletion."""
    return TagChange(digest, tag, deleted=True, own=own)


BY_PLACEHOLDER = (push(TAG, PLACEHOLDER, own=True), delete(digest=PLACEHOLDER), delete(tag=TAG))
WITH_MANIFEST = (delete(digest=OLD), delete(tag=TAG))


@pytest.mark.parametrize(
    ("changes", "lost"),
    [
        (BY_PLACEHOLDER, {}),
        ((push(TAG, NEW), *BY_PLACEHOLDER), {TAG: NEW}),
        ((*BY_PLACEHOLDER[:2], push(TAG, NEW), BY_PLACEHOLDER[2]), {TAG: NEW}),
        ((push(TAG, OLD), *BY_PLACEHOLDER), {}),
        ((push(TAG, NEW), push(TAG, OLD), *BY_PLACEHOLDER), {}),
        ((push(TAG, OLD), push(TAG, NEW), *BY_PLACEHOLDER), {TAG: NEW}),
        ((push(None, NEW), *BY_PLACEHOLDER), {}),
        (WITH_MANIFEST, {}),
        ((push(OTHER, OLD), *WITH_MANIFEST, delete(tag=OTHER)), {OTHER: OLD}),
        ((push(TAG, NEW), *WITH_MANIFEST), {TAG: NEW}),
        # An earlier deletion of ours, or one by others, that is reported late: the push was before it.
        ((push(OTHER, NEW), push(OTHER, EARLIER, own=True), delete(digest=EARLIER), delete(tag=OTHER)), {}),
        ((push(OTHER, NEW), delete(digest=NEW, own=False), delete(tag=OTHER, own=False)), {}),
        ((push(OTHER, NEW), delete(tag=OTHER)), {}),
    ],
)
def test_lost_pushes(changes: tuple[TagChange, ...], lost: dict[str, str]) -> None:
    """What others pushed, and what is gone without anybody having wanted that, is found; nothing else is."""
    assert lost_pushes(changes, {}, {TAG}, {OLD, PLACEHOLDER}) == lost


def test_what_is_there_was_not_lost() -> None:
    """A tag that points anywhere was pushed after the deletion; one whose manifest is gone was not."""
    changes = (push(TAG, NEW), push(OTHER, NEW), *BY_PLACEHOLDER)

    assert lost_pushes(changes, {TAG: OLD, OTHER: None}, {TAG}, {OLD, PLACEHOLDER}) == {OTHER: NEW}


def test_reports_are_complete_with_our_own_deletion() -> None:
    """Everything that was deleted must be reported, and by ourselves."""
    wanted = {PLACEHOLDER, TAG}

    assert is_complete(BY_PLACEHOLDER, wanted)
    assert not is_complete(BY_PLACEHOLDER[:2], wanted)
    assert not is_complete((delete(digest=PLACEHOLDER, own=False), delete(tag=TAG)), wanted)
    assert is_complete((), set())
