"""Parses the arguments of a request into the attrs class that its endpoint declares, and reports every problem."""

import enum
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin

import attrs
import cattrs
from cattrs.errors import ClassValidationError, ForbiddenExtraKeysError, IterableValidationError
from msgspec import UnsetType

from authsvc.error_codes import ErrorCode
from authsvc.errors import FieldProblem, InputRefused
from authsvc.redaction import Secret
from authsvc.tenancy.dates import render_instant

T = TypeVar("T")

MAX_SHOWN = 60
"""Most characters of a client's name for an argument that an error repeats."""

MAX_DIGITS = 9
"""Most digits of a number in a query."""

MAX_ITEMS = 1_000
"""Most items of a list that are checked: problems with 20,000 items would occupy a worker for seconds."""

MAX_PROBLEMS = 20
"""Most problems that one error lists."""

BOOLEANS = {"true": True, "false": False}


class _WrongTypeError(Exception):
    """A value does not have the declared type."""


class _LongListError(_WrongTypeError):
    """A list is longer than the longest accepted one."""


def parse_body(document: Mapping[str, Any], kind: type[T]) -> T:
    """Return the body of a request.

    Args:
        document: the JSON object.
        kind: an attrs class; a member of the type ``X | UnsetType`` may be left out, and null is a separate value.

    Raises:
        InputRefused: members are unknown, missing or of another type; all of them are listed.
    """
    return _parsed(_bodies(), document, kind)


def parse_query(pairs: Iterable[tuple[str, str]], kind: type[T]) -> T:
    """Return the query of a request.

    Args:
        pairs: names and values, decoded.
        kind: an attrs class of strings, integers, booleans, and tuples of strings for parameters that may be repeated.

    Raises:
        InputRefused: parameters are unknown, missing, repeated or of another type; all of them are listed.
    """
    lists = {one.name for one in attrs.fields(cast("Any", kind)) if get_origin(one.type) is tuple}
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in lists:
            found.setdefault(name, []).append(value)
        elif name in found:
            problem = FieldProblem(_shown(name), "argument_repeated", f"{_shown(name)} is given more than once")
            raise _refused([problem])
        else:
            found[name] = value
    return _parsed(_queries(), found, kind)


def render_answer(answer: object) -> Any:
    """Return an answer, an attrs class, as JSON."""
    return _answers().unstructure(answer)


def _parsed(converter: cattrs.Converter, found: Mapping[str, Any], kind: type[T]) -> T:
    try:
        return converter.structure(found, kind)
    except ClassValidationError as error:
        raise _refused(list(_problems(error, ""))) from None


def _refused(problems: list[FieldProblem]) -> InputRefused:
    first, *others = problems
    sentence = first.detail if not others else f"{first.detail} (and {len(others)} more)"
    return InputRefused(sentence, code=first.code, errors=problems[:MAX_PROBLEMS])


def _problems(error: ClassValidationError | IterableValidationError, path: str) -> Iterator[FieldProblem]:
    """Yield each problem with the path of its member."""
    located, others = error.group_exceptions()
    for cause, note in located:
        name = str(note.name) if isinstance(error, ClassValidationError) else str(note.index)  # type: ignore[union-attr]
        yield from _problem(cause, f"{path}{name}", note.type)
    for one in others:
        if isinstance(one, ForbiddenExtraKeysError):
            known = ", ".join(attribute.name for attribute in attrs.fields(one.cl)) or "none"
            for name in sorted(one.extra_fields):
                shown = _shown(f"{path}{name}")
                yield FieldProblem(shown, "argument_unknown", f"there is no {shown}; known are: {known}")
        else:
            yield FieldProblem(path.rstrip(".") or "body", "type_invalid", "the value has another type")


def _problem(cause: Exception, path: str, kind: Any) -> Iterator[FieldProblem]:
    match cause:
        case ClassValidationError() | IterableValidationError():
            yield from _problems(cause, f"{path}.")
        case KeyError():
            yield FieldProblem(path, "argument_missing", f"{path} is missing")
        case _WrongTypeError():
            yield FieldProblem(path, "type_invalid", f"{path} must be {cause}")
        case _:
            yield FieldProblem(path, "type_invalid", f"{path} must be {_named(kind)}")


def _shown(name: str) -> str:
    return name[:MAX_SHOWN] if name.isprintable() else ascii(name[:MAX_SHOWN])


def _named(kind: Any) -> str:
    """Return in words what a value must be."""
    alternatives = [one for one in get_args(kind) if one is not UnsetType] if _is_union(kind) else [kind]
    return " or ".join(_named_one(one) for one in alternatives)


def _named_one(kind: Any) -> str:
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return f"one of {', '.join(str(one.value) for one in kind)}"
    plain: dict[Any, str] = {str: "a text", int: "a whole number", bool: "true or false", float: "a number"}
    if kind is type(None):
        return "null"
    return plain.get(kind) or ("an object" if get_origin(kind) is dict or attrs.has(kind) else "a list")


def _is_union(kind: Any) -> bool:
    return get_origin(kind) in {Union, types.UnionType}


def _origin_is(kind: Any, origin: type) -> bool:
    return get_origin(kind) is origin


def _exact(kind: type) -> Callable[[Any, Any], Any]:
    """Return a function that accepts a JSON value of exactly one type: 1, "1" and true are three different values."""

    def structure(value: Any, wanted: Any) -> Any:
        if wanted is not kind and issubclass(wanted, enum.Enum):  # an enumeration of texts is a text to cattrs
            return _structure_enum(value, wanted)
        if type(value) is not kind and not (kind is float and type(value) is int):
            raise _WrongTypeError(_named_one(kind))
        return value

    return structure


def _structure_union(value: Any, kind: Any, converter: cattrs.Converter) -> Any:
    """Return ``value`` as the first of the alternatives that it is."""
    failures: list[ClassValidationError | IterableValidationError] = []
    for one in get_args(kind):
        if one is UnsetType:
            continue
        if one is type(None):
            if value is None:
                return None
            continue
        try:
            return converter.structure(value, one)
        except (ClassValidationError, IterableValidationError) as error:
            failures.append(error)
        except _LongListError:
            raise
        except _WrongTypeError:
            continue
    if failures and isinstance(value, dict | list):  # the type is right, and something in it is not
        raise failures[0]
    raise _WrongTypeError(_named(kind))


def _structure_tuple(value: Any, kind: Any, converter: cattrs.Converter) -> tuple[Any, ...]:
    if type(value) is not list:
        raise _WrongTypeError("a list")
    if len(value) > MAX_ITEMS:
        raise _LongListError(f"a list of at most {MAX_ITEMS:,} items")
    items: list[Any] = converter.structure(value, cast("Any", types.GenericAlias(list, get_args(kind)[:1])))
    return tuple(items)


def _structure_mapping(value: Any, _: Any) -> dict[str, Any]:
    """Return an object whose values are checked by the use case."""
    if type(value) is not dict:
        raise _WrongTypeError("an object")
    return dict(value)


def _structure_enum(value: Any, kind: Any) -> Any:
    if type(value) is not str or value not in [one.value for one in kind]:
        raise _WrongTypeError(_named_one(kind))
    return kind(value)


def _structure_secret(value: Any, _: Any) -> Secret:
    if type(value) is not str:
        raise _WrongTypeError("a text")
    return Secret(value)


@lru_cache
def _bodies() -> cattrs.Converter:
    return _new_converter()


def _new_converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True)
    for kind in (str, int, bool, float):
        converter.register_structure_hook(kind, _exact(kind))
    converter.register_structure_hook(Secret, _structure_secret)
    converter.register_structure_hook_func(_is_union, lambda value, kind: _structure_union(value, kind, converter))
    converter.register_structure_hook_func(
        lambda kind: _origin_is(kind, tuple), lambda value, kind: _structure_tuple(value, kind, converter)
    )
    converter.register_structure_hook_func(lambda kind: _origin_is(kind, dict), _structure_mapping)
    return converter


@lru_cache
def _queries() -> cattrs.Converter:
    converter = _new_converter()

    def whole_number(value: str, _: Any) -> int:
        if not (value.isascii() and value.isdecimal() and len(value) <= MAX_DIGITS):
            raise _WrongTypeError(_named_one(int))
        return int(value)

    def truth(value: str, _: Any) -> bool:
        if value not in BOOLEANS:
            raise _WrongTypeError(_named_one(bool))
        return BOOLEANS[value]

    converter.register_structure_hook(int, whole_number)
    converter.register_structure_hook(bool, truth)
    return converter


@lru_cache
def _answers() -> cattrs.Converter:
    converter = cattrs.Converter()
    converter.register_unstructure_hook(datetime, render_instant)
    converter.register_unstructure_hook(Secret, Secret.reveal)
    return converter


CODES: tuple[ErrorCode, ...] = ("argument_unknown", "argument_missing", "argument_repeated", "type_invalid")
"""Codes of arguments that cannot be parsed."""
