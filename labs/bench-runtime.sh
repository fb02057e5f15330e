# shellcheck shell=bash
# labs/bench runtime: OCI runtimes against each other and against their floor (floor-runtime.c).
# Sourced by labs/bench.
#
# All are given the same bundle: the configuration that `runc spec` writes, which is
# bench-runtime.json, and a root file system that holds one program of a few pages. What is timed
# is `run` in it, `run` without a cgroup, and `exec` in a container that is there.
#
# HULL_RUNTIME names the program to time as hull-runtime; built here if it is not given.

runtime_peers=(crun runc)

# Outside the namespaces.
prepare_runtime() {
    need_packages strace
    if [[ -n ${HULL_RUNTIME:-} ]]; then
        build release hull-bench
    else
        build release hull-bench hull-runtime
    fi
    build_floor
    as_owner cc -O2 -static -o "$root/.build/bench-peak" "$labs/bench-peak.c"
    build_bench_command
}

# The command line that a runtime is called by.
program_of() {
    if [[ $1 == hull-runtime ]]; then
        printf '%s' "${HULL_RUNTIME:-$bin/hull-runtime}"
    else
        printf '%s' "$1"
    fi
}

# runtime_bundle NAME ARGS [MEMORY-LIMIT]
runtime_bundle() {
    mkdir -p "$work/$1"
    jq --argjson args "$2" --arg root "$rootfs" --arg cgroup "/$cgroup_parent/$1" \
        --argjson limit "${3:-null}" '
        .process.args = $args | .root.path = $root | .linux.cgroupsPath = $cgroup
        | if $limit then .linux.resources.memory.limit = $limit else . end' \
        "$labs/bench-runtime.json" >"$work/$1/config.json"
}

runtime_rootfs() {
    local program
    mkdir -p "$rootfs"/{bin,proc,dev,sys}
    for program in true echo pause; do cp "$root/.build/bench-command" "$rootfs/bin/$program"; done
    runtime_bundle nothing '["/bin/true"]'
    runtime_bundle echo "[\"/bin/echo\", \"$HULL_BENCH_TOKEN\"]"
}

# Sets `runtimes` to those that are here.
find_runtimes() {
    local runtime refused=()
    runtimes=()
    for runtime in hull-runtime "${runtime_peers[@]}"; do
        if command -v "$(program_of "$runtime")" >/dev/null; then
            runtimes+=("$runtime")
        else
            footnote "$runtime: $not_installed"
        fi
    done
    $hybrid || return 0
    for runtime in "${runtimes[@]}"; do runtime_starts "$runtime" nothing || refused+=("$runtime"); done
    hide_unified "${refused[@]}"
}

# runtime_starts RUNTIME BUNDLE
runtime_starts() {
    local id="try-$1-$RANDOM" program code=0
    program=$(program_of "$1")
    timeout 20 "$program" run --bundle "$work/$2" "$id" >"$work/output" 2>&1 </dev/null || code=$?
    if ((code)); then "$program" delete --force "$id" >/dev/null 2>&1 </dev/null || true; fi
    return "$code"
}

# Containers that stay, one of each, for `exec` ------------------------------------

start_runtime_keepers() {
    local runtime tries
    for runtime in "${runtimes[@]}"; do
        runtime_bundle "keeper-$runtime" '["/bin/pause"]'
        "$(program_of "$runtime")" run --detach --bundle "$work/keeper-$runtime" \
            "keeper-$runtime" >/dev/null 2>&1 </dev/null || die "$runtime run --detach does not work"
    done
    "$root/.build/floor" runtime "$rootfs" /bin/pause </dev/null >/dev/null &
    floor_keeper=$!
    for ((tries = 0; tries < 100; tries++)); do
        floor_init=$(cat "/proc/$floor_keeper/task/$floor_keeper/children")
        floor_init=${floor_init% }
        if [[ -n $floor_init && $(readlink "/proc/$floor_init/exe") == */bin/pause ]]; then return; fi
        sleep 0.05
    done
    die "the floor does not start"
}

stop_runtime_keepers() {
    local runtime
    for runtime in "${runtimes[@]}"; do
        "$(program_of "$runtime")" delete --force "keeper-$runtime" >/dev/null 2>&1 || true
    done
    kill -KILL "$floor_init"
    wait "$floor_keeper" || true
}

# What is timed ---------------------------------------------------------------------

# Sets `words` to what RUNTIME is called with for a WAY.
#
#     runtime_words RUNTIME run|bare|exec
runtime_words() {
    local level=$root/.build/floor
    case $1:$2 in
    floor:run) words=("$level" runtime "$rootfs" '{command}') ;;
    floor:bare) words=("$level" runtime-bare "$rootfs" '{command}') ;;
    floor:exec) words=("$level" exec "$floor_init" "hull-floor-$floor_keeper" '{command}') ;;
    *:run) words=("$(program_of "$1")" run --bundle "$work/{task}" '{id}') ;;
    *:bare) words=("$(program_of "$1")" --cgroup-manager=disabled run --bundle "$work/{task}" '{id}') ;;
    *:exec) words=("$(program_of "$1")" exec "keeper-$1" '{command}') ;;
    esac
}

# The same, ready to run, with nothing to do inside.
runtime_command() {
    local index
    runtime_words "$1" "$2"
    for index in "${!words[@]}"; do
        words[index]=${words[index]/'{task}'/nothing}
        words[index]=${words[index]/'{command}'//bin/true}
        words[index]=${words[index]/'{id}'/id-$RANDOM$RANDOM}
    done
}

# Whether there is such a thing: runc has no way to do without a cgroup.
has_way() { [[ $1:$2 != runc:bare ]]; }

ways=(run bare exec)

add_runtime_contenders() {
    local way runtime
    for way in "${ways[@]}"; do
        for runtime in floor "${runtimes[@]}"; do
            has_way "$runtime" "$way" || continue
            runtime_words "$runtime" "$way"
            contender "$runtime:$way" "floor:$way" "" "${words[@]}"
        done
    done
}

# The most memory of five runs, in KiB, and the number of system calls of all its processes.
runtime_costs() {
    local way runtime run peak most calls
    for way in "${ways[@]}"; do
        for runtime in floor "${runtimes[@]}"; do
            has_way "$runtime" "$way" || continue
            most=0
            for ((run = 0; run < 5; run++)); do
                runtime_command "$runtime" "$way"
                peak=$("$root/.build/bench-peak" "${words[@]}" 3>&1 >/dev/null 2>&1 </dev/null) || continue
                if ((peak > most)); then most=$peak; fi
            done
            runtime_command "$runtime" "$way"
            strace -f -c -o "$work/calls" "${words[@]}" >/dev/null 2>&1 </dev/null || true
            calls=$(awk '$NF == "total" { print $4 }' "$work/calls")
            jq -n --arg name "$runtime:$way" --argjson peak "$most" --argjson calls "${calls:-0}" \
                '{($name): {$peak, $calls}}'
        done
    done | jq -s add
}

# The lowest limit on memory, a power of two, with which a container starts three times of three.
runtime_lowest_limits() {
    local runtime kib
    for runtime in "${runtimes[@]}"; do
        for ((kib = 16; kib < 65536; kib *= 2)); do
            runtime_bundle limited "[\"/bin/echo\", \"$HULL_BENCH_TOKEN\"]" $((kib * 1024))
            if starts_thrice "$runtime"; then break; fi
        done
        jq -n --arg name "$runtime" --argjson kib "$kib" '{($name): $kib}'
    done | jq -s add
}

starts_thrice() {
    local run
    for run in 1 2 3; do
        runtime_starts "$1" limited && grep -q "$HULL_BENCH_TOKEN" "$work/output" || return 1
    done
}

measure_runtime() {
    local runs=$1 format=$2
    ip link set lo up
    runtime_rootfs
    : >"$plan"
    find_runtimes
    trap stop_runtime_keepers EXIT
    start_runtime_keepers
    add_runtime_contenders
    "$bin/hull-bench" --runs "$runs" --json "$plan" >"$work/times.json" || true
    step "Counting memory and system calls" >&2
    runtime_costs >"$work/costs.json"
    step "Trying limits on memory" >&2
    runtime_lowest_limits >"$work/limits.json"
    report_runtime "$format"
}

report_runtime() {
    jq --slurpfile costs "$work/costs.json" --slurpfile limits "$work/limits.json" \
        --from-file "$labs/bench-runtime.jq" "$work/times.json" >"$work/report.json"
    case $1 in
    json) cat "$work/report.json" ;;
    markdown) runtime_lines | sed 's/|/ | /g; s/^/| /; s/$/ |/' && say && runtime_footnotes ;;
    *) runtime_lines | sed 2d | column -t -s '|' -R 2,3,4,5,6,7,8,9 -o '   ' && runtime_footnotes ;;
    esac
}

runtime_lines() {
    say "|median ms|min|p90|× floor|× hull-runtime|peak KiB|calls|least limit"
    say "---|--:|--:|--:|--:|--:|--:|--:|--:"
    jq -r '
        def two: if . == null then "–" else . * 100 + 0.5 | floor | tostring
            | if length < 3 then "000"[length:] + . else . end | .[:-2] + "." + .[-2:] end;
        def whole: if . == null then "" else tostring end;
        .rows[] | [.name,
            if .failure then "–", "–", "–" else (.milliseconds | .median, .minimum, .ninetieth | two) end,
            (.timesFloor | two), (.timesOurs | two), (.peak | whole), (.calls | whole),
            if .failure then .failure elif .limit then "\(.limit) KiB" else "" end] | join("|")' \
        "$work/report.json"
}

runtime_footnotes() {
    jq -r '(.machine | "\(.distribution), Linux \(.kernel), \(.processors) × \(.processor); ")
        + "\(.runs) runs of each, in turns.", (.footnotes[] | "", .)' "$work/report.json"
}
