"""The facts about images, by name, for the command line and the management API alike. None is *unknown*."""

from typing import Any

from authsvc.activity.history import ImageHistory, LastUse
from authsvc.images.index import AppImages, CrawlState
from authsvc.images.summary import BlobList, PlatformImage
from authsvc.manage.images import ListedImage, ShownImage, ShownRepository
from authsvc.tenancy.subjects import split_subject

Facts = dict[str, Any]
"""Names with texts, numbers, aware datetimes, facts, and tuples of facts."""


def listed_facts(one: ListedImage) -> Facts:
    """Return the facts of a tag, or of a requested digest, with its image."""
    summary = one.image.summary
    platforms = None if summary is None else summary.platforms
    return {
        "repository": one.image.repository,
        "tag": one.image.tag or None,
        "digest": one.image.digest,
        "kind": "unknown" if summary is None else str(summary.kind),
        "media_type": None if summary is None else summary.media_type,
        "artifact_type": None if summary is None else summary.artifact_type,
        "subject": None if summary is None else summary.subject,
        "platforms": None if platforms is None else tuple(map(_platform, platforms)),
        "size": None if summary is None else summary.size,
        "signed": one.image.signed,
        "sbom": one.image.sbom,
        **_history(one.history, one.names),
        "read_at": one.image.read_at,
    }


def image_facts(shown: ShownImage) -> Facts:
    """Return all facts about one image."""
    return {
        **listed_facts(shown.listed),
        "evidence": tuple(sorted(map(str, shown.listed.image.evidence))),
        "tags": shown.tags,
        "manifests": None if shown.blobs is None else tuple(map(_blobs, shown.blobs)),
        "customers": tuple(
            {"license": each.license, "customer": each.customer, "pulled_at": each.pulled_at}
            for each in shown.customers
        ),
        "from_registry": shown.from_registry,
    }


def repository_facts(shown: ShownRepository) -> Facts:
    """Return the facts about a repository."""
    state = shown.state
    return {
        "repository": state.name,
        "app": state.app,
        "tags": state.tags,
        "all_tags": state.is_whole,
        **_history(shown.history, shown.names),
        "changed_at": state.changed_at,
        "read_at": state.read_at,
        "from_registry": shown.from_registry,
    }


def sum_facts(app: str, total: AppImages | None, crawl: CrawlState) -> Facts:
    """Return the totals of the images of an app."""
    return {
        "app": app,
        "repositories": None if total is None else total.repositories,
        "tags": None if total is None else total.tags,
        "size": None if total is None else total.size,
        "images_of_unknown_size": None if total is None else total.unsized,
        "unfinished_deletions": None if total is None else total.leftovers,
        "all_indexed": None if total is None else not total.is_full,
        "counted_at": None if total is None else total.counted_at,
        "crawled_at": crawl.ended_at,
    }


def _platform(one: PlatformImage) -> Facts:
    platform = one.platform
    return {
        "platform": None if platform is None else str(platform),
        "os": None if platform is None else platform.os,
        "architecture": None if platform is None else platform.architecture,
        "variant": None if platform is None else platform.variant,
        "digest": one.digest,
        "size": one.size,
    }


def _blobs(one: BlobList) -> Facts:
    return {
        "digest": one.digest,
        "config": {"digest": one.config.digest, "size": one.config.size},
        "layers": tuple({"digest": layer.digest, "size": layer.size} for layer in one.layers),
    }


def _history(history: ImageHistory, names: dict[str, str]) -> Facts:
    return {
        "pushed_at": _at(history.pushed),
        "pushed_by": _by(history.pushed),
        "pushed_by_name": _name(history.pushed, names),
        "first_found_at": _at(history.found),
        "pulled_at": _at(history.pulled),
        "pulled_by": _by(history.pulled),
        "pulled_by_name": _name(history.pulled, names),
    }


def _at(use: LastUse | None) -> Any:
    return None if use is None else use.at


def _by(use: LastUse | None) -> str | None:
    return None if use is None else use.subject


def _name(use: LastUse | None, names: dict[str, str]) -> str | None:
    if use is None or use.subject is None:
        return None
    found = [names[part] for part in split_subject(use.subject) if part in names]
    return ", ".join(dict.fromkeys(found)) or None
