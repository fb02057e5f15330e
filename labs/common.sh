# What every command in labs/ shares. Sourced by bash, never run.
#
# shellcheck shell=bash disable=SC2034

set -euo pipefail

labs=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
# The top of the repository: what all paths of ours count from.
root=$(dirname -- "$labs")
name=$(basename -- "$0")

# What `swift build` needs beside Swift itself.
build_packages=(libcap-dev libseccomp-dev libjansson-dev zlib1g-dev libzstd-dev
    libisal-dev libcrypt-dev pkg-config)
# What a root file system is made from.
rootfs_packages=(busybox-static)

# What a sandbox's network is made with.
network_packages=(nftables iproute2)
# What gives an ordinary user ids, a network, and an overlay where the kernel has none.
rootless_packages=(uidmap passt fuse-overlayfs)
# The other programs that make, move and run images, for the tests of both together.
interop_packages=(podman docker.io skopeo umoci docker-registry crun apache2-utils openssl attr
    acl libarchive-tools zstd jq)
# dockerd, and what its networks are made with.
docker_packages=(docker.io containerd tini iptables)
# The other programs that run their containers by an OCI runtime, and what their networks need.
orchestration_packages=("${docker_packages[@]}" docker-compose podman netavark aardvark-dns
    catatonit containernetworking-plugins python3-grpcio)

# Saying things ----------------------------------------------------------------

if [[ -t 1 && -z ${NO_COLOR:-} && ${TERM:-dumb} != dumb ]]; then
    bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' plain=$'\e[0m'
else
    bold='' dim='' red='' green='' plain=''
fi

say() { printf '%s\n' "$*"; }

# The start of something that takes a while.
step() { printf '%s==>%s %s%s%s\n' "$green" "$plain" "$bold" "$*" "$plain"; }

# One line on what is wrong, lines on what to do about it, and the end.
die() {
    printf '%s: %s\n' "$name" "$1" >&2
    shift
    if (($#)); then printf '  %s\n' "$@" >&2; fi
    exit 1
}

# What stands at the top of the script that is running.
usage() { sed -n '2,/^# shellcheck/{/^# shellcheck/!s/^# \{0,1\}//p}' -- "$0"; }

# A command as it would be typed, in quotes only where there is something to quote.
show() {
    local word
    printf '$'
    for word in "$@"; do
        case $word in
        '' | *[!A-Za-z0-9_/.:=,@+…-]*) printf " '%s'" "$word" ;;
        *) printf ' %s' "$word" ;;
        esac
    done
    printf '\n'
}

# Shows a command where the reader looks for what comes next.
#
#     prompt WHERE COMMAND [ARG…]
prompt() {
    printf '\n%s%s' "$bold" "$1"
    show "${@:2}"
    printf '%s' "$plain"
}

# Whether `heading` asks, and how often `surprise` was called.
pause=false surprises=0

# A title, once the reader has seen enough of what stands above.
heading() {
    if $pause; then
        printf '\n%s' "${dim}Enter goes on …${plain}"
        read -r
    fi
    printf '\n%s%s%s\n%s\n' "$bold" "$1" "$plain" "${1//?/─}"
}

# Something is not as it has to be.
surprise() {
    say "${red}✘ unexpected: $1$plain"
    surprises=$((surprises + 1))
}

# Runs a command with its output in a file. A terminal sees the last line of it move;
# elsewhere a line comes every ten seconds. Where the command fails, all of it is shown.
#
#     with_progress LOG COMMAND [ARG…]
with_progress() {
    local log=$1 code=0 ticks=0 pid
    shift
    "$@" >"$log" 2>&1 </dev/null &
    pid=$!
    # Nothing that was started outlives a Ctrl-C: a job in the background ignores it.
    trap 'kill "$pid" 2>/dev/null; rm -f -- "$log"; exit 130' INT TERM HUP
    while kill -0 "$pid" 2>/dev/null; do
        show_last_line "$log" $((ticks++))
        sleep 0.1
    done
    wait "$pid" || code=$?
    trap - INT TERM HUP
    if [[ -t 1 ]]; then printf '\r\e[K'; fi
    if ((code)); then cat -- "$log" >&2; fi
    return "$code"
}

show_last_line() {
    local line spinner="|/-\\" ticks=$2 width
    line=$(tail -n 1 -- "$1" 2>/dev/null | tr -cd '[:print:]') || true
    if [[ -t 1 ]]; then
        width=$(($(tput cols 2>/dev/null || echo 80) - 4))
        printf '\r\e[K%s %s' "${spinner:ticks%4:1}" "${line:0:width}"
    elif ((ticks % 100 == 99)); then
        printf '    … %s\n' "$line"
    fi
}

# Root -------------------------------------------------------------------------

is_root() { [[ $(id -u) -eq 0 ]]; }

# Ends with what root is needed for, and with what goes without it.
need_root() {
    if is_root; then return; fi
    cat >&2 <<TEXT
$name needs root: $1
  Run it again with:          sudo $(printf '%q' "$0")
  Without root you can still
    read the book:            chapters/
    build everything:         swift build
    run any stage, and hull:  swift run stage05-identity --help
    see what is missing:      swift run hull doctor
    run the unit tests:       labs/test
TEXT
    exit 1
}

# Debian packages --------------------------------------------------------------

# Installs those of the packages that are missing.
need_packages() {
    local missing=() package
    for package in "$@"; do
        is_installed "$package" || missing+=("$package")
    done
    ((${#missing[@]})) || return 0
    command -v apt-get >/dev/null ||
        die "this machine has no apt-get to install packages with" \
            "What is missing is called, on Debian and Ubuntu: ${missing[*]}"
    is_root ||
        die "packages are missing" "Install them: sudo apt-get install ${missing[*]}"
    step "Installing ${missing[*]}"
    install_packages "${missing[@]}" ||
        die "apt-get could not install ${missing[*]}" \
            "Try it by hand: apt-get update && apt-get install ${missing[*]}"
}

# A package counts as installed too where another one stands for it, as pkgconf does for pkg-config.
is_installed() {
    local state
    state=$(dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null) || return 1
    [[ $state == *installed* && $state != *not-installed* ]]
}

install_packages() {
    local log code=0
    log=$(mktemp)
    # The lists are fetched only where they are missing or too old to download by.
    if ! apt-cache show "$@" >/dev/null 2>&1 || ! apt_install "$@" >"$log" 2>&1 </dev/null; then
        with_progress "$log" apt-get update || true
        with_progress "$log" apt_install "$@" || code=$?
    fi
    rm -f -- "$log"
    return "$code"
}

# No daemon that comes with a package is started: the tests start their own.
apt_install() (
    policy=/usr/sbin/policy-rc.d
    if [[ ! -e $policy ]]; then
        trap 'rm -f -- "$policy"' EXIT
        trap 'exit 1' INT TERM HUP
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
)

# Building ---------------------------------------------------------------------

need_swift() {
    local directory
    if command -v swift >/dev/null; then return; fi
    # sudo resets PATH; these are where Swift usually is.
    for directory in /opt/swift/usr/bin /usr/local/swift/usr/bin \
        "$(home_of "${SUDO_USER:-root}")/.local/share/swiftly/bin"; do
        if [[ -x $directory/swift ]]; then
            PATH=$directory:$PATH
            return
        fi
    done
    die "there is no swift in PATH" \
        "Install Swift 6.1 or later: https://www.swift.org/install/linux/" \
        "If you have it and use sudo, keep your PATH: sudo env \"PATH=\$PATH\" $0"
}

home_of() { getent passwd "$1" | cut -d: -f6; }

# Builds products and sets `bin` to the directory that they are in.
#
#     build release|debug PRODUCT…
build() {
    local configuration=$1 product log
    shift
    need_swift
    need_packages "${build_packages[@]}"
    log=$(mktemp)
    for product in "$@"; do
        step "Building $product ($configuration)"
        with_progress "$log" as_owner swift build --package-path "$root" \
            -c "$configuration" --product "$product" ||
            die "swift build could not build $product"
    done
    rm -f -- "$log"
    bin=$(as_owner swift build --package-path "$root" -c "$configuration" --show-bin-path)
}

# The floor that everything is timed against.
build_floor() {
    step "Building the floor"
    as_owner cc -O2 -static -o "$root/.build/floor" "$labs"/floor*.c
}

# A command that costs next to nothing itself: one page, no C library.
build_bench_command() {
    as_owner cc -O1 -static -nostdlib -ffreestanding -fno-stack-protector \
        -o "$root/.build/bench-command" "$labs/bench-command.c"
}

# Runs a command as whoever owns the repository, so that `sudo labs/…` leaves no files
# in .build that only root can replace.
as_owner() {
    local owner
    owner=$(stat -c %U -- "$root")
    if is_root && [[ $owner != root && $owner != UNKNOWN ]] &&
        runuser -u "$owner" -- test -x "$(command -v swift)"; then
        runuser -u "$owner" -- env "PATH=$PATH" "HOME=$(home_of "$owner")" "$@"
    else
        "$@"
    fi
}

# A network -----------------------------------------------------------------------

# For what runs in a network namespace of its own: loopback, and a way out that leads nowhere, as
# far as a host with a network is expected. Run by a shell in that namespace.
# shellcheck disable=SC2034
private_network='ip link set lo up &&
    ip link add up0 type veth peer name up1 && ip link set up1 up && ip link set up0 up &&
    ip address add 192.0.2.2/24 dev up0 && ip route add default via 192.0.2.1'
