"""All collections of the management API, with the meaning of their tags and of the variables in their paths."""

from collections.abc import Mapping

from authsvc.web.api import (
    activity,
    apps,
    audit,
    customers,
    image_deletions,
    images,
    license_endpoints,
    license_keys,
    license_links,
    license_preview,
    license_rows,
    member_links,
    members,
    service_accounts,
    teams,
    tokens,
    upstreams,
    webhooks,
)
from authsvc.web.api.endpoint import Endpoint
from authsvc.web.api.openapi import openapi_document

ENDPOINTS: tuple[Endpoint, ...] = (
    *activity.ENDPOINTS,
    *apps.ENDPOINTS,
    *audit.ENDPOINTS,
    *customers.ENDPOINTS,
    *images.ENDPOINTS,
    *image_deletions.ENDPOINTS,
    *license_endpoints.ENDPOINTS,
    *license_links.ENDPOINTS,
    *license_preview.ENDPOINTS,
    *license_rows.ENDPOINTS,
    *license_keys.ENDPOINTS,
    *members.ENDPOINTS,
    *member_links.ENDPOINTS,
    *service_accounts.ENDPOINTS,
    *teams.ENDPOINTS,
    *tokens.ENDPOINTS,
    *upstreams.ENDPOINTS,
    *webhooks.ENDPOINTS,
)

VARIABLES: Mapping[str, tuple[str, str]] = {
    "app": ("Slug of the app.", "myapp"),
    "customer": ("Id of the customer, its reference, or exactly its name.", "crm-4711"),
    "image": ("`REPOSITORY:TAG` or `REPOSITORY@DIGEST`; a slash in it may be `/` or `%2F`.", "myapp/worker:1.2"),
    "license": ("Id of the license, or its reference.", "order-1001"),
    "link": ("Id of the link.", "6t2n8q4xzk1w9b3f"),
    "request_id": ("Request id that the client was shown, or operation id.", "6b099ebdc94a68bd"),
    "member": ("Id of the member, or the e-mail address.", "kim@vendor.com"),
    "member_link": ("Id of the link, or the e-mail address of the person for whom it was created.", "6t2n8q4xzk1w9b3f"),
    "service_account": ("Id of the service account, or its name.", "ci-build"),
    "team": ("Slug of the team.", "acme"),
    "upstream": ("Id of the link.", "4m7x2q9wzk1t8b3f"),
    "webhook": ("Id of the webhook.", "2f8m4x7q9wzk1t3b"),
    "token": ("Id of the token.", "3t8w5q1mzk9x2b7f"),
}

TAGS: Mapping[str, str] = {
    "activity": "Who pushed and pulled what.",
    "apps": "Applications; the slug of one is the namespace of its repositories.",
    "audit": "Decisions and changes: by whom and why.",
    "customers": "Holders of licenses.",
    "images": "What is in the registry, and who runs it.",
    "licenses": "What entitles customers to pull.",
    "license-keys": "Public keys that verify license files.",
    "member-links": "One-time links with which people join or set a new password.",
    "members": "The people of the team.",
    "service-accounts": "Accounts for machines.",
    "teams": "The vendor.",
    "tokens": "The caller's own tokens.",
    "upstreams": "External registries that are linked to apps.",
    "webhooks": "Addresses to which events are sent.",
    "openapi": "This document.",
}


def document() -> bytes:
    """Return the OpenAPI document of all collections."""
    return openapi_document(ENDPOINTS, VARIABLES, TAGS)
