# shellcheck shell=bash
# labs/bench drivers: what a container's root costs with each way to make one. Sourced by labs/bench.
#
# Every way starts from the same tree, 8,000 small files and one of 64 MiB: 240 MB. A root is
# made, one byte is written to the big file, and the root is removed. The room is what the file
# system has less afterwards.
#
#   overlay   as hull mounts it: layers below, changes on top
#   copy      as hull copies: every file, on a file system that shares nothing (ext4)
#   reflink   the same copy on btrfs, where files share their content
#   btrfs     a snapshot of a subvolume, as Docker's driver btrfs makes one
#
# AUFS has never been in the kernel's own tree, and Docker has given up device mapper; there is
# nothing to measure.

drivers_prepare() {
    local directory
    tree=$work/tree
    for directory in {00..99}; do
        mkdir -p "$tree/$directory"
        head -c 1760K /dev/urandom | split -b 22k -a 3 - "$tree/$directory/file-"
    done
    mkdir -p "$tree/bin" "$tree/dev" "$tree/proc" "$tree/sys" "$tree/etc"
    head -c 64M /dev/urandom >"$tree/big"
    cp "$(command -v busybox)" "$tree/bin/busybox"
    sync -f "$tree"
}

# A file system of its own in a file.
drivers_loop() {
    local kind=$1
    truncate -s 2G "$work/$kind.img"
    "mkfs.$kind" -q "$work/$kind.img" >/dev/null
    mkdir -p "$work/$kind"
    mount -o loop "$work/$kind.img" "$work/$kind"
}

room() { df --output=used -k "$1" | tail -n 1; }

# timed NAME FILE-SYSTEM COMMAND…: milliseconds and kilobytes, into a file for each.
timed() {
    local what=$1 place=$2 before start
    shift 2
    sync -f "$place"
    before=$(room "$place")
    start=${EPOCHREALTIME/./}
    "$@"
    printf '%d\n' $((${EPOCHREALTIME/./} - start)) >>"$work/times.$what"
    sync -f "$place"
    printf '%d\n' $(($(room "$place") - before)) >>"$work/rooms.$what"
}

make_overlay() {
    mkdir -p "$1/upper" "$1/work" "$1/root"
    mount -t overlay -o "lowerdir=$tree_here,upperdir=$1/upper,workdir=$1/work,volatile" overlay \
        "$1/root"
}
remove_overlay() { umount "$1/root" && rm -rf -- "$1"; }
make_copy() { mkdir -p "$1" && cp -a --reflink=never "$tree_here" "$1/root"; }
remove_copy() { rm -rf -- "$1"; }
make_reflink() { mkdir -p "$1" && cp -a --reflink=always "$tree_here" "$1/root"; }
remove_reflink() { rm -rf -- "$1"; }
make_btrfs() { mkdir -p "$1" && btrfs -q subvolume snapshot "$tree_here" "$1/root"; }
remove_btrfs() { btrfs -q subvolume delete "$1/root" && rmdir "$1"; }

write_byte() { printf x | dd of="$1/root/big" bs=1 seek=1000000 conv=notrunc status=none; }

# way NAME FILE-SYSTEM TREE RUNS
measure_way() {
    local way=$1 place=$2 runs=$4 run
    tree_here=$3
    for ((run = 0; run < runs; run++)); do
        timed "$way.make" "$place" "make_$way" "$place/container"
        timed "$way.write" "$place" write_byte "$place/container"
        timed "$way.remove" "$place" "remove_$way" "$place/container"
    done
}

measure_drivers() {
    local runs=$1 format=$2 ways=(overlay copy)
    step "Making the tree" >&2
    drivers_prepare
    drivers_loop ext4
    cp -a "$tree" "$work/ext4/tree"
    measure_way overlay "$work/ext4" "$work/ext4/tree" "$runs"
    measure_way copy "$work/ext4" "$work/ext4/tree" "$runs"
    umount "$work/ext4"
    if command -v mkfs.btrfs >/dev/null && grep -q btrfs /proc/filesystems; then
        ways+=(reflink btrfs)
        drivers_loop btrfs
        btrfs -q subvolume create "$work/btrfs/tree"
        cp -a "$tree/." "$work/btrfs/tree"
        measure_way reflink "$work/btrfs" "$work/btrfs/tree" "$runs"
        measure_way btrfs "$work/btrfs" "$work/btrfs/tree" "$runs"
        umount "$work/btrfs"
    else
        say "btrfs: not in this kernel, or btrfs-progs is missing." >&2
    fi
    report_drivers "$format" "$runs" "${ways[@]}"
}

report_drivers() {
    local format=$1 runs=$2 way rows=()
    shift 2
    for way in "$@"; do
        rows+=("$way|$(middle "times.$way.make" 1000)|$(middle "rooms.$way.make" 1024)|$(
            middle "times.$way.write" 1000)|$(middle "rooms.$way.write" 1024)|$(
            middle "times.$way.remove" 1000)")
    done
    if [[ $format == json ]]; then
        printf '%s\n' "${rows[@]}" | jq -R -s 'split("\n")[:-1] | map(split("|") |
            {driver: .[0], make_ms: .[1], make_MiB: .[2], write_ms: .[3], write_MiB: .[4],
             remove_ms: .[5]})'
        return
    fi
    say "| median of $runs | make | room | first byte | room | remove |"
    say "| --- | --: | --: | --: | --: | --: |"
    printf '%s\n' "${rows[@]}" | awk -F '|' '{
        printf "| %s | %s ms | %s MiB | %s ms | %s MiB | %s ms |\n", $1, $2, $3, $4, $5, $6 }'
}

# middle FILE UNIT: the median, in so many units.
middle() {
    sort -n "$work/$1" | awk -v unit="$2" '{ v[NR] = $1 }
        END { printf "%.1f", (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 / unit }'
}
