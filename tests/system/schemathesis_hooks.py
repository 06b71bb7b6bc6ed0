"""What the run of schemathesis adds: a check of error codes, and the account that asks does not end itself."""

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import schemathesis
from schemathesis import Case, CheckContext, HookContext, Response

from authsvc.web.api.openapi import CODES_OF_RESPONSE
from authsvc.web.api.problem import PROBLEM_JSON

OWN = frozenset(os.environ["API_OWN_NAMES"].split())
"""Ids and address of the member and of the token that ask."""

UNKNOWN = "0" * 16
"""The id of nothing."""


@schemathesis.hook
def before_call(_context: HookContext, case: Case[Any], **_: Any) -> None:
    """Let no change name the member or the token that asks: all that follows would be refused."""
    for name, value in (case.path_parameters or {}).items():
        if case.method != "GET" and unquote(str(value)) in OWN:
            case.path_parameters[name] = UNKNOWN


@schemathesis.check
def documented_code(_context: CheckContext, response: Response, case: Case[Any]) -> None:
    """Accept errors with a code that the document has for this operation and status."""
    media_type = response.headers.get("content-type", [""])[0].partition(";")[0]
    if media_type != PROBLEM_JSON or response.status_code == 405:
        return
    document = case.operation.schema.raw_schema
    described = _resolved(document, case.operation.definition.raw["responses"][str(response.status_code)])
    codes = described["content"][PROBLEM_JSON]["schema"]["allOf"][1]["properties"]["code"][CODES_OF_RESPONSE]
    code = response.json()["code"]
    assert code in codes, f"{case.operation.label} does not document the code {code} of a {response.status_code}"


def _resolved(document: Mapping[str, Any], described: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in described:
        return described
    _, _, kind, name = described["$ref"].split("/")
    found: Mapping[str, Any] = document["components"][kind][name]
    return found
