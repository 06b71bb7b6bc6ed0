"""Finding images in lists, compose files and manifests."""

import pytest

from authsvc.installer.held import Refused
from authsvc.installer.images import find_images, parse_image
from authsvc.installer.report import dates, size
from authsvc.license_file import in_words
from tests.support.license_files import FACTS

MANIFESTS = """
apiVersion: apps/v1
kind: Deployment
spec:
  template:
    spec:
      imagePullSecrets: [{name: pull}]
      initContainers:
      - image: r.test/app/init:1
        imagePullPolicy: Always
        name: init
      containers:
        - name: worker
          image: "r.test:5000/app/worker@sha256:DIGEST"
        - {name: side, image: 'r.test/app/side:2', ports: []}
        # - image: r.test/app/old:0
      volumes: [{image: null}]
---
image:
  repository: not/this
  tag: one
---
{"kind": "Pod", "spec": {"containers": [{"image":"r.test/app/json:3"}, {"image" : "r.test/app/json:4"}]}}
---
- image: r.test/app/init:1 # again
""".replace("DIGEST", "a" * 64)


def test_manifests() -> None:
    """Images in every style of YAML and JSON are found once, in order; comments and look-alikes are not."""
    assert [
        "r.test/app/init:1", f"r.test:5000/app/worker@sha256:{'a' * 64}", "r.test/app/side:2", "r.test/app/json:3",
        "r.test/app/json:4",
    ] == find_images(MANIFESTS)  # fmt: skip


def test_compose() -> None:
    """A compose file with CRLF is read too."""
    text = "services:\r\n  web:\r\n    image: r.test/app/web:1\r\n    build: .\r\n  db: {image: redis}\r\n"

    assert ["r.test/app/web:1", "redis"] == find_images(text)


def test_a_list() -> None:
    """One image a line; blank lines, comments and a byte-order mark are left out."""
    assert ["r.test/a:1", "redis"] == find_images("\ufeffr.test/a:1\n\n# note\n  redis  \nr.test/a:1\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no image was found"),
        ("# only a comment\n", "no image was found"),
        ("apiVersion: v1\nkind: ConfigMap\n", "no `image:` was found in the input"),
        ("image: null", "no image was found"),
        ("\n".join(f"a/b:{n}" for n in range(2001)), "the input names 2001 images; check at most 2000 at a time"),
        ("x" * (8 * 1024 * 1024 + 1), "the input is longer than"),
    ],
)
def test_nothing_to_check(text: str, said: str) -> None:
    """What holds no image is said to, as wrong usage."""
    with pytest.raises(Refused, match=said) as refused:
        find_images(text)
    assert 2 == refused.value.code


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("r.test/app:${TAG:-1}", "still has variables in it; pipe the finished text in"),
        ("{{ .Values.image }}", "still has variables in it"),
        ("r.test/App:1", "is no image: a repository path is lower-case|is no image: a repository name"),
        ("a" * 64, "is no image: a bare 64-digit image id"),
    ],
)
def test_what_is_no_image(text: str, said: str) -> None:
    """A value that docker would refuse is refused, with what to do."""
    with pytest.raises(Refused, match=said):
        parse_image(text)


def test_variables_are_found_and_refused() -> None:
    """A compose file with a variable in an image is not silently passed over."""
    (image,) = find_images("services:\n  a:\n    image: r.test/app/${NAME}:${TAG:-1}\n")

    with pytest.raises(Refused, match="docker compose config"):
        parse_image(image)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "1 min"), (59, "1 min"), (300, "5 min"), (3599, "1 h"), (3 * 3600 - 9, "3 h"), (26 * 3600, "26 h"),
     (48 * 3600, "2 days"), (11.6 * 86400, "12 days")],
)  # fmt: skip
def test_time_spans(seconds: float, words: str) -> None:
    """Spans are said as people do."""
    assert words == in_words(seconds)


@pytest.mark.parametrize(
    ("number", "words"),
    [(None, "-"), (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1234567, "1.2 MB"), (10**16, "10000.0 TB")],
)
def test_sizes(number: int | None, words: str) -> None:
    """Sizes are said as docker does."""
    assert words == size(number)


@pytest.mark.parametrize(
    ("changes", "state", "warnings"),
    [
        ({"expires_at": "2027-03-01T00:00:00Z"}, "active", []),
        ({"expires_at": "2027-01-11T00:00:00Z"}, "active",
         ["the license ends in 10 days, at 2027-01-11T00:00:00Z; contact sales@vendor.test"]),
        ({"expires_at": "2027-01-01T00:00:00Z"}, "expired",
         ["the license ended at 2027-01-01T00:00:00Z, 1 min ago; contact sales@vendor.test"]),
        ({"expires_at": "soon", "contact": None}, "expired", ["the license ended at soon; ask the vendor"]),
        ({"not_before": "2027-01-01T06:00:00Z"}, "pending", ["the license begins at 2027-01-01T06:00:00Z, in 6 h"]),
    ],
)  # fmt: skip
def test_dates(changes: dict[str, str | None], state: str, warnings: list[str]) -> None:
    """State and warnings follow the dates; the end itself is outside."""
    assert (state, warnings) == dates({**FACTS, "not_before": None, **changes}, 1798761600.0)
