#!/bin/sh
# Runs nginx in a container, and lets it read its certificates again when they change, by whatever renews them, and its
# configuration when a new version has rendered another one.
# Written by `authsvc init`; a change made here is overwritten.
#
# A new pair is taken unless it has a fault that the one in use does not have. So an authority that only its own
# clients trust is no fault where it was none before, and one that was wrong from the start can be replaced.
set -eu

config=/etc/authsvc/nginx.conf
host=$(cat /etc/authsvc/host)
work=/tmp/certificates
look_again=${AUTHSVC_CERTIFICATE_INTERVAL:-60}
day=86400

say() { echo "nginx: $1" >&2; }

# Files 1, 2, … of the folder $2 become the certificates of the file $1.
split() {
    rm -rf "$2"
    mkdir -p "$2"
    number=0 inside=
    while IFS= read -r line || [ -n "$line" ]; do
        case $line in *-----BEGIN*CERTIFICATE-----*) number=$((number + 1)) inside=yes ;; esac
        [ -z "$inside" ] || printf '%s\n' "$line" >>"$2/$number"
        case $line in *-----END*CERTIFICATE-----*) inside= ;; esac
    done <"$1"
}

names_of() { openssl x509 -noout -ext subjectAltName -in "$1" 2>/dev/null | sed -n '2{s/^ *//;p;}' | cut -c1-300; }

# One line for each fault of the chain $1: a word for its kind, and what to say of it. The worst comes first.
faults_of() {
    split "$1" "$work/parts"
    leaf=$work/parts/1
    if ! openssl x509 -noout -in "$leaf" 2>/dev/null; then
        echo "unreadable it begins with no certificate that can be read; put the chain there in PEM"
        return
    fi
    case $host in
        \[*) asked="-verify_ip $(echo "$host" | tr -d '[]')" kind='IP Address:' ;;
        *[!0-9.]*) asked="-verify_hostname $host" kind=DNS: ;;
        *) asked="-verify_ip $host" kind='IP Address:' ;;
    esac
    # As an authority of its own, it can have no faults but its own.
    own="openssl verify -partial_chain -trusted $leaf"
    names=$(names_of "$leaf")
    named=$($own -no_check_time $asked "$leaf" 2>&1) || true
    # Without such a name OpenSSL goes by the subject, and clients do not.
    case $names in *"$kind"*) ;; *) named="error 62 at" ;; esac
    case $named in *"error 62 at"* | *"error 64 at"*)
        echo "host it is for ${names:-no host} and not for $host; put one for $host there" ;;
    esac
    dated=$($own "$leaf" 2>&1) || true
    case $dated in *"error 10 at"*) echo "ended it ended on $(end_of "$leaf"); put one there that has not" ;; esac
    case $dated in *"error 9 at"*)
        echo "begins it begins on $(openssl x509 -noout -startdate -in "$leaf" | cut -d= -f2); it is taken then" ;;
    esac
    last=1
    while [ -f "$work/parts/$((last + 1))" ]; do
        issuer=$work/parts/$((last + 1))
        if ! openssl verify -no_check_time -partial_chain -trusted "$issuer" "$work/parts/$last" >/dev/null 2>&1; then
            echo "order number $((last + 1)) of its certificates has not signed number $last;" \
                "put the host's own certificate first, then the one that has signed it, and so on"
            break
        fi
        last=$((last + 1))
    done
    if ! found=$(openssl verify -untrusted "$1" "$leaf" 2>&1); then
        why=$(echo "$found" | sed -n 's/^error [0-9]* at [0-9]* depth lookup: *//p' | head -n 1)
        echo "unknown no authority that this container knows has signed it (${why:-no reason given});" \
            "put the intermediate certificates behind it, or have it signed by a public authority"
    fi
}

end_of() { openssl x509 -noout -enddate -in "$1" | cut -d= -f2; }

# The worst fault of the chain $1 that the one in use does not have.
new_fault_of() {
    [ -n "$can_check" ] || return 0
    faults_of "$work/in-use.pem" | cut -d' ' -f1 >"$work/in-use.faults"
    faults_of "$1" | while read -r kind words; do
        grep -qx "$kind" "$work/in-use.faults" || echo "$words"
    done | head -n 1
}

# The words $3 about the matter $1 come once a day, and when the state $2 is another one.
say_once_a_day() {
    time=$(date +%s)
    if [ "$2" != "$(cat "$work/$1.state" 2>/dev/null)" ] || [ "$time" -ge "$(($(cat "$work/$1.time") + day))" ]; then
        echo "$2" >"$work/$1.state"
        echo "$time" >"$work/$1.time"
        say "$3"
    fi
}

# What is in new.pem is served from now on.
take() {
    seen=$1
    mv "$work/new.pem" "$work/in-use.pem"
    [ -n "$can_check" ] || return 0
    faults_of "$work/in-use.pem" | while read -r kind words; do say "$chain is served, but $words"; done
}

consider() {
    mkdir -p "$work"
    cat "$chain" >"$work/new.pem"
    if tested=$(nginx -t -q -e stderr -c "$config" 2>&1); then
        fault=$(new_fault_of "$work/new.pem")
    else
        # Half of a new pair does not pass; the next look finds it whole.
        [ "$1" = "$unfinished" ] || { unfinished=$1 && return 0; }
        fault="nginx cannot use it: $(echo "$tested" | head -n 1 | cut -c1-300)"
    fi
    if [ -n "$fault" ]; then
        until_when="the one before it goes on being served"
        [ -z "$can_check" ] || until_when="$until_when until it ends on $(end_of "$work/in-use.pem")"
        say_once_a_day refused "$1 $fault" "$chain is not taken: $fault; $until_when"
        return
    fi
    # Changed while it was looked at: nginx would read another one.
    [ "$(cat $certificates | cksum)" = "$1" ] || return 0
    # The shell's own number, which is nginx' after exec.
    kill -HUP $$
    say "read new certificates"
    take "$1"
}

warn_of_end() {
    [ -n "$can_check" ] || return 0
    if ! openssl x509 -noout -checkend $((14 * day)) -in "$work/in-use.pem" >/dev/null; then
        ends=$(end_of "$work/in-use.pem")
        say_once_a_day end "$ends" "the certificate that is served ends on $ends; clients refuse it from then on; renew $chain"
    fi
}

certificates=$(sed -nE 's/^ *ssl_certificate(_key)? "(.*)";$/\2/p' "$config")
chain=$(sed -nE 's/^ *ssl_certificate "(.*)";$/\1/p' "$config")
if [ -n "$certificates" ]; then
    for file in $certificates; do
        told=
        until [ -s "$file" ]; do
            [ -n "$told" ] || say "waiting for $file"
            told=yes
            sleep 1
        done
        if [ ! -r "$file" ]; then
            say "$file may not be read by user $(id -u); on the host: chown $(id -u) that file"
            exit 1
        fi
    done
    rm -rf "$work"
    mkdir -p "$work"
    unfinished='' can_check=yes
    if ! command -v openssl >/dev/null; then
        can_check=
        say "this image has no command openssl, so new certificates are taken without a look at host, dates and chain"
    elif [ -z "${SSL_CERT_FILE:-}" ] && [ -f /etc/ssl/certs/ca-certificates.crt ]; then
        export SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
    fi
    # There is no other pair to serve at a start, whatever its faults.
    sum=$(cat $certificates | cksum)
    cat "$chain" >"$work/new.pem"
    # Nothing that goes wrong with a look keeps nginx from its start.
    take "$sum" || true
    (
        while :; do
            warn_of_end || true
            sleep "$look_again"
            sum=$(cat $certificates | cksum) || continue
            if [ "$sum" = "$seen" ]; then rm -f "$work/refused.state"; else consider "$sum" || true; fi
        done
    ) &
fi
sh "${config%/*}/follow.sh" "${config%/*}" $$ HUP nginx -t -q -e stderr -c "$config" &
exec nginx -e stderr -c "$config"
