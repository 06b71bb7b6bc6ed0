#!/bin/sh
# Runs the registry of a container, and as read-only for as long as a garbage collection holds the lock.
#
#   registry.sh NAME CONFIG-DIR        serve, if NAME is the registry that this installation serves
#   registry.sh NAME CONFIG-DIR probe  is it well?
#   registry.sh NAME CONFIG-DIR gc …   make the registry read-only, collect garbage, let it write again
#   registry.sh NAME CONFIG-DIR read-only   make the registry read-only until this ends
#
# The lock ends with the process that holds it, whatever ends that, so a registry is never read-only for good.
# Written by `authsvc init`; a change made here is overwritten.
set -eu

name=$1 config=$2 task=${3:-serve}
state=/var/lib/registry/.gc
lock=$state/lock mode_file=$state/mode
stop_within=120

chosen() { [ "$(cat "$config/serves")" = "$name" ]; }

probe() {
    # The other registry of an installation idles, and is well.
    chosen || exit 0
    # Docker gives every container the proxy of the user's config.json; this container is not behind one.
    unset http_proxy HTTP_PROXY all_proxy ALL_PROXY
    # Answered without a token, and 503 when the storage fails.
    exec wget -q -O /dev/null http://127.0.0.1:5000/
}

# A lock is seen on this host alone, and a bucket may have registries on others.
refuse_other_writers() {
    [ "$(cat "$config/serves")" = registry-s3 ] && [ "${AUTHSVC_S3_SOLE_WRITER:-}" != yes ] || return 0
    # A look deletes nothing.
    [ "$*" != --dry-run ] || return 0
    echo "gc: a registry on another host that writes to the same bucket would lose layers of pushes; nothing was" \
        "touched. When no other registry writes to it now, say AUTHSVC_S3_SOLE_WRITER=yes: see docs/s3-storage.md" >&2
    exit 2
}

hold_read_only() {
    mkdir -p "$state"
    exec 9>"$lock"
    tried=0
    # The registry holds it for a moment, every second, to look whether it is free.
    until flock -x -n 9; do
        tried=$((tried + 1))
        [ "$tried" -lt 3 ] || {
            echo "gc: another garbage collection is running" >&2
            exit 1
        }
        sleep 1
    done
    # It may be of an earlier collection, after which the registry is about to write again.
    rm -f "$mode_file"
    echo "gc: waiting for the registry to be read-only" >&2
    waited=0
    until [ "$(cat "$mode_file" 2>/dev/null)" = read-only ]; do
        if [ "$waited" -ge "$stop_within" ]; then
            echo "gc: the registry is not read-only after $stop_within s, so nothing was touched; is it running?" >&2
            exit 1
        fi
        waited=$((waited + 1))
        sleep 1
    done
}

stay_read_only() {
    trap 'exit 0' TERM INT HUP
    hold_read_only
    echo "gc: the registry is read-only until this ends" >&2
    while :; do
        # Without the lock, which ends with this shell.
        sleep 3600 9>&- &
        wait $! || true
    done
}

collect() {
    # Registry 2.8 takes the parts of a tagged index for untagged ones (distribution#3178).
    for option; do
        case $option in
            -d | --dry-run) ;;
            --delete-untagged* | -*m*)
                echo "gc: $option would destroy images of several platforms; delete what must go by its digest" >&2
                exit 2
                ;;
            *)
                echo "gc: unknown option $option; it takes --dry-run" >&2
                exit 2
                ;;
        esac
    done
    refuse_other_writers "$@"
    hold_read_only
    if [ -d /var/lib/registry/docker ] && [ ! -d /var/lib/registry/docker/registry/v2/repositories ]; then
        # What 2.8 calls a failure: nothing was ever pushed.
        echo "gc: there is no image" >&2
        exit 0
    fi
    registry garbage-collect "$@" "$config/read-only.yml"
    echo "gc: done; the registry writes again" >&2
}

# What is neither a warning nor an error: a client that asks without a token is challenged, and before a push it asks
# for each layer and tag whether it is there. nginx's log has a line for each. `authsvc up` leaves out the same.
without_ordinary() {
    awk '
        /level=warning msg="error authorizing context: authorization token required"/ { next }
        /level=error msg="response completed with error"/ &&
            / err\.code=(unauthorized|"(manifest|blob|name) unknown") .* http\.response\.status=(401|404) / { next }
        { print; fflush() }
    '
}

child= filter=
end() {
    trap - TERM INT
    [ -z "$child" ] || kill -TERM "$child" 2>/dev/null || true
    [ -z "$child" ] || wait "$child" || true
    [ -z "$filter" ] || wait "$filter" || true
    child= filter=
}

serve() {
    # Its events go to authsvc, which is not behind the proxy that docker gives every container; a bucket may be.
    NO_PROXY="authsvc,${NO_PROXY:-${no_proxy:-}}"
    no_proxy=$NO_PROXY
    export NO_PROXY no_proxy
    # nginx has ended before; the events of the last requests need a moment to arrive.
    trap 'sleep 1; end; exit 0' TERM INT
    until chosen; do
        sleep 3600 &
        child=$!
        wait "$child" || true
    done
    mkdir -p "$state"
    # Not the container: one that starts again is unhealthy for a moment, at which compose gives up what waits for it.
    trap 'mode=' USR1
    sh "$config/follow.sh" "$config" $$ USR1 &
    pipe=$state/log.$name
    mode=
    while :; do
        # Its profile was switched off: another registry serves, and the engine starts this one again to idle.
        chosen || { end; exit 0; }
        wanted=read-write
        flock -s -n "$lock" true || wanted=read-only
        if [ "$wanted" != "$mode" ]; then
            end
            trap 'sleep 1; end; exit 0' TERM INT
            # `read-only` may be read here only while no registry that writes is alive.
            echo "$wanted" >"$mode_file"
            mode=$wanted
            echo "registry: $mode" >&2
            rm -f "$pipe"
            mkfifo "$pipe"
            without_ordinary <"$pipe" >&2 &
            filter=$!
            registry serve "$config/$([ "$mode" = read-only ] && echo read-only.yml || echo config.yml)" >"$pipe" 2>&1 &
            child=$!
        fi
        # A collection that begins removes it, so that only what was written since counts.
        [ "$(cat "$mode_file" 2>/dev/null)" = "$mode" ] || echo "$mode" >"$mode_file" || true
        # It ended by itself: the engine starts the container again.
        kill -0 "$child" 2>/dev/null || exit 1
        sleep 1 &
        wait $! || true
    done
}

case $task in
    probe) probe ;;
    gc)
        shift 3
        collect "$@"
        ;;
    read-only) stay_read_only ;;
    serve) serve ;;
esac
