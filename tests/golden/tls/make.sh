#!/bin/sh
# Makes the certificates of this folder anew. The keys protect nothing. Needs openssl 3.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
authority() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/$1.key" -out "$work/$1.pem" -days 36500 \
        -subj "/O=Tests/CN=$1" -addext basicConstraints=critical,CA:TRUE 2>/dev/null
}
# Name, authority, names that it is for, what it may be used for.
issue() {
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -subj "/O=Tests/CN=$1" -out "$work/request" 2>/dev/null
    printf 'basicConstraints=critical,CA:FALSE\nextendedKeyUsage=%s\nsubjectAltName=%s\n' "$4" "$3" >"$work/extensions"
    openssl x509 -req -in "$work/request" -CA "$work/$2.pem" -CAkey "$work/$2.key" -extfile "$work/extensions" -days 36500 -out "$1.pem" 2>/dev/null
}
authority servers
authority clients
authority strangers
cp "$work/servers.pem" "$work/clients.pem" .
issue server servers DNS:localhost serverAuth
issue sender clients DNS:app.netdata.cloud clientAuth
issue other clients DNS:other.example clientAuth
issue stranger strangers DNS:app.netdata.cloud clientAuth
