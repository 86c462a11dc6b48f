# Sourced by the installers: Debian packages by apt-get, as root or with a sudo that asks for no
# password. They set `mode` to --dry-run, or to nothing, and `by_hand` to what else can be done.
# shellcheck shell=bash

say() { echo "${0##*/}: $*" >&2; }
die() { say "$@" && exit 1; }
run() { if [ "$mode" ]; then echo "$*"; else "$@" >/dev/null; fi; }

apt_install() { # what it is, and its packages
    local what=$1 as_root=() apt
    command -v apt-get >/dev/null || die "$by_hand"
    if [ "$(id -u)" != 0 ]; then
        sudo -n true 2>/dev/null || die "$by_hand, or run this script as root"
        as_root=(sudo -n)
    fi
    apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq)
    [ "$mode" ] || say "installing Debian's $what, once"
    run "${apt[@]}" update || die "apt-get could not fetch its lists; $by_hand"
    run "${apt[@]}" install --yes --no-install-recommends "${@:2}" ||
        die "apt-get could not install $2; $by_hand"
}
