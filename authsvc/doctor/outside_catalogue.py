"""The findings from outside, in the order in which they should be fixed: the symptom, why it matters, what to change.

docs/doctor.md has the same codes; a test compares the two. "The proxy" is any server in front of authsvc's nginx.
"""

from authsvc.doctor.finding import FindingKind

_REGISTRY = "in the registry's configuration (the address in all of it is AUTHSVC_PUBLIC_URL): "

OUTSIDE_KINDS = {
    "unreachable": FindingKind(
        "{url} cannot be reached: {detail}",
        "no client can sign in or pull",
        "the DNS record, the firewall, or the port of the proxy; it must answer on {url}",
    ),
    "scheme-mismatch": FindingKind(
        "{url} does not speak {scheme}: {detail}",
        "clients use the scheme that they are given, and docker takes https for every name but localhost",
        "AUTHSVC_PUBLIC_URL, or the proxy: `listen {port} ssl;` for https, `listen {port};` for http",
    ),
    "tls-expired": FindingKind(
        "the certificate of {host} ended on {ends}",
        "every client refuses the connection",
        "renew it, and name it in the proxy: ssl_certificate FULLCHAIN.pem; (then reload the proxy)",
    ),
    "tls-not-yet-valid": FindingKind(
        "the certificate of {host} begins only on {begins}",
        "every client refuses the connection until then",
        "the clock of this machine or of the authority; or put a certificate that is valid now in ssl_certificate",
    ),
    "tls-wrong-host": FindingKind(
        "the certificate is for {names}, not for {host}",
        "every client refuses the connection",
        "ssl_certificate of the server block with server_name {host}; or AUTHSVC_PUBLIC_URL, if the name is wrong",
    ),
    "tls-chain-incomplete": FindingKind(
        "the certificate of {host} was issued by {issuer}, which neither the server sends nor this machine trusts",
        "browsers fetch missing certificates and clients do not: docker says `certificate signed by unknown authority`",
        "ssl_certificate FULLCHAIN.pem; the file has the server's certificate first and then every intermediate one "
        "(if the authority is your own, name its certificate with --ca-file, and give it to every client)",
    ),
    "tls-untrusted": FindingKind(
        "the certificate of {host} leads to {issuer}, which this machine does not trust",
        "no client trusts it unless configured to",
        "ssl_certificate with a certificate of a public authority; or name your own authority with --ca-file, and give "
        "its certificate to every client",
    ),
    "tls-ends-soon": FindingKind(
        "the certificate of {host} ends on {ends}, {left}",
        "from then on every client refuses the connection",
        "renew it now, and look why the renewal did not run (with the profile acme: the log of acme)",
    ),
    "http2-offered": FindingKind(
        "the server offers HTTP/2, which has no reason phrase",
        "containerd and kubelet then show a bare `401 Unauthorized` instead of why a pull was refused",
        "in the proxy: `listen {port} ssl;` without http2, and no `http2 on;`",
    ),
    "redirected": FindingKind(
        "/v2/ answers {status} and sends to {location}",
        "many clients drop or refuse credentials when they are sent elsewhere",
        "serve /v2/ on {url} itself, without `return 301` or `rewrite`; or change AUTHSVC_PUBLIC_URL to where it leads",
    ),
    "not-a-registry": FindingKind(
        "/v2/ answers {status} {reason} instead of a registry's 401",
        "clients find no registry at this address",
        "in the proxy: location / {{ proxy_pass http://NGINX-OF-AUTHSVC; }} for all paths, also /v2/",
    ),
    "auth-disabled": FindingKind(
        "/v2/ answers 200 without a token: the registry does not authenticate clients",
        "everybody can pull, push and overwrite every image",
        "the section auth.token in the registry's configuration; and that the registry reads that file (registry 3: "
        "/etc/distribution/config.yml)",
    ),
    "challenge-unusable": FindingKind(
        "/v2/ answers 401 with the challenge `{challenge}`, which names no Bearer realm",
        "clients do not know where to get a token",
        "auth.token.realm " + _REGISTRY + "realm: {realm}; and a proxy that has a login of its own (auth_basic off;)",
    ),
    "realm-scheme": FindingKind(
        "the registry sends clients to {found} for tokens, but they connected by {scheme}",
        "newer clients refuse a realm with another scheme, and over http passwords are readable on the way",
        _REGISTRY + "realm: {realm}, and autoredirect: false",
    ),
    "realm-host": FindingKind(
        "the registry sends clients to {found} for tokens, which is not this host",
        "newer clients refuse a realm on another host, and older ones send the password there",
        _REGISTRY + "realm: {realm}",
    ),
    "service-wrong": FindingKind(
        "the registry calls itself `{found}`, and the address that clients type is `{service}`",
        "authsvc makes tokens for the name in AUTHSVC_PUBLIC_URL only, so requests with another one are refused",
        _REGISTRY + "service: {service}",
    ),
    "public-url-wrong": FindingKind(
        "authsvc makes tokens for `{found}`, and the address that clients type is `{service}`",
        "every request for a token is refused, and licenses name another registry",
        "AUTHSVC_PUBLIC_URL={url}, and restart everything, since the registry's configuration follows from it",
    ),
    "token-endpoint-missing": FindingKind(
        "{path} answers {got}, which is not from authsvc",
        "no client gets a token, so nobody can sign in",
        "in the proxy: location /auth/ {{ proxy_pass http://NGINX-OF-AUTHSVC; }}, as for /v2/",
    ),
    "token-redirected": FindingKind(
        "a {method} to {path} is sent on to {location}",
        "after a redirect a POST becomes a GET without its form, and credentials are dropped",
        "serve {path} on {url} itself, without `return 301` or `rewrite`; and AUTHSVC_PUBLIC_URL with the final scheme",
    ),
    "token-post-refused": FindingKind(
        "a POST to {path} answers {got} instead of authsvc's 401",
        "containerd and BuildKit ask for tokens by POST; an answer of 400, 404 or 405 makes them ask a second time",
        "in the proxy: allow GET and POST below /auth/ (limit_except GET POST), and no rules of a firewall on its form",
    ),
    "token-unavailable": FindingKind(
        "{path} answers {got}: {message}",
        "nobody gets a token while this lasts",
        "the log of authsvc for the reason (the request id is in the message), or of the proxy if it has none",
    ),
    "reason-phrase-lost": FindingKind(
        "a refusal arrives as `{got}`, without the sentence that authsvc puts there",
        "containerd and kubelet show the reason phrase and nothing else, so customers do not learn why",
        "in the proxy: proxy_http_version 1.1; and no error_page for 401 and 403, no proxy_intercept_errors on;",
    ),
    "header-limit": FindingKind(
        "a license file as the password (a header of {size} bytes) gets {got} instead of authsvc's answer",
        "customers sign in with their license file: docker login --password-stdin < FILE",
        "in the proxy: large_client_header_buffers 4 16k;",
    ),
    "token-header-limit": FindingKind(
        "a token of {size} bytes gets {got} from /v2/ instead of the registry's answer",
        "a token for many repositories is as long, and every pull and push carries one",
        "in the proxy: large_client_header_buffers 4 16k;",
    ),
    "body-limit": FindingKind(
        "a layer of {size} MiB gets {status} {reason}",
        "pushes of larger images fail",
        "in the proxy, in location /v2/: client_max_body_size 0;",
    ),
    "request-buffering": FindingKind(
        "the proxy buffers a whole layer instead of passing it on as it arrives",
        "a large layer fills the disk of the proxy and then takes the same time once more, in which timeouts end it",
        "in the proxy, in location /v2/: proxy_request_buffering off; proxy_http_version 1.1;",
    ),
    "proxy-http-1.0": FindingKind(
        "the proxy speaks HTTP/1.0: a layer that docker sends in chunks is buffered until it is complete",
        "a large layer fills the disk of the proxy, and timeouts end pushes over slow lines",
        "in the proxy, in location /v2/: proxy_http_version 1.1; (the default of nginx is 1.0)",
    ),
    "clock-off": FindingKind(
        "the clock of the server is {seconds} s {direction} the one of this machine",
        "the registry accepts tokens within 60 s of its own clock only, and licenses end by the server's",
        "a time service on both: timedatectl set-ntp true",
    ),
    "credentials-refused": FindingKind(
        "authsvc refuses the given account: {message}",
        "the push could not be tried",
        "--username, and the password on standard input",
    ),
    "token-rejected": FindingKind(
        "the registry refuses the token that authsvc has just made ({error}); in it: aud {audience}, iss {issuer}",
        "nobody can pull or push, though signing in works",
        "auth.token " + _REGISTRY + "service: {audience}, issuer: {issuer}, and rootcertbundle: a copy of "
        "token-root.cert.pem of the secrets directory that signs; then restart the registry",
    ),
    "push-refused": FindingKind(
        "the registry answers {got} to the beginning of a push: {message}",
        "nobody can push, or not there",
        "storage.maintenance.readonly in the registry's configuration, unless garbage is being collected; and a proxy "
        "that lets only GET and HEAD through below /v2/",
    ),
    "location-scheme": FindingKind(
        "an upload is sent on to {location}, but clients connected by {scheme}",
        "clients drop the token when the scheme changes, so pushes end with 401",
        "in the registry's configuration: http.relativeurls: true; or in the proxy: proxy_set_header "
        "X-Forwarded-Proto {scheme};",
    ),
    "location-host": FindingKind(
        "an upload is sent on to {location}, which is not this host",
        "clients drop the token on another host, or cannot reach it, so pushes fail",
        "in the registry's configuration: http.relativeurls: true and no http.host; or in the proxy: proxy_set_header "
        "Host $http_host;",
    ),
    "upload-state": FindingKind(
        "an upload that one replica of the registry began is not accepted by another ({error})",
        "pushes fail now and then with `blob upload invalid`",
        "in the configuration of every replica the same: http.secret: (the text in registry-http.secret)",
    ),
    "storage-not-shared": FindingKind(
        "an upload that one replica of the registry began is unknown to another",
        "pushes fail, and an image that was pushed is found only now and then",
        "in the configuration of every replica the same section storage, with a folder or bucket that all share",
    ),
    "push-interrupted": FindingKind(
        "a push of {size} MiB over {seconds} s with a pause ended with {got}",
        "pushes of large layers over slow lines fail in the same way",
        "in the proxy, in location /v2/: client_body_timeout 900s; proxy_read_timeout 900s; proxy_send_timeout 900s; "
        "and no limit on the time of a whole request",
    ),
}
