"""All collections of the management API, with what their tags and the variables in their paths mean."""

from collections.abc import Mapping

from authsvc.web.api import apps, license_endpoints
from authsvc.web.api.endpoint import Endpoint
from authsvc.web.api.openapi import openapi_document

ENDPOINTS: tuple[Endpoint, ...] = (*apps.ENDPOINTS, *license_endpoints.ENDPOINTS)

VARIABLES: Mapping[str, tuple[str, str]] = {
    "app": ("Slug of the app.", "myapp"),
    "license": ("Id of the license, or its reference.", "order-1001"),
}

TAGS: Mapping[str, str] = {
    "apps": "Applications; the slug of one is the namespace of its repositories.",
    "licenses": "What customers pull with.",
    "openapi": "This document.",
}


def document() -> bytes:
    """Return the OpenAPI document of all of them."""
    return openapi_document(ENDPOINTS, VARIABLES, TAGS)
