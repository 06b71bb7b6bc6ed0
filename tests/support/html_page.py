"""A page of HTML, read as a browser reads it: its elements, forms and text."""

from collections.abc import Iterator
from html.parser import HTMLParser

from attrs import define, field, frozen
from typing_extensions import override

VOID = frozenset({"input", "link", "meta", "br", "hr", "img"})
"""Elements without an end tag."""


@define
class Element:
    """An element.

    Attributes:
        name: in lower case.
        attributes: by name; an attribute without a value has the empty one.
        children: elements and texts, in order.
    """

    name: str
    attributes: dict[str, str]
    children: "list[Element | str]" = field(factory=list)

    def walk(self) -> "Iterator[Element]":
        """Yield this element and all in it, in order."""
        yield self
        for child in self.children:
            if isinstance(child, Element):
                yield from child.walk()

    @property
    def text(self) -> str:
        """All text in it, with single spaces."""
        parts = (child if isinstance(child, str) else child.text for child in self.children)
        return " ".join(" ".join(parts).split())

    def all(self, name: str) -> "list[Element]":
        """Return the elements of this name in it."""
        return [one for one in self.walk() if one.name == name]


@frozen
class Form:
    """A form.

    Attributes:
        method: in lower case.
        action: where it is sent.
        fields: the values of its controls as the page has them, by name.
    """

    method: str
    action: str
    fields: dict[str, str]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = Element("", {})
        self._open = [self.root]

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"an attribute of <{tag}> is repeated: {names}"
        element = Element(tag, {name: value or "" for name, value in attrs})
        self._open[-1].children.append(element)
        if tag not in VOID:
            self._open.append(element)

    @override
    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open[-1].children.append(Element(tag, {name: value or "" for name, value in attrs}))

    @override
    def handle_endtag(self, tag: str) -> None:
        assert self._open[-1].name == tag, f"</{tag}> ends <{self._open[-1].name}>"
        self._open.pop()

    @override
    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data)


def read_page(html: str) -> Element:
    """Return the document.

    Raises:
        AssertionError: an element is not closed, or not in the order in which it was opened.
    """
    reader = _Reader()
    reader.feed(html)
    reader.close()
    (document,) = reader.root.all("html")
    return document


def forms_of(page: Element) -> list[Form]:
    """Return the forms of a page, in order."""
    return [
        Form(one.attributes.get("method", "get"), one.attributes.get("action", ""), dict(_controls(one)))
        for one in page.all("form")
    ]


def _controls(form: Element) -> Iterator[tuple[str, str]]:
    for one in form.walk():
        name = one.attributes.get("name")
        if name is None:
            continue
        if one.name == "select":
            options = one.all("option")
            chosen = next((option for option in options if "selected" in option.attributes), options[0])
            yield name, chosen.attributes.get("value", chosen.text)
        elif one.name == "textarea":
            yield name, "".join(child for child in one.children if isinstance(child, str)).removeprefix("\n")
        elif one.attributes.get("type") not in {"checkbox", "radio"} or "checked" in one.attributes:
            yield name, one.attributes.get("value", "on" if one.attributes.get("type") == "checkbox" else "")
