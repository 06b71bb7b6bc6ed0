"""Images in the management API: ``/images``, and totals of an app."""

from datetime import UTC, datetime
from typing import Any

from attrs import frozen

from authsvc.manage.image_facts import image_facts, listed_facts, sum_facts
from authsvc.manage.permissions import Permission
from authsvc.manage.use_cases import UseCases
from authsvc.web.api.api_errors import ApiErrors
from authsvc.web.api.apps import ONE as ONE_APP
from authsvc.web.api.endpoint import Call, Endpoint, ListAnswer, NoBody, NoQuery, ObjectAnswer
from authsvc.web.api.parameters import PAGE_ERRORS, PageQuery
from authsvc.web.api.schemas import Instant


@frozen
class PlatformView:
    """The image of one platform.

    Attributes:
        platform: the platform, such as `linux/arm64/v8`; null if the image does not state it.
        os: its first part.
        architecture: its second part.
        variant: its third part, or null.
        digest: of its manifest.
        size: bytes of the image's configuration and layers; null if its manifest cannot be read.
    """

    platform: str | None
    os: str | None
    architecture: str | None
    variant: str | None
    digest: str
    size: int | None


@frozen
class ImageView:
    """A tag with its image. Null means *unknown*, never *none*.

    Attributes:
        repository: full name.
        tag: the tag; null if the image was requested by its digest.
        digest: of the manifest or index.
        kind: `image`, `index` (several platforms), `artifact` or `unknown`.
        media_type: of the manifest or index.
        artifact_type: of an artifact, such as a Helm chart, or null.
        subject: digest of the image that an artifact is attached to, or null.
        platforms: the images of all platforms; empty for an artifact.
        size: bytes of configurations and layers over all platforms, each blob once.
        signed: whether a signature is attached; authsvc does not verify it.
        sbom: whether a bill of materials is attached.
        pushed_at: the last push.
        pushed_by: the account, such as `member:<id>`.
        pushed_by_name: the account's address or name.
        first_found_at: when a crawl of the registry first found it, if no push was recorded.
        pulled_at: the last pull.
        pulled_by: the account, such as `license:<id>`; ids of several licenses are separated by commas.
        pulled_by_name: the account's address or name; for a license, its customer.
        read_at: when the repository was last compared with the registry; later pushes and deletions are included.
    """

    repository: str
    tag: str | None
    digest: str
    kind: str
    media_type: str | None
    artifact_type: str | None
    subject: str | None
    platforms: tuple[PlatformView, ...] | None
    size: int | None
    signed: bool | None
    sbom: bool | None
    pushed_at: Instant | None
    pushed_by: str | None
    pushed_by_name: str | None
    first_found_at: Instant | None
    pulled_at: Instant | None
    pulled_by: str | None
    pulled_by_name: str | None
    read_at: Instant | None


@frozen
class BlobView:
    """A configuration or layer.

    Attributes:
        digest: the blob's digest.
        size: in bytes.
    """

    digest: str
    size: int


@frozen
class ManifestView:
    """The blobs of one platform.

    Attributes:
        digest: of its manifest.
        config: the configuration.
        layers: from the first to the last layer.
    """

    digest: str
    config: BlobView
    layers: tuple[BlobView, ...]


@frozen
class RunningCustomerView:
    """A license with which the image was pulled in the last 30 days.

    Attributes:
        license: id of the license.
        customer: as in the license file; null if the license does not exist any more.
        pulled_at: the last pull.
    """

    license: str
    customer: str | None
    pulled_at: Instant


@frozen
class WholeImageView(ImageView):
    """Everything about one image. Null means *unknown*, never *none*.

    Attributes:
        evidence: what is attached to the image or in its own index: `signature`, `sbom`, `provenance`, `other` or
            `unknown`.
        tags: the first hundred tags of the same digest.
        manifests: the blobs of each platform.
        customers: who pulled it recently, the latest first, according to the registry's events.
        from_registry: whether the answer comes from the registry itself, because the image is not indexed yet.
    """

    evidence: tuple[str, ...]
    tags: tuple[str, ...]
    manifests: tuple[ManifestView, ...] | None
    customers: tuple[RunningCustomerView, ...]
    from_registry: bool


@frozen
class AppImagesView:
    """Totals of the images of an app. Null means *unknown*: the totals have never been calculated.

    Attributes:
        app: slug.
        repositories: number of repositories with tags.
        tags: number of tags in all of them.
        size: bytes of configurations and layers of tagged images, each blob once in the whole app.
        images_of_unknown_size: number of tagged images that `size` does not include.
        unfinished_deletions: number of tags whose deletion did not finish.
        all_indexed: whether the index contains everything in the app; its size is limited.
        counted_at: when the totals were calculated.
        crawled_at: when the whole registry was last read; later pushes and deletions are included.
    """

    app: str
    repositories: int | None
    tags: int | None
    size: int | None
    images_of_unknown_size: int | None
    unfinished_deletions: int | None
    all_indexed: bool | None
    counted_at: Instant | None
    crawled_at: Instant | None


@frozen
class ImageListQuery(PageQuery):
    """Selects tags.

    Attributes:
        app: slug of the app; all apps that the caller sees if left out.
        repository: full name, such as `myapp/worker`.
        tag: the beginning of the tags; only together with `repository`.
    """

    app: str | None = None
    repository: str | None = None
    tag: str = ""


def image_view(facts: dict[str, Any]) -> ImageView:
    """Return a tag as the API shows it, from its facts."""
    return ImageView(**{**facts, "platforms": _platforms(facts)})


def _whole(facts: dict[str, Any]) -> WholeImageView:
    manifests = facts["manifests"]
    return WholeImageView(
        **{
            **facts,
            "platforms": _platforms(facts),
            "manifests": None if manifests is None else tuple(map(_manifest, manifests)),
            "customers": tuple(RunningCustomerView(**one) for one in facts["customers"]),
        }
    )


def _platforms(facts: dict[str, Any]) -> tuple[PlatformView, ...] | None:
    platforms = facts["platforms"]
    return None if platforms is None else tuple(PlatformView(**one) for one in platforms)


def _manifest(facts: dict[str, Any]) -> ManifestView:
    layers = tuple(BlobView(**one) for one in facts["layers"])
    return ManifestView(facts["digest"], BlobView(**facts["config"]), layers)


async def _list(use_cases: UseCases, call: Call[ImageListQuery, NoBody]) -> ListAnswer:
    query = call.query
    page = await use_cases.images.list(
        call.actor, app=query.app, repository=query.repository, tag=query.tag, after=query.after, limit=query.limit
    )
    return ListAnswer(tuple(image_view(listed_facts(one)) for one in page.items), page.next)


async def _show(use_cases: UseCases, call: Call[NoQuery, NoBody]) -> ObjectAnswer:
    shown = await use_cases.images.show(call.actor, call.path["image"], call.now)
    return ObjectAnswer(_whole(image_facts(shown)), f'"{shown.listed.image.digest}"')


async def _sum(use_cases: UseCases, call: Call[NoQuery, NoBody]) -> ObjectAnswer:
    total, crawl = await use_cases.images.sum(call.actor, call.path["app"])
    return ObjectAnswer(AppImagesView(**sum_facts(call.path["app"], total, crawl)))


_AT = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
_DIGEST, _LAYER = f"sha256:{'3f' * 32}", f"sha256:{'a1' * 32}"

_EXAMPLE: dict[str, Any] = {
    "repository": "myapp/worker",
    "tag": "1.2",
    "digest": _DIGEST,
    "kind": "image",
    "media_type": "application/vnd.oci.image.manifest.v1+json",
    "artifact_type": None,
    "subject": None,
    "platforms": (PlatformView("linux/amd64", "linux", "amd64", None, _DIGEST, 45_120_377),),
    "size": 45_120_377,
    "signed": True,
    "sbom": None,
    "pushed_at": _AT,
    "pushed_by": "member:5w8xk2m4q1wz9h3t",
    "pushed_by_name": "kim@vendor.com",
    "first_found_at": None,
    "pulled_at": _AT,
    "pulled_by": "license:7h2m4k9q1wz8x3tb",
    "pulled_by_name": "Acme Corp",
    "read_at": _AT,
}

EXAMPLE = ImageView(**_EXAMPLE)

WHOLE_EXAMPLE = WholeImageView(
    **_EXAMPLE,
    evidence=("signature", "unknown"),
    tags=("1.2", "latest"),
    manifests=(ManifestView(_DIGEST, BlobView(_LAYER, 2_377), (BlobView(_LAYER, 45_118_000),)),),
    customers=(RunningCustomerView("7h2m4k9q1wz8x3tb", "Acme Corp", _AT),),
    from_registry=False,
)

SUM_EXAMPLE = AppImagesView(
    app="myapp",
    repositories=3,
    tags=42,
    size=1_204_118_112,
    images_of_unknown_size=0,
    unfinished_deletions=0,
    all_indexed=True,
    counted_at=_AT,
    crawled_at=_AT,
)

ONE = ApiErrors(
    refused=("image_invalid",),
    not_found=("image_not_found",),
    unavailable=("registry_unavailable", "signer_unavailable"),
)
"""Errors of every endpoint that names an image."""

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        *("GET", "/images", "listImages", "List tags, by repository and name"),
        *(Permission.IMAGE_LIST, _list, ImageView),
        is_list=True,
        errors=PAGE_ERRORS | ONE_APP | ApiErrors(refused=("image_invalid",), not_found=("image_not_found",)),
        answer_example=EXAMPLE,
        description="From an index of the registry, which includes a push or a deletion after about a second.",
    ),
    Endpoint(
        *("GET", "/images/{image}", "getImage", "Read an image"),
        *(Permission.IMAGE_SHOW, _show, WholeImageView),
        has_etag=True,
        asks_others=True,
        errors=ONE,
        answer_example=WHOLE_EXAMPLE,
        description=(
            "With its layers, its other tags and the customers that run it. An image that is not indexed yet is read "
            "from the registry. The entity tag is the digest."
        ),
    ),
    Endpoint(
        *("GET", "/apps/{app}/images", "getAppImages", "Read what the images of an app add up to"),
        *(Permission.IMAGE_SUM, _sum, AppImagesView),
        errors=ONE_APP,
        answer_example=SUM_EXAMPLE,
    ),
)
