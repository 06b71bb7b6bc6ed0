"""The endpoint of pulled-through images: parses requests and verifies their tokens."""

from collections.abc import Callable, Sequence
from datetime import datetime
from http import HTTPStatus

from aiohttp import web
from attrs import frozen
from cryptography import x509

from authsvc.decision import PULL
from authsvc.errors import TokenRefused
from authsvc.issuance import ISSUER
from authsvc.logs import Logger
from authsvc.policy import locate
from authsvc.signing.known_tokens import KnownTokens
from authsvc.signing.registry_token import RegistryToken
from authsvc.spec.pull_path import PullPath, parse_pull_path
from authsvc.spec.registry_error import NAME_INVALID, UNAVAILABLE, UNSUPPORTED
from authsvc.web.middleware import REQUEST_ID
from authsvc.web.proxy.answers import challenge, refuse
from authsvc.web.proxy.nginx_only import NginxOnly
from authsvc.web.proxy.pull import STEP, PullStep
from authsvc.web.proxy.pulls import Pulls


@frozen
class TokenRules:
    """What a registry token is verified against.

    Attributes:
        realm: where clients get one.
        service: its audience.
        roots: returns the roots that are trusted now.
        clock: returns the time.
    """

    realm: str
    service: str
    roots: Callable[[], Sequence[x509.Certificate]]
    clock: Callable[[], datetime]


class ProxyEndpoint:
    """Answers ``/v2/proxy/…``."""

    def __init__(self, nginx: NginxOnly, tokens: TokenRules, pulls: Pulls, logger: Logger) -> None:
        """Check requests with ``nginx``, verify tokens with ``tokens``, and answer with ``pulls``."""
        self._nginx = nginx
        self._tokens = tokens
        self._verified = KnownTokens(ISSUER, tokens.service)
        self._pulls = pulls
        self._logger = logger

    def routes(self) -> list[web.RouteDef]:
        """Return the routes: everything that nginx may take for an address below ``/v2/proxy/``."""
        return [web.route("*", "/v2/{path:.*}", self.handle)]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        request_id = request[REQUEST_ID]
        refusal = self._nginx.refusal(request)
        if refusal is not None:
            return refusal
        if request.method not in {"GET", "HEAD"}:
            return refuse(
                HTTPStatus.METHOD_NOT_ALLOWED,
                UNSUPPORTED,
                "images of a linked registry can only be pulled here; push to the linked registry itself",
                request_id,
                {"Allow": "GET, HEAD"},
            )
        path = parse_pull_path(request.raw_path)
        location = None if path is None else locate(str(path.repository))
        if path is None or location is None or location.upstream is None:
            return refuse(
                HTTPStatus.NOT_FOUND,
                NAME_INVALID,
                "nothing is served at this address; an image of a linked registry is proxy/APP/UPSTREAM/REPOSITORY",
                request_id,
            )
        token = self._token(request, path)
        if isinstance(token, web.Response):
            return token if request.headers.get(STEP) != PullStep.ANSWER else _too_late(request_id)
        return await self._pulls.answer(request, path, location, token.subject)

    def _token(self, request: web.Request, path: PullPath) -> RegistryToken | web.Response:
        """Return the token of a request that may pull, or the challenge."""
        rules, request_id = self._tokens, request[REQUEST_ID]
        scope = f"repository:{path.repository}:{PULL}"
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not text:
            return challenge(rules.realm, rules.service, scope, request_id)
        try:
            token = self._verified.verify(text.strip(), rules.roots(), rules.clock())
        except TokenRefused as error:
            self._logger.info("proxy.token_refused", request_id=request_id, detail=error.detail)
            return challenge(rules.realm, rules.service, scope, request_id, "invalid_token")
        if not token.allows(str(path.repository), PULL):
            return challenge(rules.realm, rules.service, scope, request_id, "insufficient_scope")
        return token


def _too_late(request_id: str) -> web.Response:
    """Return the answer to a client whose token ended during a request to a linked registry.

    It is not a challenge: if the linked registry answered 401, nginx adds its challenge to our answer, and a client
    would also send its license to the token server of that challenge.
    """
    sentence = "the token ended before the linked registry answered; try again"
    return refuse(HTTPStatus.SERVICE_UNAVAILABLE, UNAVAILABLE, sentence, request_id, {"Retry-After": "1"})
