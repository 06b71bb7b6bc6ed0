"""What the index of images says: a copy, for fast lists, of what the registry holds. The registry is the truth."""

from datetime import datetime

from attrs import frozen

from authsvc.images.evidence import Evidence, present
from authsvc.images.summary import ImageSummary


@frozen
class ImageScope:
    """Which images are listed.

    Attributes:
        team: slug; None for all teams.
        apps: slugs of the only apps; None for all of the team.
        repository: the only repository; None for all.
        tag: how the tags of it begin; empty for all tags.
    """

    team: str | None = None
    apps: frozenset[str] | None = None
    repository: str | None = None
    tag: str = ""

    @property
    def query(self) -> str:
        """A text that stands for it in a cursor."""
        tag = f" {self.tag}" if self.tag else ""
        return f"images {self.team} {None if self.apps is None else sorted(self.apps)} {self.repository}{tag}"


@frozen
class RepositoryState:
    """A repository that has tags.

    Attributes:
        name: with the slug of its app in front.
        app: slug.
        tags: how many are indexed.
        read_at: when all of its tags were last compared with the registry; None when they never were.
        changed_at: when one of them was last found changed.
        all_tags: whether every tag that the registry has is in the index: there is a bound.
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
        """Whether what is not in the index is not in the registry either, as of :attr:`read_at`."""
        return self.read_at is not None and self.all_tags and not self.unread


@frozen
class IndexedTag:
    """A tag, with what is known of the image under it.

    Attributes:
        repository: of the tag.
        tag: itself.
        digest: that it points to.
        summary: what that is; None when it is not known.
        evidence: what speaks for it, in its own index or attached to it.
        all_evidence: whether every place was looked at where more could be.
        read_at: when the tags of the repository were last compared with the registry, whole; None when they never were.
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
        """Whether a signature is there, which nobody has verified; None when that is unknown."""
        return present(self.evidence, Evidence.SIGNATURE, complete=self.all_evidence)

    @property
    def sbom(self) -> bool | None:
        """Whether a bill of materials is there; None when that is unknown."""
        return present(self.evidence, Evidence.SBOM, complete=self.all_evidence)


@frozen
class RepositoryRow:
    """A repository in a list.

    Attributes:
        state: of it.
        newest: the tag that was pushed last, or found last by a crawl; None when the index has none of the newest.
    """

    state: RepositoryState
    newest: IndexedTag | None


@frozen
class AppImages:
    """What the images of an app add up to.

    Attributes:
        app: slug.
        repositories: that have tags.
        tags: in all of them.
        size: bytes of all configurations and layers of tagged images, each blob once.
        unsized: tagged images whose size is not known, and not in ``size``.
        leftovers: tags of deletions that did not finish.
        counted_at: when all of this was added up.
        is_full: whether the app has more than the index takes, so that newer images are missing from it.
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
        started_at: when the present one began, or None.
        last: the repository after which it goes on, or None.
        ended_at: when the last whole one ended, or None.
        seconds: that it took.
        repositories: that it found.
        outside: repositories among them that belong to no app.
        errors: repositories and tags that could not be read.
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
    """What becomes of one tag in the index.

    Attributes:
        tag: which.
        old: digest that the index had when the registry was asked; None for none.
        new: digest that the registry has; None for none.
    """

    tag: str
    old: str | None
    new: str | None
