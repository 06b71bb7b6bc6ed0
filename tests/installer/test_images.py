"""Finding images in lists, compose files and manifests."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from authsvc.installer import yaml_nodes
from authsvc.installer.images import MAX_INPUT, find_images
from authsvc.installer.license_store import ToolError
from authsvc.installer.named_images import NamedImage, merged
from authsvc.installer.report import dates, size
from authsvc.license_file import in_words
from tests.support.license_files import FACTS

REGISTRY = "r.test:5630"
X = f"{REGISTRY}/app/x:1"
DIGEST = f"sha256:{'a' * 64}"


def find(text: str | bytes) -> list[NamedImage]:
    """Return what is named in ``text`` for a license of ``r.test:5630``."""
    return merged(find_images(text.encode() if isinstance(text, str) else text, "f.yaml", REGISTRY))


def good(text: str | bytes) -> list[tuple[str, int | None]]:
    """Return images and lines of a text in which there is nothing else."""
    found = find(text)
    assert [] == [one for one in found if one.problem]
    return [(one.text, one.line) for one in found]


def bad(text: str | bytes) -> NamedImage:
    """Return the one thing in a text that cannot be asked about."""
    (found,) = [one for one in find(text) if one.problem]
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"a:\n  image: &a {X}\nb:\n  image: *a\n", [(X, 2)]),
        (f"x-image: &a {X}\nb:\n  image: *a\n", [(X, 1)]),
        (f"image: >-\n  {X}\n", [(X, 1)]),
        (f"image: |-\n  {X}\n", [(X, 1)]),
        (f"image:\n\n  {X}\n", [(X, 3)]),
        (f"image: !!str {X}\n", [(X, 1)]),
        (f"? image\n: {X}\n", [(X, 2)]),
        (f"'image' : '{X}'\n", [(X, 1)]),
        ('image: "[::1]:5630/a/b:1"\n', [("[::1]:5630/a/b:1", 1)]),
        (f"volumes:\n- image: {{reference: {X}, pullPolicy: Always}}\n", [(X, 2)]),
        (f"x: &x {{image: {X}}}\nb: {{<<: *x, image: redis}}\n", [(X, 1), ("redis", 2)]),
        (f"a: &x {{image: {X}}}\nb: &x {{image: redis}}\nc: *x\n", [(X, 1), ("redis", 2)]),
        (f"a: &x [*x, {{image: {X}}}]\n", [(X, 1)]),
        (f"a: {{image: {X}, image: redis}}", [(X, 1), ("redis", 1)]),
        (f"services:\r\n  web:\r\n    image: {X}\r\n  db: {{image: redis}}\r\n", [(X, 3), ("redis", 4)]),
        (f"a:\n  image:\t{X}\t# a tab\n", [(X, 2)]),
        (f"image: {X} # image: r.test:5630/app/old:0\n# image: r.test:5630/app/older:0\n", [(X, 1)]),
        (f"---\n---\nimage: {X}\n...\n# end\n---\nimage: null\n---\nimage: ''\n", [(X, 3)]),
        (f"job:\n  image:\n    name: {X}\n    entrypoint: ['']\n", [(X, 3)]),
        (f"image: [{X}, redis]\n", [(X, 1), ("redis", 1)]),
        (f"spec:\n  sidecarImage: {X}\n  imageName: other/thing\nimage: redis\n", [(X, 2), ("redis", 4)]),
        (f"spec: {{images: [{X}, {{name: redis}}]}}\n", [(X, 1)]),
        # JSON, in every layout
        (f'{{"kind":"List","items":[{{"spec":{{"image":"{X}"}}}}]}}', [(X, 1)]),
        (f'{{\n\t"image"\t:\n\t\t"{X}"\n}}\n', [(X, 3)]),
        (f'{{"image":"{X.replace("/", chr(92) + "/")}"}}', [(X, 1)]),
        (f'["{X}",\n"redis"]', [(X, 1), ("redis", 2)]),
        # Helm values
        (f"image:\n  registry: {REGISTRY}\n  repository: app/x\n  tag: '1'\n  digest: ''\n", [(X, 2)]),
        (f"image: {{repository: {REGISTRY}/app/x, tag: 1}}\n", [(X, 1)]),
        (f"worker: {{repository: {REGISTRY}/app/x, digest: '{DIGEST}'}}\n", [(f"{REGISTRY}/app/x@{DIGEST}", 1)]),
        (f"image: {{registry: {REGISTRY}, image: app/x, tag: '1'}}\n", [(X, 1)]),
        (f"base: &b {{registry: {REGISTRY}, repository: app/x}}\nx: {{<<: *b, tag: '1'}}\n", [(X, 2)]),
        (
            f"a: &a {{registry: {REGISTRY}, repository: app/x, tag: '1'}}\nb: {{<<: *a, repository: app/y}}\n",
            [(X, 1), (f"{REGISTRY}/app/y:1", 2)],
        ),
        (
            f"a: &a {{registry: {REGISTRY}, repository: app/x, tag: '1'}}\nb: {{<<: *a, tag: '2'}}\n",
            [(X, 1), (f"{REGISTRY}/app/x:2", 2)],
        ),
        (f"a: &a {{registry: {REGISTRY}, repository: app/x, tag: '1'}}\nb: {{<<: *a, pullPolicy: Always}}\n", [(X, 2)]),
        (
            f"a: {{repository: &x {X}, digest: '{DIGEST}'}}\nsidecarImage: *x\n",
            [(X, 1), (f"{X}@{DIGEST}", 1)],
        ),
        (f"kind: Kustomization\npatches: [{{patch: 'a'}}]\nimages: [{X}]\n", [(X, 3)]),
        ("image: {repository: nginx, tag: ''}\nother: {repository: https://charts.test}\n", [("nginx", 1)]),
        # Kustomize
        (f"images:\n- {{name: worker, newName: {REGISTRY}/app/x, newTag: '1'}}\n", [(X, 2)]),
        (f"images:\n- {{name: {REGISTRY}/app/old, newName: {REGISTRY}/app/x, newTag: '1'}}\n", [(X, 2)]),
        (f"images:\n- name: {REGISTRY}/app/x\n  digest: {DIGEST}\n", [(f"{REGISTRY}/app/x@{DIGEST}", 2)]),
        (f"images: [{{name: {REGISTRY}/app/x, newName: null, newTag: '1'}}]\n", [(X, 1)]),
        # lists
        (f"\ufeff{X}\n\n# note\n  redis  # comment\n{X}\n", [(X, 1), ("redis", 4)]),
        (f"{X} redis\n[::1]:5630/a/b:1", [(X, 1), ("redis", 1), ("[::1]:5630/a/b:1", 2)]),
        (f"- {X}\n- redis\n", [(X, 1), ("redis", 2)]),
        (f'"{X}"', [(X, 1)]),
        (f"image: {X}\n".encode("utf-16"), [(X, 1)]),
        ("\ufeff" + f"image: {X}\n", [(X, 1)]),
    ],
)
def test_every_image_is_found(text: str | bytes, expected: list[tuple[str, int]]) -> None:
    """Whatever the style, each image is found once and with its line; comments and empty values are not images."""
    assert expected == good(text)


@pytest.mark.parametrize(
    ("text", "named", "line", "said"),
    [
        (f"a: 1\nimage: |\n  {X}\n", f"{X}\n", 2, "ends with white space, which docker and Kubernetes refuse .end the"),
        ('a: 1\nimage: "{{ .Values.x }}/y"\n', "{{ .Values.x }}/y", 2, "it is a template; .* `helm template`"),
        ("a: 1\nimage: {{ .Values.x }}\n", "-", 2, "a template stands here; .* `helm template`"),
        ("a: 1\ncontainers: {{ toYaml .Values.x | indent 2 }}\n", "-", 2, "a template stands here"),
        ("a: 1\nimage: {{ .Values.x }}/y\n", "-", 2, "this is not YAML: .*; the document with this line, and what"),
        ("services:\n  a:\n    image: r.test/${X:-y}\n", "r.test/${X:-y}", 3, "a variable .* `docker compose config`"),
        (
            "services:\n  a:\n    extends: {file: b.yaml, service: a}\n",
            "extends:",
            3,
            "file that it names is not looked",
        ),
        ("include: [b.yaml]\nservices: {}\n", "include:", 1, "the file that it names is not looked at"),
        ("resources: [a.yaml]\nnamePrefix: x\n", "resources:", 1, "not looked at; check what `kubectl kustomize`"),
        ("kind: Kustomization\nbases: [../a]\n", "bases:", 2, "the files that it names are not looked at"),
        ("image: r.test/App:1\n", "r.test/App:1", 1, "it is not an image: "),
        (f"image: {'a' * 64}\n", "a" * 64, 1, "it is not an image: a bare 64-digit"),
        ("image: https://r.test/logo.png\n", "https://r.test/logo.png", 1, "it is not an image"),
        ("image: {pullPolicy: Always, tag: '2'}\n", "image: {pullPolicy, tag}", 1, "it names no image"),
        (f"image: {{repository: {REGISTRY}/app/x, tag: ''}}", f"{REGISTRY}/app/x", 1, "it has no tag"),
        (f"image: {{repository: {REGISTRY}/app/x, tag: 1.10}}", f"{REGISTRY}/app/x:1.10", 1, "not a text, .* quotes"),
        (f"image: {{repository: {REGISTRY}/a, tag: '1', tag: '2'}}", f"{REGISTRY}/a:2", 1, "the key 'tag' twice"),
        (f"web: {{image: {REGISTRY}/app/x, imageTag: '1'}}", f"{REGISTRY}/app/x", 1, "it has no tag"),
        (
            f"x: &x {REGISTRY}/app/x\na: {{image: *x}}\nb: {{image: *x, tag: '1'}}",
            f"{REGISTRY}/app/x",
            1,
            "it has no tag",
        ),
        (f"image: {{name: {REGISTRY}/app/x, version: '1'}}", f"{REGISTRY}/app/x", 1, "it has no tag"),
        (f"image: {{reference: {REGISTRY}/app/x, tag: '1'}}", f"{REGISTRY}/app/x", 1, "it has no tag"),
        ("kind: Component\nresources: [a.yaml]\n", "resources:", 2, "the files that it names are not looked at"),
        ("kind: Kustomization\npatches: [{path: a.yaml}]\n", "patches:", 2, "the files that it names are not looked"),
        (f"image: !reset {X}\n", X, 1, "it has the tag !reset"),
        (f"image: !!binary {'QUJD'}\n", "QUJD", 1, "it has the tag !!binary"),
        ("a:\n\timage: redis\n", "-", 2, "a tab indents this line"),
        ("a: 1\nb: \x1b\n", "-", 2, "YAML does not allow the character U\\+001B; nothing was looked at"),
        ("image: *nothing\n", "-", 1, "this is not YAML: found undefined alias"),
        ("a: 'open\n", "-", 2, "this is not YAML"),
        ("a: " + "[" * 100_000, "-", 1, "it is nested deeper than 200 levels"),
        ('a: "\\UFFFFFFFF"\n', "-", 1, "this is not YAML"),
        (f"{X}\nnot,an,image\n", "not,an,image", 2, "it is not an image"),
    ],
)
def test_what_cannot_be_asked_about_is_named(text: str, named: str, line: int, said: str) -> None:
    """A value that is not a finished image is never passed over: it has a line and a reason."""
    found = bad(text)

    assert (named, "f.yaml", line) == (found.text, found.source, found.line)
    assert re.search(said, found.problem or ""), found.problem


@pytest.mark.parametrize(
    ("text", "named", "line"),
    [
        (f'image: redis\nargs: ["--reloader={X}"]\n', X, 2),
        (f"image: redis\nenv: [{{name: A, value: {X}}}]\n", X, 2),
        (
            f"image: redis\nstatus: {{imageID: docker-pullable://{REGISTRY}/app/x@{DIGEST}}}\n",
            f"{REGISTRY}/app/x@{DIGEST}",
            2,
        ),
        (f"image: redis\nchart: oci://{REGISTRY}/app/chart\n", f"{REGISTRY}/app/chart", 2),
        (f"image: redis\ndata:\n  f: |\n    a: 1\n    image: {X}\n", X, 5),
        (f"image: redis\n{X}: 1\n", X, 2),
        (f"image: redis\nspec: {{baseImage: {REGISTRY}/app/x, version: v1}}\n", f"{REGISTRY}/app/x", 2),
        ("image: redis\nother: R.TEST:5630/app/x:1\n", "R.TEST:5630/app/x:1", 2),
        (f"image: redis\nglobal: {{imageRegistry: {REGISTRY}}}\n", REGISTRY, 2),
        # An image that is put together somewhere else, beside one that is asked about and looks like its beginning.
        (f"image: {REGISTRY}/app/x\nargs: ['--x={REGISTRY}/app/x:$(TAG)']\n", f"{REGISTRY}/app/x:$(TAG", 2),
        (f"image: {X}\nargs: ['--x={X}${{SUFFIX}}']\n", f"{X}${{SUFFIX", 2),
        (f"image: {X}\nargs: ['{REGISTRY}/app/x:{{{{ .tag }}}}']\n", f"{REGISTRY}/app/x:{{{{", 2),
        (f"image: {X}\nargs: ['--x={REGISTRY}/$(APP)/y:1']\n", f"{REGISTRY}/$(APP)/y:1", 2),
        (f"image: {X}\nprefix: '{REGISTRY}/app/x:'\n", f"{REGISTRY}/app/x:", 2),
        (f"image: {X}\nargs: ['--prefix={REGISTRY}/', app/y]\n", f"{REGISTRY}/", 2),
        (f"image: {X}\nargs: ['--registry={REGISTRY}', '--image=app/y:1']\n", REGISTRY, 2),
        (f"image: {X}\ncommand: run --registry {REGISTRY} --image app/y:1\n", REGISTRY, 2),
        (f"image: {X}\nvalues: |\n  image:\n    registry: {REGISTRY}\n    repository: app/y\n", REGISTRY, 4),
        (f'image: {X}\nv: \'{{"registry":"{REGISTRY}","repository":"app/y"}}\'\n', REGISTRY, 2),
        (f'image: {X}\nv: \'{{"image":"{REGISTRY}\\/app\\/y:1"}}\'\n', f"{REGISTRY}\\/app\\/y:1", 2),
        (f"image: {X}\nv: //{REGISTRY}/app/y:1\n", f"{REGISTRY}/app/y:1", 2),
    ],
)
def test_images_in_other_texts_are_named(text: str, named: str, line: int) -> None:
    """An image of the license's registry where none is expected is reported as not looked at."""
    found = bad(text)

    assert (named, line, False) == (found.text, found.line, found.looked_at)
    assert (found.problem or "").startswith("not looked at: ")


@pytest.mark.parametrize(
    "text",
    [
        f"image: {X}\nargs: ['--x={X}']\n",
        f"image: {X}\nnote: 'first {X}, then ({X}). {X}: a sentence'\n",
        "image: redis\nauths: {'r.test:5630': {}}\nurl: https://r.test:5630/portal/x\n",
        f'image: redis\n.dockerconfigjson: \'{{"auths": {{"{REGISTRY}": {{"auth": "eDp5"}}}}}}\'\n',
        "image: redis\na: other.r.test:5630/app/x:1\nb: mirror.test/r.test:5630/app/x:1\nc: r.test:56300/x\n",
    ],
)
def test_what_is_no_image_of_the_registry(text: str) -> None:
    """Images that are asked about anyway, addresses of pages, logins and other hosts are not reported."""
    assert 1 == len(good(text))


@pytest.mark.parametrize("text", [
    "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 99)),
    "a0: &a0 {k: v}\n" + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 99)),
])  # fmt: skip
def test_aliases_are_a_graph(text: str) -> None:
    """Each node is looked at once, though the paths to it are 2 to the power of 99."""
    assert [(X, 100)] == good(f"{text}image: {X}\n")


def test_merge_keys_are_bounded() -> None:
    """A chain of merges that copies more and more is refused."""
    text = "a0: &a0 {k: v}\n" + "".join(f"a{n}: &a{n} {{<<: *a{n - 1}, k{n}: v}}\n" for n in range(1, 400))

    assert "its merge keys copy too much" in (
        bad(text + f"image: {{<<: *a399, repository: {REGISTRY}/x}}\n").problem or ""
    )


def test_values_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """An input of more nodes than are kept in memory is refused, with what came before it still looked at."""
    monkeypatch.setattr(yaml_nodes, "MAX_NODES", 20)

    first, second = find(f"image: {X}\n---\na: [{','.join('b' * 20)}]\n")

    assert (X, None) == (first.text, first.problem)
    assert (3, True) == (second.line, "it has more than 20 values" in (second.problem or ""))


TEXTS = st.text("abz09 :#-'\"{}[]&*!|>%@é~", max_size=8)
IMAGES = st.sampled_from([X, "r.test:5630/app/y@" + DIGEST, "other.test/z", "redis:7"])
VALUES = st.recursive(
    TEXTS | st.integers(0, 99) | st.none() | IMAGES.map(lambda image: {"image": image}),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)


def images_in(value: Any) -> Iterator[str]:
    """Yield what stands behind each key ``image``."""
    if isinstance(value, dict):
        yield from ([value["image"]] if isinstance(value.get("image"), str) else [])
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from images_in(inner)


@settings(max_examples=60, deadline=None)
@given(VALUES, st.sampled_from([None, True, False]), st.sampled_from([None, "'", '"', "|", ">"]), st.integers(20, 99))
def test_nothing_is_lost_in_any_style(value: Any, flow: bool | None, style: str | None, width: int) -> None:
    """Whatever a YAML or JSON writer makes of a value, exactly its images are found."""
    whole = {"a": value, "b": {"image": "redis:7"}}
    texts = [
        yaml.safe_dump(whole, default_flow_style=flow, default_style=style, width=width),
        json.dumps(whole),
        json.dumps(whole, indent="\t", ensure_ascii=False),
    ]
    for text in texts:
        assert set(images_in(whole)) == {one.text for one in find(text)}, text


@settings(max_examples=100, deadline=None)
@given(st.text(st.sampled_from("ab:-[]{},\"'|>&*!# \t\n<%@/$"), max_size=60), st.binary(max_size=20))
def test_no_input_breaks_the_reader(text: str, data: bytes) -> None:
    """Every input gives images or a refusal, never another error."""
    for given_ in (text.encode(), f"image: {text}".encode(), data):
        with suppress(ToolError):
            find(given_)


KNOWN_KEYS = st.sampled_from(
    ["image", "images", "name", "newName", "newTag", "digest", "repository", "registry", "tag", "reference", "<<",
     "extends", "file", "resources", "kind", "services", "include", "sidecarImage"]
)  # fmt: skip
SHAPES = st.recursive(
    st.sampled_from([None, "", "1", 1.10, True, X, "app/x", REGISTRY, "Kustomization", "${X}", "{{ x }}", " "]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KNOWN_KEYS, inner, max_size=5),
    max_leaves=15,
)


@settings(max_examples=150, deadline=None)
@given(SHAPES)
def test_no_shape_is_passed_over(value: Any) -> None:
    """Whatever stands where an image may be, an image of the registry is in the result, asked about or named."""
    text = yaml.safe_dump({"spec": value}).replace("'<<'", "<<")
    with suppress(ToolError):
        named = [one.text for one in find(text)]
        assert X not in text or any(X in one or one == "-" for one in named), text
    if X in text:
        assert find(text)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no image was found in f.yaml"),
        (b"# only a comment\n", "no image was found"),
        (b"apiVersion: v1\nkind: ConfigMap\n", "no image was found"),
        (b"image: null", "no image was found"),
        (b"a: 1\nimage: \xff\n", "f.yaml, line 2: this is not UTF-8 text"),
        (b"x" * (MAX_INPUT + 1), "f.yaml is longer than"),
    ],
)
def test_nothing_to_check(data: bytes, said: str) -> None:
    """What holds no image, or cannot be read, is refused as wrong usage."""
    with pytest.raises(ToolError, match=said) as refused:
        find(data)
    assert 2 == refused.value.code


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
