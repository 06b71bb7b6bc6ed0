"""The index of images: a copy, for fast lists, of what the registry contains. The registry is authoritative."""

from datetime import datetime

from attrs import frozen

from authsvc.images.evidence import Evidence, present
from authsvc.images.summary import ImageSummary


@frozen
class ImageScope:
    """The scope of a list of images.

    Attributes:
        team: slug; None for all teams.
        apps: slugs of the only apps; None for all of the team.
        repository: the only repository; None for all.
        tag: prefix of its tags; empty for all tags.
    """

    team: str | None = None
    apps: frozenset[str] | None = None
    repository: str | None = None
    tag: str = ""

    @property
    def query(self) -> str:
        """A text that identifies it in a cursor."""
        tag = f" {self.tag}" if self.tag else ""
        return f"images {self.team} {None if self.apps is None else sorted(self.apps)} {self.repository}{tag}"


@frozen
class RepositoryState:
    """A repository that has tags.

    Attributes:
        name: with the slug of its app in front.
        app: slug.
        tags: how many are indexed.
        read_at: when all of its tags were last compared with the registry; None if never.
        changed_at: when a change of one of them was last found.
        all_tags: whether all tags of the registry are in the index, which has a limit.
        unread: tags of the last comparison whose manifest the registry could not give.
    """

    name: str
    app: str
    tags: int
    read_at: datetime | None = None
    changed_at: datetime | None = None
    all_tags: bool = True
    unread: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether the index has everything that the registry has, as of :attr:`read_at`."""
        return self.read_at is not None and self.all_tags and not self.unread


@frozen
class IndexedTag:
    """A tag, with what is known about its image.

    Attributes:
        repository: of the tag.
        tag: itself.
        digest: that it points to.
        summary: of the image; None when it is not known.
        evidence: for the image, in its own index or attached to it.
        all_evidence: whether every place that can contain evidence was examined.
        read_at: when all tags of the repository were last compared with the registry; None if never.
    """

    repository: str
    tag: str
    digest: str
    summary: ImageSummary | None = None
    evidence: frozenset[Evidence] = frozenset()
    all_evidence: bool = False
    read_at: datetime | None = None

    @property
    def signed(self) -> bool | None:
        """Whether there is a signature, which is not verified; None when that is unknown."""
        return present(self.evidence, Evidence.SIGNATURE, complete=self.all_evidence)

    @property
    def sbom(self) -> bool | None:
        """Whether there is a bill of materials; None when that is unknown."""
        return present(self.evidence, Evidence.SBOM, complete=self.all_evidence)


@frozen
class RepositoryRow:
    """A repository in a list.

    Attributes:
        state: of the repository.
        newest: the tag that was pushed last, or found last by a crawl; None when that is not in the index.
    """

    state: RepositoryState
    newest: IndexedTag | None


@frozen
class AppImages:
    """The totals of the images of an app.

    Attributes:
        app: slug.
        repositories: that have tags.
        tags: in all of them.
        size: bytes of all configurations and layers of tagged images, each blob once.
        unsized: tagged images whose size is not known, and not included in ``size``.
        leftovers: tags left by deletions that did not finish.
        counted_at: when the totals were computed.
        is_full: whether the app has more images than fit into the index, so that newer ones are missing from it.
    """

    app: str
    repositories: int
    tags: int
    size: int
    unsized: int
    leftovers: int
    counted_at: datetime
    is_full: bool = False


@frozen
class CrawlState:
    """The crawl of the whole registry.

    Attributes:
        started_at: when the current one began, or None.
        last: the repository after which it continues, or None.
        ended_at: when the last complete one ended, or None.
        seconds: duration of that one.
        repositories: number of repositories that it found.
        outside: number of repositories among them that belong to no app.
        errors: number of repositories and tags that could not be read.
    """

    started_at: datetime | None = None
    last: str | None = None
    ended_at: datetime | None = None
    seconds: int = 0
    repositories: int = 0
    outside: int = 0
    errors: int = 0


@frozen
class IndexChange:
    """The change of one tag in the index.

    Attributes:
        tag: its name.
        old: digest in the index when the registry was asked; None without one.
        new: digest in the registry; None without one.
    """

    tag: str
    old: str | None
    new: str | None
