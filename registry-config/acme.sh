#!/bin/sh
# Asks an ACME authority for the certificate of this registry, and renews it in time.
# Written by `authsvc init`; a change made here is overwritten.
set -eu

say() { echo "acme: $1" >&2; }

host=$(cat /etc/authsvc/host)
if ! grep -q '^ *ssl_certificate ' /etc/authsvc/nginx.conf; then
    say "a certificate is for an AUTHSVC_PUBLIC_URL that begins with https://"
    exit 1
fi
if [ -z "${AUTHSVC_ACME_EMAIL:-}" ]; then
    say "set AUTHSVC_ACME_EMAIL to an address that the authority may warn"
    exit 1
fi

# Both files of a pair are there whole or as before; nginx looks at them together.
publish() {
    live=/letsencrypt/config/live/registry
    [ -f "$live/fullchain.pem" ] || return 0
    cmp -s "$live/fullchain.pem" /certificates/fullchain.pem && return 0
    cat "$live/privkey.pem" >/certificates/.privkey.new
    cat "$live/fullchain.pem" >/certificates/.fullchain.new
    mv /certificates/.privkey.new /certificates/privkey.pem
    mv /certificates/.fullchain.new /certificates/fullchain.pem
    say "published a certificate of $host"
}

trap 'exit 0' TERM INT
# It ends for another configuration, and the engine starts it again.
sh /etc/authsvc/follow.sh /etc/authsvc $$ TERM &
umask 077
pause=60
while :; do
    # Does nothing while the certificate has a third of its life left.
    if certbot certonly --non-interactive --quiet --agree-tos --email "$AUTHSVC_ACME_EMAIL" --no-eff-email \
        --config-dir /letsencrypt/config --work-dir /tmp/certbot --logs-dir /tmp/certbot-log --max-log-backups 0 \
        --cert-name registry --domain "$host" --keep-until-expiring --key-type ecdsa \
        --standalone --preferred-challenges http --http-01-port 8080 \
        ${AUTHSVC_ACME_SERVER:+--server "$AUTHSVC_ACME_SERVER"}; then
        wait_for=$AUTHSVC_ACME_INTERVAL pause=60
    else
        # An authority limits how often one may fail.
        say "no certificate; trying again in $pause s"
        wait_for=$pause pause=$((pause < 3600 ? pause * 2 : 3600))
    fi
    # After a failure too: somebody may have renewed by hand.
    publish
    sleep "$wait_for" &
    wait $! || true
done
