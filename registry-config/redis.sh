#!/bin/sh
# Runs a redis or a sentinel of a container.
#
#   redis.sh primary|replica OPTION…    redis, which follows whom it followed last
#   redis.sh sentinel NAME
#
# Sentinels change who follows whom, and redis has to remember that over a restart: it then runs on a copy of its
# configuration beside its data. Of that copy only `replicaof` outlives the next start; the rest is rendered.
# Written by `authsvc init`; a change made here is overwritten.
set -eu

role=$1
shift
own=/data/redis.conf

case $role in
    sentinel)
        rendered=/etc/authsvc/$1.conf own=/data/$1.conf
        if [ ! -f "$rendered" ]; then
            echo "redis: write COMPOSE_PROFILES=sentinel into .env instead of using --profile" >&2
            exit 1
        fi
        [ -f "$own" ] || cp "$rendered" "$own"
        exec redis-server "$own" --sentinel
        ;;
    primary) rendered=/etc/authsvc/redis.conf ;;
    replica) rendered=/etc/authsvc/replica.conf ;;
esac

# Runs redis, and begins anew for another configuration. Not the container: one that starts again is unhealthy for a
# moment, at which compose gives up what waits for it.
serve() {
    again= status=1
    redis-server "$@" $options &
    child=$!
    trap 'again=; kill -TERM "$child" 2>/dev/null || true' TERM INT
    trap 'again=yes; kill -TERM "$child" 2>/dev/null || true' USR1
    sh /etc/authsvc/follow.sh /etc/authsvc $$ USR1 &
    follower=$!
    # A signal ends a `wait` before the child.
    while kill -0 "$child" 2>/dev/null; do wait "$child" && status=0 || status=$?; done
    kill "$follower" 2>/dev/null || true
    [ -n "$again" ] || exit "$status"
    exec sh "$0" "$role" $options
}
options=$*

if ! grep -q '^replica-announce-ip ' "$rendered"; then
    if [ -f "$own" ] && grep -q '^replicaof ' "$own"; then
        echo "redis: the newest data are in redis-replica; go back to the profile sentinel (docs/deploy.md, Sentinel)" >&2
        exit 1
    fi
    serve "$rendered"
fi
if [ -f "$own" ]; then
    { grep -v '^replicaof ' "$rendered"; grep '^replicaof ' "$own" || true; } >"$own.new"
    mv "$own.new" "$own"
else
    cp "$rendered" "$own"
fi
serve "$own"
