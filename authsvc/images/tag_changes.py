"""Changes of tags that the registry reported during a deletion, and the pushes that the deletion undid.

A push can arrive between two requests of a deletion: after the last read of a tag and before its deletion. Registries
have no conditional requests, so such a loss cannot be prevented; it is found in the registry's events, and repaired.
Each replica of the registry reports events in order: a push before its tag is written, and a deleted manifest before
its tags, one by one.
"""

from collections.abc import Collection, Iterable, Mapping

from attrs import frozen


@frozen
class TagChange:
    """A push or a deletion that the registry reported.

    Attributes:
        digest: of the manifest; None for a tag that was deleted.
        tag: None for a manifest that was deleted, or pushed without one.
        deleted: whether it is a deletion.
        own: whether authsvc did it.
    """

    digest: str | None
    tag: str | None
    deleted: bool
    own: bool


def is_complete(changes: Iterable[TagChange], deleted: Collection[str]) -> bool:
    """Whether everything that happened before the end of our own deletion has been reported.

    Args:
        changes: what was reported.
        deleted: the tags and the digests of the manifests that we deleted.
    """
    return {change.tag or change.digest for change in changes if change.own and change.deleted}.issuperset(deleted)


def lost_pushes(
    changes: Iterable[TagChange],
    after: Mapping[str, str | None],
    tags: Collection[str],
    digests: Collection[str | None],
) -> dict[str, str]:
    """Return the tags that were pushed by others and lost in a deletion, each with its pushed digest.

    Args:
        changes: reported since the deletion began; earlier ones that were reported late may be among them.
        after: digest of every tag now; None for one whose manifest is gone.
        tags: that were to be deleted.
        digests: of what was to be deleted and of the placeholders. One of them that was pushed to a tag that was to be
            deleted was rightly deleted with it.
    """
    pushed: dict[str, str] = {}
    deleting: str | None = None
    for change in changes:
        if change.tag is None:
            deleting = change.digest if change.own and change.deleted else deleting
        elif not change.own and change.digest is not None:
            pushed[change.tag] = change.digest
        elif not change.own or (change.tag not in tags and deleting not in digests):
            # A deletion by others, or an earlier one of ours that is reported late, after the push.
            pushed.pop(change.tag, None)
    return {
        tag: digest
        for tag, digest in pushed.items()
        if after.get(tag) is None and not (tag in tags and digest in digests)
    }
