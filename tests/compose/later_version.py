"""An authsvc of a later version, made of the image of this one: it renders another configuration and stores more."""

from tests.compose.engine import ComposeEngine

HEADER = "X-Later"
"""What nginx and the registry send once they go by the configuration of the later version."""

FIELD = "later"
"""A field that each record of the later version has, and this one does not know."""

LUA_LIMIT = "501"
"""A setting of its Redis."""

_DOCKERFILE = rf"""
FROM {{base}}
USER 0
RUN cd /opt/authsvc/lib/python3.*/site-packages/authsvc \
 && sed -i 's/"v": VERSION, [*][*]self/"v": VERSION, "{FIELD}": 1, **self/' store/codec.py \
 && sed -i 's/^        set [$]our_id "";$/&\n        add_header {HEADER} nginx always;/' registry-config/nginx.conf \
 && sed -i 's/^    X-Content-Type-Options: .nosniff.$/&\n    {HEADER}: [registry]/' registry-config/registry.yml \
 && sed -i 's/^lua-time-limit 500$/lua-time-limit {LUA_LIMIT}/' registry-config/redis.conf \
 && grep -q '"{FIELD}": 1' store/codec.py \
 && grep -q {LUA_LIMIT} registry-config/redis.conf \
 && grep -q {HEADER} registry-config/nginx.conf \
 && grep -q {HEADER} registry-config/registry.yml
USER 10001:10001
"""


def make_later_version(engine: ComposeEngine, base: str, tag: str) -> None:
    """Build it on the image ``base``, under the name ``tag``."""
    engine.docker("build", "--tag", tag, "-", stdin=_DOCKERFILE.format(base=base), check=True)
