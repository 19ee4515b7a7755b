#!/bin/sh
# Sets up the Autobahn test suite in the directory $1. The suite needs Python 2.7, which Debian
# last had in release 11 (bullseye), so it gets a bullseye of its own: about 600 MB, one minute.
set -eu
root=$1
here=$(cd "$(dirname "$0")" && pwd)

cannot() {
    echo "Cannot set up the Autobahn test suite: $1" >&2
    exit 1
}
[ "$(id -u)" = 0 ] || cannot "it runs in a chroot, which takes root ('sudo make autobahn')"
command -v debootstrap >/dev/null ||
    cannot "debootstrap is missing ('apt-get install debootstrap')"

rm -rf "$root"
mkdir -p "$root"
packages=python2.7,python2.7-dev,python-setuptools,python-pip-whl,gcc,libc6-dev,ca-certificates
# Without a mirror named, debootstrap takes Debian's own. A release leaves it some years after its
# successor came: then DEBIAN_MIRROR has to name one that still has it.
# shellcheck disable=SC2086 # no word at all when it is not set
debootstrap --variant=minbase --include=$packages bullseye "$root" ${DEBIAN_MIRROR:-} \
    >"$root.log" 2>&1 || cannot "debootstrap failed, see $root.log"

# Names and certificates as the host has them.
cp /etc/resolv.conf /etc/hosts "$root/etc/"
if [ -f /etc/ssl/certs/ca-certificates.crt ]; then
    cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
fi
cp "$here/requirements.txt" "$root/opt/"
chroot "$root" env -i PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin HOME=/root LANG=C.UTF-8 \
    PIP_CERT=/etc/ssl/certs/ca-certificates.crt sh -euc '
    PYTHONPATH=$(echo /usr/share/python-wheels/*.whl | tr " " :)
    export PYTHONPATH
    python2.7 -m pip install --quiet --requirement /opt/requirements.txt
    unset PYTHONPATH
    wstest --autobahnversion
' >>"$root.log" 2>&1 || cannot "pip failed, see $root.log"
touch "$root/opt/ready"
