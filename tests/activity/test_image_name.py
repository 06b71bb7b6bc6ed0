"""Names of images as people type them."""

import pytest

from authsvc.activity.image_name import ImageName
from authsvc.errors import InputRefused

DIGEST = f"sha256:{'0a' * 32}"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("acme/web", ImageName("acme/web")),
        ("acme/web:1.0", ImageName("acme/web", "1.0")),
        (f"acme/web@{DIGEST}", ImageName("acme/web", digest=DIGEST)),
        ("proxy/acme/hub/library/nginx:1", ImageName("proxy/acme/hub/library/nginx", "1")),
    ],
)
def test_a_name_is_read_and_written(text: str, name: ImageName) -> None:
    """Each form, there and back."""
    assert ImageName.parse(text) == name
    assert str(name) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "acme", ":1", "acme/web:", "acme/web:-1", "acme/web@", "acme/web@sha256:1", "Acme/web", "acme//web"),
        *("localhost:5000/acme/web", f"acme/web:1@{DIGEST}", "acme/web:1\n", "acme/wéb"),
        *(f"acme/{'w' * 255}", f"acme/web:{'1' * 129}"),
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    """With the argument's name, and not at length."""
    with pytest.raises(InputRefused) as refused:
        ImageName.parse(text, "repository")
    assert ("image_invalid", "repository") == (refused.value.code, refused.value.field)
    assert len(str(refused.value)) < 300
