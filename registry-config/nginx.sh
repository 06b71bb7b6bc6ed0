#!/bin/sh
# Runs nginx in a container, and lets it read its certificates again when they change: by whatever renews them.
# Written by `authsvc init`; a change made here is overwritten.
set -eu

config=/etc/authsvc/nginx.conf
look_again=${AUTHSVC_CERTIFICATE_INTERVAL:-60}

certificates=$(sed -nE 's/^ *ssl_certificate(_key)? "(.*)";$/\2/p' "$config")
if [ -n "$certificates" ]; then
    for file in $certificates; do
        told=
        until [ -s "$file" ]; do
            [ -n "$told" ] || echo "nginx: waiting for $file" >&2
            told=yes
            sleep 1
        done
        if [ ! -r "$file" ]; then
            echo "nginx: $file may not be read by user $(id -u); on the host: chown $(id -u) that file" >&2
            exit 1
        fi
    done
    (
        seen=$(cat $certificates | cksum)
        while sleep "$look_again"; do
            now=$(cat $certificates | cksum) || continue
            [ "$now" != "$seen" ] || continue
            # Half of a new pair does not pass; the next look finds it whole.
            if nginx -t -q -e stderr -c "$config"; then
                # The shell's own number, which is nginx' after exec.
                kill -HUP $$
                seen=$now
                echo "nginx: read new certificates" >&2
            fi
        done
    ) &
fi
exec nginx -e stderr -c "$config"
