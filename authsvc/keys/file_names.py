"""Names of the files in the secrets directory, in a separate module for commands that open no key."""

TOKEN_ROOT_KEY = "token-root.key.pem"  # noqa: S105  a file name
TOKEN_ROOT_CERTIFICATE = "token-root.cert.pem"  # noqa: S105  a file name
LICENSE_SIGNING_KEY = "license-signing.key.pem"
NEXT_ROOT_KEY = "token-root.next.key.pem"
RETIRED_LICENSE_KEYS = "license-retired.keys.pem"
LICENSE_TOKEN_KEY = "license-token.key"  # noqa: S105  a file name
SEALING_KEY = "sealing.key"
REGISTRY_HTTP_SECRET = "registry-http.secret"  # noqa: S105  a file name
REGISTRY_EVENTS_SECRET = "registry-events.secret"  # noqa: S105  a file name
NGINX_SECRET = "nginx.secret"  # noqa: S105  a file name
REDIS_SECRET = "redis.secret"  # noqa: S105  a file name

SERVICE_KEYS = (RETIRED_LICENSE_KEYS, LICENSE_TOKEN_KEY, SEALING_KEY, LICENSE_SIGNING_KEY)
"""The files of the key service, in the order in which they are written: retired keys before the key that signs."""

CHANGING = ".changing"
"""The lock file of a directory in which keys are being changed."""
