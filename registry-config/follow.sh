#!/bin/sh
# Tells the program of a container when `init` has rendered another configuration for it.
#
#   follow.sh CONFIG-DIR PID SIGNAL [CHECK…]   sends SIGNAL to PID, if CHECK succeeds
#
# Only what is rendered for the settings of before counts: that is what a new version does. Other settings are taken
# up by `docker compose up`, which makes the containers anew, and by nothing else.
# Written by `authsvc init`; a change made here is overwritten.
set -eu

config=$1 pid=$2 signal=$3
shift 3

# The settings, and a digest of everything else in this folder; `init` writes it last.
read_rendering() {
    { IFS= read -r settings && IFS= read -r digest; } <"$config/rendering"
}

read_rendering
settings_before=$settings digest_before=$digest
while sleep 1; do
    read_rendering || continue
    [ "$settings" = "$settings_before" ] && [ "$digest" != "$digest_before" ] || continue
    digest_before=$digest
    if [ $# -gt 0 ] && ! "$@"; then
        echo "what init has rendered does not pass its check: going on with the configuration of before" >&2
        continue
    fi
    echo "init has rendered another configuration: $signal" >&2
    kill -s "$signal" "$pid"
done
