"""JSON schemas of the attrs classes that requests are parsed into and answers are made of (design #19).

msgspec makes the schemas; the descriptions of a class and its attributes are taken from the docstring of the class.
"""

import enum
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any, get_args

import attrs
import msgspec

from authsvc.redaction import Secret
from authsvc.tenancy.names import MAX_EMAIL, MAX_SLUG, MAX_TEXT, MIN_SLUG

Instant = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time, which the schema describes as RFC 3339 with an offset."""

# What the schemas say of texts; the use cases check them, and say more: a slug may be reserved, a date may be past.

Slug = Annotated[str, msgspec.Meta(pattern="^[a-z0-9]+(-[a-z0-9]+)*$", min_length=MIN_SLUG, max_length=MAX_SLUG)]
"""The name of a team or an app."""

Line = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TEXT)]
"""One line of text."""

Email = Annotated[str, msgspec.Meta(min_length=3, max_length=MAX_EMAIL, extra_json_schema={"format": "email"})]
"""An e-mail address."""

When = Annotated[
    str,
    msgspec.Meta(pattern="^([0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)?|[0-9]{1,5}d)$"),
]
"""A date, a time or a number of days from now."""

Day = Annotated[str, msgspec.Meta(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)?$")]
"""A date or a time."""

Span = Annotated[str, msgspec.Meta(pattern="^([0-9]{1,6}[mhd]|0)$")]
"""A span of time."""

Schema = dict[str, Any]

SUFFIXES = ("View", "Body")
"""Suffixes that distinguish classes from records of the same name; the names of their schemas do not have them."""

REFERENCE = "#/components/schemas/{name}"

_SECTION = re.compile(r"^Attributes:\n(?P<body>(?:[ ]{4}.*\n?|\n)*)", re.MULTILINE)
_ATTRIBUTE = re.compile(r"^[ ]{4}(?P<name>\w+): (?P<text>.*(?:\n[ ]{8,}.*)*)", re.MULTILINE)


def component_schemas(kinds: Iterable[type], closed: Iterable[type]) -> dict[str, Schema]:
    """Return the schemas of ``kinds`` and of every class within them, by their names in the document.

    Args:
        kinds: attrs classes.
        closed: classes whose unknown members are refused, including the classes within them.
    """
    classes = {one.__name__: one for one in _within(kinds)}
    _, components = msgspec.json.schema_components(classes.values(), schema_hook=_schema, ref_template=REFERENCE)
    strict = {one.__name__ for one in _within(closed) if attrs.has(one)}
    schemas: dict[str, Schema] = {}
    for name, schema in sorted(components.items()):
        described = schemas[public_name(name)] = _renamed(_described(schema, classes[name]))
        described["title"] = public_name(name)
        if name in strict:
            described["additionalProperties"] = False
    return schemas


def public_name(name: str) -> str:
    """Return the name of a class's schema in the document: clients need not know which classes are views of records."""
    return next((name.removesuffix(one) for one in SUFFIXES if name.endswith(one)), name)


def attribute_texts(kind: type) -> Mapping[str, str]:
    """Return the descriptions of all attributes in the docstrings of a class and its bases."""
    texts: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        section = _SECTION.search(inspect.cleandoc(one.__doc__ or ""))
        for found in _ATTRIBUTE.finditer(section["body"] if section else ""):
            texts[found["name"]] = _sentence(found["text"])
    return texts


def reference_to(kind: type) -> Schema:
    """Return a reference to the schema of a class."""
    return {"$ref": REFERENCE.format(name=public_name(kind.__name__))}


def _renamed(schema: Any) -> Any:
    """Return a schema whose references have the names of the document."""
    match schema:
        case {"$ref": str(reference), **more}:
            return {"$ref": REFERENCE.format(name=public_name(reference.rpartition("/")[2])), **more}
        case dict():
            return {name: _renamed(inner) for name, inner in schema.items()}
        case list():
            return [_renamed(inner) for inner in schema]
        case _:
            return schema


def _described(schema: Schema, kind: type) -> Schema:
    text = _SECTION.sub("", inspect.cleandoc(kind.__doc__ or ""))
    described = {**schema, "description": " ".join(text.split())}
    texts = attribute_texts(kind)
    if "properties" in schema:
        described["properties"] = {
            name: {**inner, "description": texts[name]} if name in texts else inner
            for name, inner in schema["properties"].items()
        }
    return described


def _sentence(text: str) -> str:
    plain = " ".join(text.split())
    return plain[:1].upper() + plain[1:]


def _within(kinds: Iterable[Any]) -> Iterator[Any]:
    """Yield the attrs classes and enumerations among and within ``kinds``, each once."""
    seen: dict[Any, None] = {}
    waiting = list(kinds)
    while waiting:
        kind = waiting.pop()
        waiting += get_args(kind)
        if not isinstance(kind, type) or kind in seen or not (attrs.has(kind) or issubclass(kind, enum.Enum)):
            continue
        seen[kind] = None
        if attrs.has(kind):
            attrs.resolve_types(kind)
            waiting += [attribute.type for attribute in attrs.fields(kind)]
    yield from seen


def _schema(kind: type) -> Schema:
    if kind is Secret:
        return {"type": "string", "format": "password"}
    raise NotImplementedError  # by which msgspec learns that the type has no schema of its own
