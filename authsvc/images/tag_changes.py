"""What the registry reported of the tags of a repository while a deletion ran, and which pushes were lost to it.

A push can arrive between two requests of a deletion: after the last look at a tag and before the change. No registry
offers a condition on a change, so such a push cannot be prevented; it is found in the registry's events, and undone.
Per replica of the registry they come in the order in which things happened: a push is reported before its tag is
written, and a deleted manifest before its tags, one by one.
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
    """Whether everything has been reported that happened before our own deletion ended.

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
    """Return the tags that others pushed and that a deletion took away, each with the digest that was pushed.

    Args:
        changes: what was reported since the deletion began; earlier ones may be among them, reported late.
        after: where every tag points now; None for one whose manifest is gone.
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
            # A deletion by others, or an earlier one of ours that is reported late: the push was before it.
            pushed.pop(change.tag, None)
    return {
        tag: digest
        for tag, digest in pushed.items()
        if after.get(tag) is None and not (tag in tags and digest in digests)
    }
