"""Makes the OpenAPI 3.1 document of the management API from the declarations of its endpoints."""

import json
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from authsvc import __version__
from authsvc.manage.permissions import AccessLevel, Permission, PermissionScope
from authsvc.tenancy.records import Role
from authsvc.web.api.answer_etag import IF_NONE_MATCH, SUFFIX_LENGTH
from authsvc.web.api.api_errors import ApiErrors
from authsvc.web.api.arguments import CODES, render_answer
from authsvc.web.api.endpoint import JSON, PREFIX, VERSION, Endpoint, NoBody
from authsvc.web.api.problem import PROBLEM_JSON, Problem
from authsvc.web.api.request_headers import IDEMPOTENCY_KEY, IF_MATCH, MAX_KEY
from authsvc.web.api.schemas import Schema, attribute_texts, component_schemas, public_name, reference_to

DOCUMENT_PATH = "/openapi.json"
"""Below ``/api``."""

CODES_OF_RESPONSE = "x-extensible-enum"
"""Lists the codes of a response; the keyword comes from Zalando's API guidelines, and some generators know it."""

DESCRIPTION = """\
What the vendor's people and programs manage: apps, customers, licenses, members and tokens.

Send a personal or service-account token that was created with API access as `Authorization: Bearer asv_…`.
A token with the access `read` can read; one with `manage` can also make changes.

**Lists** answer `{"items": […], "next": CURSOR}`; repeat the request with `?after=CURSOR` until `next` is null.
A page with a `next` may have fewer items than `limit`.

**Errors** are `application/problem+json` (RFC 9457) with a `code` that never changes its meaning.

**Repeating:** a change with the header `Idempotency-Key` is carried out once; a repeat within a day
changes nothing and returns the object as it is now.

**Concurrent changes:** send the `ETag` of what you read as `If-Match`, and the change is refused with 412 if the
object has changed meanwhile. Send it as `If-None-Match` with the next read, and an unchanged answer is 304 without a
body. `HEAD` is answered like `GET`, without the body.

**Times** are RFC 3339 in UTC. A date without a time means 00:00 UTC at its start.
"""

COMMON_ERRORS = ApiErrors(
    refused=("body_invalid", "encoding_invalid", "header_invalid", *CODES),
    unproven=("credentials_refused", "account_denied"),
    forbidden=("permission_denied",),
    too_large=("body_too_large",),
    media_type=("media_type_unsupported",),
    throttled=("throttled",),
    fault=("internal_error",),
    unavailable=("store_unavailable", "store_refused", "record_too_new", "overloaded", "service_unavailable"),
)
"""What every endpoint may answer."""

CHANGE_ERRORS = ApiErrors(conflict=("version_conflict", "idempotency_conflict", "operation_repeated"))
"""What every endpoint that changes something may answer."""

MATCH_ERRORS = ApiErrors(changed=("version_conflict",))
"""What every endpoint that heeds ``If-Match`` may answer."""

_TAG = f'"[0-9a-f]{{32}}(-[0-9a-f]{{{SUFFIX_LENGTH}}})?"'
IF_MATCH_PATTERN = f"^(\\*|{_TAG}(, ?{_TAG})*)$"

_ETAG = {"ETag": {"description": "To be sent as `If-Match` or `If-None-Match`.", "schema": {"type": "string"}}}

_ROLES = {Role.OWNER: "owners", Role.DEVELOPER: "developers", Role.VIEWER: "viewers"}


def openapi_document(
    endpoints: Sequence[Endpoint], variables: Mapping[str, tuple[str, str]], tags: Mapping[str, str]
) -> bytes:
    """Return the document as JSON.

    Args:
        endpoints: of the API.
        variables: the meaning of each path variable, and an example.
        tags: a description of each collection.
    """
    bodies = [endpoint.body for endpoint in endpoints if endpoint.body is not NoBody]
    answers = [endpoint.answer for endpoint in endpoints if endpoint.answer is not None]
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        item = paths.setdefault(f"{PREFIX}{VERSION}{endpoint.path}", {})
        item[endpoint.method.lower()] = _operation(endpoint, variables)
    document = {
        "openapi": "3.1.0",
        "info": {"title": "authsvc management API", "version": __version__, "description": DESCRIPTION},
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "tags": [{"name": name, "description": text} for name, text in tags.items()],
        "paths": {f"{PREFIX}{DOCUMENT_PATH}": {"get": _document_operation()}, **paths},
        "components": {
            "schemas": component_schemas([*bodies, *answers, Problem], bodies),
            "responses": {
                _response_name(status): _error_response(status, codes)
                for status, codes in COMMON_ERRORS.by_status().items()
            },
            "parameters": {_parameter_name(one): one for one in (_idempotency_key(), _if_match(), _if_none_match())},
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A personal or service-account token that was created with API access.",
                }
            },
        },
    }
    return json.dumps(document, ensure_ascii=False).encode()


def errors_of(endpoint: Endpoint) -> ApiErrors:
    """Return all errors that an endpoint may answer with."""
    errors = COMMON_ERRORS | endpoint.errors
    if endpoint.changes:
        errors |= CHANGE_ERRORS
    return errors | MATCH_ERRORS if endpoint.if_match else errors


def _document_operation() -> Schema:
    return {
        "operationId": "getOpenapiDocument",
        "tags": ["openapi"],
        "summary": "Read this document",
        "security": [],
        "responses": {"200": {"description": "This document.", "content": {JSON: {"schema": {"type": "object"}}}}},
    }


def _operation(endpoint: Endpoint, variables: Mapping[str, tuple[str, str]]) -> Schema:
    operation: Schema = {
        "operationId": endpoint.name,
        "tags": [endpoint.collection],
        "summary": endpoint.summary,
        "description": "\n\n".join(filter(None, (endpoint.description, _who_may_use(endpoint)))),
        "parameters": [
            *_path_parameters(endpoint, variables),
            *_query_parameters(endpoint),
            *_header_parameters(endpoint),
        ],
        "responses": _responses(endpoint),
    }
    if endpoint.body is not NoBody:
        content: Schema = {"schema": reference_to(endpoint.body)}
        if endpoint.request_example is not None:
            content["example"] = endpoint.request_example
        required = bool(component_schemas([endpoint.body], ())[public_name(endpoint.body.__name__)].get("required"))
        operation["requestBody"] = {"required": required, "content": {JSON: content}}
    return operation


def _path_parameters(endpoint: Endpoint, variables: Mapping[str, tuple[str, str]]) -> Iterable[Schema]:
    for name in variable_names(endpoint.path):
        text, example = variables[name]
        schema = {"type": "string", "minLength": 1}
        yield {"name": name, "in": "path", "required": True, "description": text, "schema": schema, "example": example}


def variable_names(path: str) -> list[str]:
    """Return the variables of a path, in their order."""
    return [part.partition("}")[0].partition(":")[0] for part in path.split("{")[1:]]


def _query_parameters(endpoint: Endpoint) -> Iterable[Schema]:
    schema = component_schemas([endpoint.query], ())[public_name(endpoint.query.__name__)]
    texts = attribute_texts(endpoint.query)
    for name, inner in schema.get("properties", {}).items():
        kept = {key: value for key, value in inner.items() if key not in {"description", "default"}}
        if "anyOf" in kept:  # a parameter that is not sent is null
            (kept,) = [one for one in kept["anyOf"] if one != {"type": "null"}]
        elif inner.get("default") not in (None, []):
            kept["default"] = inner["default"]
        required = name in schema.get("required", ())
        yield {"name": name, "in": "query", "required": required, "description": texts.get(name, ""), "schema": kept}


def _header_parameters(endpoint: Endpoint) -> Iterable[Schema]:
    if endpoint.is_keyed:
        yield {"$ref": f"#/components/parameters/{_parameter_name(_idempotency_key())}"}
    if endpoint.if_match:
        yield {"$ref": f"#/components/parameters/{_parameter_name(_if_match())}"}
    if endpoint.has_etag and not endpoint.changes:
        yield {"$ref": f"#/components/parameters/{_parameter_name(_if_none_match())}"}


def _idempotency_key() -> Schema:
    text = "Chosen by the client, one for each change: a repeat within a day changes nothing."
    schema = {"type": "string", "minLength": 1, "maxLength": MAX_KEY, "pattern": "^[!-~]+$"}
    return {"name": IDEMPOTENCY_KEY, "in": "header", "required": False, "description": text, "schema": schema}


def _if_match() -> Schema:
    text = "The `ETag` of what is to be changed, as it was read, or `*`; otherwise the change is refused with 412."
    schema = {"type": "string", "pattern": IF_MATCH_PATTERN}
    return {"name": IF_MATCH, "in": "header", "required": False, "description": text, "schema": schema}


def _if_none_match() -> Schema:
    text = "The `ETag` of what the client has; if that is the answer still, it is 304 without a body."
    return {"name": IF_NONE_MATCH, "in": "header", "required": False, "description": text, "schema": {"type": "string"}}


def _parameter_name(parameter: Schema) -> str:
    return str(parameter["name"]).replace("-", "")


def _responses(endpoint: Endpoint) -> Schema:
    responses = {str(int(endpoint.status)): _success(endpoint)}
    if endpoint.has_etag and not endpoint.changes:
        responses["304"] = {"description": "Not Modified.", "headers": _ETAG}
    common = COMMON_ERRORS.by_status()
    for status, codes in errors_of(endpoint).by_status().items():
        shared = codes == common.get(status)
        reference = {"$ref": f"#/components/responses/{_response_name(status)}"}
        responses[str(int(status))] = reference if shared else _error_response(status, codes)
    return responses


def _response_name(status: HTTPStatus) -> str:
    return status.phrase.replace(" ", "")


def _error_response(status: HTTPStatus, codes: Sequence[str]) -> Schema:
    # Not an enumeration, since codes are added without notice, and generated clients would fail at a new one.
    code = {"type": "string", CODES_OF_RESPONSE: list(codes)}
    schema = {"allOf": [reference_to(Problem), {"type": "object", "properties": {"code": code}}]}
    headers = {}
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        headers["Retry-After"] = {"description": "Seconds to wait.", "schema": {"type": "integer"}}
    if status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = {"description": "`Bearer`.", "schema": {"type": "string"}}
    return {
        "description": f"{status.phrase}: {', '.join(f'`{one}`' for one in codes)}.",
        **({"headers": headers} if headers else {}),
        "content": {PROBLEM_JSON: {"schema": schema}},
    }


def _success(endpoint: Endpoint) -> Schema:
    response: Schema = {"description": f"{endpoint.status.phrase}."}
    headers: Schema = {}
    if endpoint.media_type is not None:
        response["content"] = {endpoint.media_type: {"schema": {"type": "object"}}}
        headers["Content-Disposition"] = {"description": "A name for the file.", "schema": {"type": "string"}}
    elif endpoint.answer is not None:
        text = {"schema": {"type": "string"}}
        response["content"] = {JSON: _answer_content(endpoint), **dict.fromkeys(endpoint.streams, text)}
    if endpoint.is_list and not endpoint.changes:
        headers["Link"] = {"description": "The next page, `rel=next`, if there is one.", "schema": {"type": "string"}}
    if endpoint.has_etag:
        headers |= _ETAG
    if endpoint.status is HTTPStatus.CREATED:
        headers["Location"] = {"description": "Where the new object is.", "schema": {"type": "string"}}
    return {**response, "headers": headers} if headers else response


def _answer_content(endpoint: Endpoint) -> Schema:
    example = None if endpoint.answer_example is None else render_answer(endpoint.answer_example)
    schema: Schema = reference_to(endpoint.answer) if endpoint.answer is not None else {}
    if endpoint.is_list:
        following = {"type": ["string", "null"], "description": "Cursor of the next page; null on the last one."}
        members = {"items": {"type": "array", "items": schema}, "next": following}
        schema = {"type": "object", "properties": members, "required": ["items", "next"]}
        example = None if example is None else {"items": [example], "next": None}
    return {"schema": schema} if example is None else {"schema": schema, "example": example}


def _who_may_use(endpoint: Endpoint) -> str:
    texts = [_who_may(endpoint.permission)]
    if endpoint.preview is not None:
        texts.append(f"With `dry_run=true`: {_who_may(endpoint.preview)}")
    return " ".join(texts)


def _who_may(permission: Permission) -> str:
    """Return a sentence on who may call a use case."""
    rule = permission.rule
    if rule.scope is PermissionScope.OPERATOR:
        return "Who may: only the operator of the installation, who uses the command line."
    if rule.scope is PermissionScope.PUBLIC:
        return "Who may: every token with API access."
    access = "read" if rule.access <= AccessLevel.READ else "manage"
    who = [_ROLES[role] for role in Role if role in rule.roles]
    if rule.service_accounts is PermissionScope.APP:
        who.append("service accounts")
    elif rule.service_accounts is PermissionScope.OWN:
        who.append("service accounts for themselves")
    names = who[0] if len(who) == 1 else f"{', '.join(who[:-1])} and {who[-1]}"
    limit = "; not those who are limited to some apps" if rule.scope is PermissionScope.TEAM else ""
    return f"Who may: {names}, with the access `{access}`{limit}."
