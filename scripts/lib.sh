# Sourced by run, test and check: makes .venv what requirements/*.txt say it is.
# shellcheck shell=bash

root=$(dirname -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")")
venv=$root/.venv
unfinished=$venv/.unfinished
log=$venv/setup.log

say() { printf 'ctp10: %s\n' "$*" >&2; }
die() { say "$@"; exit 1; }

# setup run|dev: what users need, or all that test and check need as well.
setup() {
    ready "$1" && return
    # One at a time, should somebody call run and test together. The lock ends with the subshell,
    # so that no daemon inherits it.
    (
        if command -v flock >/dev/null; then flock 9; fi
        ready "$1" || build "$1"
    ) 9<"$root"
}

# A stamp says where .venv is, for which Python and from which files it was made: when one of them
# changes, even by a move of the checkout or an upgrade of the system, it is no longer true.
fingerprint() {
    echo "$root"
    readlink -f -- "$venv/bin/python" || true
    cat -- "$root/pyproject.toml" "$root"/requirements/*.txt | cksum
}

ready() {
    [ -x "$venv/bin/python" ] && [ ! -e "$unfinished" ] && [ -e "$venv/.stamp-$1" ] &&
        [ "$(fingerprint)" = "$(cat -- "$venv/.stamp-$1")" ]
}

build() {
    local uv files=(-r "$root/requirements/build.txt" -r "$root/requirements/run.txt")
    if [ "$1" = dev ]; then files+=(-r "$root/requirements/dev.txt"); fi
    uv=$(command -v uv) || uv=
    SECONDS=0
    if ! usable "$uv"; then
        create "$uv"
    else
        say "bringing .venv up to date"
        : >"$unfinished"
    fi
    # Versions and hashes are the lock's, the tool that builds the package included: hence no
    # build isolation, which would fetch whatever is newest.
    if [ -n "$uv" ]; then
        local install=("$uv" pip install --python "$venv/bin/python")
        quietly "${install[@]}" --require-hashes "${files[@]}"
        quietly "${install[@]}" --no-deps --no-build-isolation --reinstall-package ctp10 \
            --editable "$root"
    else
        local install=("$venv/bin/python" -m pip install --disable-pip-version-check --no-input
            --no-user)
        quietly "${install[@]}" --require-hashes "${files[@]}"
        quietly "${install[@]}" --no-deps --no-build-isolation --editable "$root"
    fi
    rm -f -- "$venv"/.stamp-*
    fingerprint >"$venv/.stamp-run"
    if [ "$1" = dev ]; then fingerprint >"$venv/.stamp-dev"; fi
    rm -f -- "$unfinished"
    say "ready after $SECONDS s"
}

# Whether .venv can be built on. Not if making it was interrupted, nor if it was moved here: its
# commands then start the Python of the old place.
usable() {
    local stamp
    [ ! -e "$unfinished" ] || return 1
    for stamp in "$venv"/.stamp-*; do
        if [ -e "$stamp" ] && [ "$(head -n 1 -- "$stamp")" != "$root" ]; then return 1; fi
    done
    recent "$venv/bin/python" || return 1
    [ -n "$1" ] || "$venv/bin/python" -m pip --version >/dev/null 2>&1
}

recent() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

create() {
    local candidate python=
    for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
        if recent "$candidate"; then
            python=$(command -v "$candidate")
            break
        fi
    done
    if [ -z "$1" ]; then
        if [ -z "$python" ]; then
            die "needs Python 3.11 or newer with venv (Debian 12, Ubuntu 24.04 or newer: sudo apt" \
                "install python3-venv); found here: $(python3 --version 2>/dev/null || echo none)"
        fi
        "$python" -c 'import ensurepip, venv' 2>/dev/null ||
            die "this Python cannot make virtual environments: sudo apt install python3-venv"
    fi
    say "making .venv and installing what is needed; this is done once"
    rm -rf -- "$venv"
    mkdir -- "$venv"
    : >"$unfinished"
    if [ -n "$1" ]; then
        quietly "$1" venv --allow-existing --python "${python:->=3.11}" "$venv"
    else
        quietly "$python" -m venv "$venv"
    fi
}

# Runs a command; what it says is only shown if it fails.
quietly() {
    if ! "$@" >"$log" 2>&1; then
        cat -- "$log" >&2
        die "setting up .venv failed, see above; the next run starts over"
    fi
}
