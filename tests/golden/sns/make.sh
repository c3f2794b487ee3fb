#!/bin/sh
# Makes the certificates of this folder anew, but for Amazon's own (af-south-1-2026.pem, which https://sns.af-south-1.amazonaws.com
# gave to everybody). The keys protect nothing. Needs openssl 3.
set -eu
cd "$(dirname "$0")"
new_key() { openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$1" 2>/dev/null; }
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
[ -e leaf.key ] || new_key leaf.key
new_key "$work/root.key"
new_key "$work/issuer.key"
openssl req -x509 -new -key "$work/root.key" -subj "/O=Tests/CN=Root" -days 36500 -out root.pem \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
# Name, key, who issues it, extensions, further settings.
issue() {
    printf '%s\n' "$4" >"$work/extensions"
    openssl req -new -key "$2" -subj "/O=Tests/CN=$1" -out "$work/request"
    name=$1 by=$3
    shift 4
    openssl x509 -req -in "$work/request" -CA "$by.pem" -CAkey "$work/${by}.key" -extfile "$work/extensions" -out "$name.pem" "$@" 2>/dev/null
}
leaf() { printf 'basicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth\nsubjectAltName=DNS:%s\n' "$1"; }
issue issuer "$work/issuer.key" root 'basicConstraints=critical,CA:TRUE,pathlen:0
keyUsage=critical,keyCertSign' -days 36500
issue leaf leaf.key issuer "$(leaf sns.amazonaws.com)" -days 36500
issue other-name leaf.key issuer "$(leaf evil.example)" -days 36500
issue other-region leaf.key issuer "$(leaf sns-signing.af-south-1.amazonaws.com)" -days 36500
# Nobody has issued this one.
openssl req -x509 -new -key leaf.key -subj "/O=Tests/CN=sns.amazonaws.com" -days 36500 -out self-made.pem \
    -addext subjectAltName=DNS:sns.amazonaws.com -addext basicConstraints=critical,CA:FALSE
