"""The public keys of licenses in the management API: ``/license-keys``."""

from authsvc.manage.permissions import Permission
from authsvc.manage.use_cases import UseCases
from authsvc.web.api.api_errors import ApiErrors
from authsvc.web.api.endpoint import Call, Endpoint, FileAnswer, NoBody, NoQuery

KEY_FILE = "application/jwk-set+json"


async def _show(use_cases: UseCases, _: Call[NoQuery, NoBody]) -> FileAnswer:
    text = await use_cases.licenses.verification_keys()
    return FileAnswer(text, f"{use_cases.registry.replace(':', '-')}.license-key.json", KEY_FILE)


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        *("GET", "/license-keys", "downloadLicenseKeys", "Download the keys that verify license files"),
        *(Permission.LICENSE_KEYS, _show),
        media_type=KEY_FILE,
        errors=ApiErrors(unavailable=("signer_unavailable",)),
        description=(
            "A JWK set (RFC 7517), retired keys included. Customers verify their license files with it offline. The "
            "same file is at `/auth/license-keys.json`, without a credential."
        ),
    ),
)
