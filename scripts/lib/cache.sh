# Sourced by the installers of servers for the tests: each makes one directory, named by its version,
# in a cache that all checkouts share, and prints its path.
# shellcheck shell=bash

say() { echo "${0##*/}: $*" >&2; }
die() { say "$@" && exit 1; }

cache=${TTC_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/ttc}

# Make the directory $1 of the cache by the function $2, which gets its path and is called in an
# empty directory for its scratch files. Where the directory is there already, do nothing.
cached() {
    local dir=$cache/$1 scratch
    mkdir -p "$cache"
    if command -v flock >/dev/null; then
        exec 9>"$dir.lock" && flock 9 # another checkout may be making the same
    fi
    if [ ! -e "$dir/installed" ]; then
        rm -rf "$dir" && mkdir "$dir"
        scratch=$(mktemp -d)
        # shellcheck disable=SC2064
        trap "rm -rf '$scratch'" EXIT
        (cd "$scratch" && "$2" "$dir") >&2
        touch "$dir/installed"
    fi
    exec 9>&-
    echo "$dir"
}
