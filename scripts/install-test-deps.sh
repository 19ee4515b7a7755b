#!/bin/sh
# Installs the Debian or Ubuntu packages that the tests run against. Where it may not, it names
# what is missing and fails: a test that cannot run must not pass in silence.
set -eu
PATH=$PATH:/usr/sbin:/sbin

# need PACKAGE COMMAND...: the package is missing when none of the commands is there.
missing=
need() {
    package=$1
    shift
    for command in "$@"; do
        if command -v "$command" >/dev/null; then return; fi
    done
    missing="$missing $package"
}

. /etc/os-release 2>/dev/null || ID=unknown
if [ "$ID" = ubuntu ]; then
    need chromium-browser chromium chromium-browser google-chrome
    need chromium-chromedriver chromedriver
else
    need chromium chromium google-chrome
    need chromium-driver chromedriver
fi
need valgrind valgrind
need nginx nginx
need caddy caddy
need redis-server redis-server
need g++ g++
need clang clang
# The runtimes of clang's sanitizers are no commands.
if ! echo 'int main(void) { return 0; }' |
    clang -fsanitize=address,undefined -x c -o /dev/null - 2>/dev/null; then
    missing="$missing libclang-rt-dev"
fi
need cmake cmake
need openssl openssl
need pkg-config pkg-config pkgconf
need python3 python3

[ -n "$missing" ] || exit 0

cannot() {
    echo "The tests need these packages, and $1:$missing" >&2
    exit 1
}
command -v apt-get >/dev/null || cannot "this system has no apt-get to install them with"
if [ "$(id -u)" = 0 ]; then
    sudo=
elif sudo -n true 2>/dev/null; then
    sudo=sudo
else
    cannot "only root may install them; run 'sudo apt-get install$missing'"
fi

# The tests start nginx and Caddy themselves, on ports of their own. The services that come with
# the packages would take port 80 of this machine, so they are not started.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    trap '$sudo rm -f $policy' EXIT
    printf '#!/bin/sh\nexit 101\n' | $sudo tee $policy >/dev/null
    $sudo chmod 755 $policy
fi

echo "Installing$missing"
$sudo apt-get update -qq
# shellcheck disable=SC2086 # a list of words
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
