"""The OpenAPI document: valid, complete, and made of the types that parse the requests."""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from importlib import import_module
from inspect import getattr_static, getsource
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import attrs
import pytest
from attrs import evolve
from openapi_spec_validator import validate

from authsvc.error_codes import ErrorCode
from authsvc.errors import FieldProblem, InputRefused
from authsvc.manage import image_deletions
from authsvc.manage.use_cases import UseCases
from authsvc.metrics.catalogue import COLLECTIONS
from authsvc.registries import deletion, repository_reader, tag_deletion, writer
from authsvc.store import repository_lock
from authsvc.web.api import collections
from authsvc.web.api.api_errors import ApiErrors
from authsvc.web.api.arguments import parse_body, parse_query
from authsvc.web.api.endpoint import Endpoint, NoBody
from authsvc.web.api.openapi import errors_of, variable_names
from authsvc.web.api.schemas import attribute_texts, public_name
from tests.support.api_server import DOCUMENT, ApiServer, resolved
from tests.support.api_server import validate as validate_schema

ROOT = Path(__file__).parent.parent.parent.parent

OPERATIONS = {
    (method.upper(), path): operation for path, item in DOCUMENT["paths"].items() for method, operation in item.items()
}

every_endpoint = pytest.mark.parametrize("endpoint", collections.ENDPOINTS, ids=lambda endpoint: endpoint.name)


async def test_it_is_served_to_everybody(api: ApiServer) -> None:
    """Without a credential, as it is made."""
    reply = await api.ask("GET", "/api/openapi.json")
    assert (reply.status, reply.json()) == (200, DOCUMENT)


def test_it_is_valid() -> None:
    """By the rules of OpenAPI 3.1."""
    validate(json.loads(json.dumps(DOCUMENT)))
    assert DOCUMENT["openapi"].startswith("3.1")


async def test_it_has_every_route_and_no_other(api: ApiServer) -> None:
    """Both ways; HEAD is served wherever GET is, and is no operation of its own."""
    routes = {(route.method, route.resource.canonical) for route in api.application.router.routes() if route.resource}
    assert {(method, path) for method, path in routes if method != "HEAD"} == set(OPERATIONS)
    assert {path for method, path in routes if method == "HEAD"} == {p for method, p in OPERATIONS if method == "GET"}


def test_operations_have_names_of_their_own() -> None:
    """So have their variables and collections, which the metrics know."""
    assert max(Counter(operation["operationId"] for operation in OPERATIONS.values()).values()) == 1
    used = {name for endpoint in collections.ENDPOINTS for name in variable_names(endpoint.path)}
    assert used == set(collections.VARIABLES)
    tags = {tag for operation in OPERATIONS.values() for tag in operation["tags"]}
    assert tags == set(collections.TAGS) <= set(COLLECTIONS)


@every_endpoint
def test_examples_are_what_they_are_examples_of(endpoint: Endpoint) -> None:
    """A request example parses and an answer example is described by its schema; everything that can have one has."""
    operation = OPERATIONS[(endpoint.method, f"/api/v1{endpoint.path}")]
    assert (endpoint.body is NoBody) == (endpoint.request_example is None)
    if endpoint.body is not NoBody:
        example: Any = endpoint.request_example
        parse_body(example, endpoint.body)
        content = operation["requestBody"]["content"]["application/json"]
        validate_schema(content["schema"], content["example"])
    assert (endpoint.answer is None) == (endpoint.answer_example is None)
    if endpoint.answer is not None:
        assert type(endpoint.answer_example) is endpoint.answer
        content = operation["responses"][str(int(endpoint.status))]["content"]["application/json"]
        validate_schema(content["schema"], content["example"])


@every_endpoint
def test_everything_is_described(endpoint: Endpoint) -> None:
    """The class of a query, a body or an answer says what each attribute means, and the operation who may."""
    for kind in {endpoint.query, endpoint.body, endpoint.answer} - {None}:
        assert kind is not None
        assert {one.name for one in attrs.fields(kind)} <= attribute_texts(kind).keys(), kind
    operation = OPERATIONS[(endpoint.method, f"/api/v1{endpoint.path}")]
    assert "Who may: " in operation["description"]
    assert all(resolved(parameter)["description"] for parameter in operation["parameters"])


@every_endpoint
def test_errors_are_documented_codes(endpoint: Endpoint) -> None:
    """Every code of an endpoint is in docs/errors.md, and it has the ones that all have."""
    page = (ROOT / "docs/errors.md").read_text(encoding="utf-8")
    errors = errors_of(endpoint)
    assert isinstance(errors, ApiErrors)
    codes = {code for several in errors.by_status().values() for code in several}
    assert {code for code in codes if f"| `{code}` |" not in page} == set()
    assert {"credentials_refused", "permission_denied", "store_unavailable", "internal_error"} <= codes


NOT_OF_THE_API: Mapping[str, tuple[ErrorCode, ...]] = {
    "of values that the API's own types refuse": ("activity_source_invalid", "api_access_invalid", "role_invalid"),
    "of what the command line and the portal alone call": ("link_void", "link_not_found", "member_disabled"),
}


def test_codes_of_a_use_case_are_declared() -> None:
    """Each code in the module of a use case is declared by an endpoint that calls it, or is one of those above."""
    declared: dict[str, set[str]] = {}
    for endpoint in collections.ENDPOINTS:
        codes = {code for several in errors_of(endpoint).by_status().values() for code in several}
        for name in re.findall(r"use_cases\.(\w+)", getsource(endpoint.call)):
            declared.setdefault(name, set()).update(codes)
    modules = {
        name: module_of(made.func)
        for name in declared
        if isinstance(made := getattr_static(UseCases, name, None), cached_property)
    }
    assert {"image_deletions", "licenses", "members"} <= modules.keys()
    elsewhere = {code for codes in NOT_OF_THE_API.values() for code in codes}
    missing = {
        name: undeclared
        for name, module in modules.items()
        if (undeclared := codes_in(import_module(module)) - declared[name] - elsewhere)
    }
    assert not missing, "declare these at the endpoints of the use cases that can raise them"


def module_of(maker: Callable[[UseCases], object]) -> str:
    """Return the module of the use cases that a property makes, which it imports itself."""
    (module,) = re.findall(rf"from (\S+) import {maker.__annotations__['return']}\n", getsource(maker))
    return str(module)


def codes_in(module: ModuleType) -> set[str]:
    """Return the codes of errors that are raised in a module."""
    text = getsource(module)
    return {code for code in get_args(ErrorCode) if f'code="{code}"' in text}


def test_a_deletion_declares_what_the_registry_and_its_lock_can_refuse() -> None:
    """Every code that is written where images are deleted is one of the endpoint's."""
    modules = (deletion, repository_reader, tag_deletion, writer, repository_lock, image_deletions)
    written = set[str]().union(*map(codes_in, modules))
    (endpoint,) = [one for one in collections.ENDPOINTS if one.name == "deleteImage"]
    assert "registry_read_only" in written
    assert written <= {code for codes in errors_of(endpoint).by_status().values() for code in codes}


@every_endpoint
def test_unknown_parameters_are_refused(endpoint: Endpoint) -> None:
    """Of every endpoint, in the query and in the body."""
    for parse in (partial(parse_query, [("no_such", "1")]), partial(parse_body, {"no_such": 1})):
        for kind in (endpoint.query, endpoint.body):
            with pytest.raises(InputRefused) as refused:
                parse(kind)
            assert FieldProblem("no_such", "argument_unknown", "") in [
                evolve(one, detail="") for one in refused.value.errors
            ]
    schemas = DOCUMENT["components"]["schemas"]
    if endpoint.body is not NoBody:
        assert schemas[public_name(endpoint.body.__name__)]["additionalProperties"] is False


def test_times_say_that_they_are_times() -> None:
    """Every attribute of an answer whose name ends with ``_at`` has the format of a time."""
    found = [
        inner
        for schema in DOCUMENT["components"]["schemas"].values()
        for name, inner in schema.get("properties", {}).items()
        if name.endswith("_at")
    ]
    assert found
    assert all('"date-time"' in json.dumps(inner) for inner in found)


def test_collections_are_in_the_page() -> None:
    """docs/api.md has a row for each."""
    text = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    missing = [name for name in collections.TAGS if name != "openapi" and f"| `/{name}` |" not in text]
    assert not missing, f"add rows for these to the table below '## Collections' in docs/api.md: {missing}"


def test_schemas_have_names_of_their_own() -> None:
    """No two classes have one schema, and every reference leads to one."""
    kinds = {kind for endpoint in collections.ENDPOINTS for kind in (endpoint.body, endpoint.answer) if kind}
    assert len({public_name(kind.__name__) for kind in kinds}) == len(kinds)
    references = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(DOCUMENT)))
    assert references <= set(DOCUMENT["components"]["schemas"])
    assert not [name for name in DOCUMENT["components"]["schemas"] if name.endswith(("View", "Body"))]
