# The group `images` of labs/bench: a root file system as one gzip layer, from a registry and to
# one, against the peers. Sourced by labs/bench, never run.
#
# Everybody talks to one docker-registry on loopback. They take turns, so that whatever else the
# machine does meets all alike; what the run before has left is removed before the clock starts.
#
# shellcheck shell=bash disable=SC2154

image_packages=(debootstrap docker-registry time)
image_peers=(podman docker.io skopeo umoci)
debian=$root/.build/bench-debian.tar.gz

# The root file system is fetched once: outside, where there is a network.
prepare_images() {
    need_packages "${image_packages[@]}" gzip
    [[ -s $debian ]] && return
    local directory
    step "Making a Debian root file system"
    directory=$(mktemp -d /var/tmp/hull-debian-XXXXXX)
    debootstrap --variant=minbase --include=perl,python3-minimal,git,vim-tiny stable "$directory" \
        >"$directory.log" 2>&1 || die "debootstrap failed: $(tail -n 1 "$directory.log")"
    tar -C "$directory" --numeric-owner --exclude='./dev/*' -c . | gzip -6n >"$debian.new"
    mv -- "$debian.new" "$debian"
    rm -rf -- "$directory" "$directory.log"
}

measure_images() {
    local runs=$1 format=$2 round name
    ip link set lo up
    start_image_registry
    add_image_contenders
    for ((round = 0; round <= runs; round++)); do
        clear_away
        for name in "${image_names[@]}"; do
            measure_once "$name" "$round"
        done
    done
    report_images "$format" "$runs"
}

# The registry -------------------------------------------------------------------

registry=127.0.0.1:5000
image=$registry/debian:bench

start_image_registry() {
    mkdir -p "$work/registry"
    cat >"$work/registry.yml" <<TEXT
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: $work/registry}, delete: {enabled: true}}
http: {addr: $registry, secret: bench}
TEXT
    docker-registry serve "$work/registry.yml" >"$work/registry.log" 2>&1 </dev/null &
    image_registry=$!
    trap 'stop_image_processes' EXIT
    until (: </dev/tcp/127.0.0.1/5000) 2>/dev/null; do sleep 0.1; done
    make_image_layout
    # With what everybody has to have: Hull itself brings it there.
    HULL_ROOT=$work/seed "$bin/hull" image import "$debian" "$image" >/dev/null
    replace_layer
    HULL_ROOT=$work/seed "$bin/hull" push --quiet "$image" >/dev/null
    cp -a "$work/registry" "$work/registry.full"
}

stop_image_processes() {
    kill "$image_registry" 2>/dev/null || true
    stop_docker
}

blob_path() { printf '%s' "$work/layout/blobs/sha256/$1"; }

# blob FILE prints a descriptor without a media type.
add_blob() {
    local digest
    digest=$(sha256sum <"$1" | cut -d ' ' -f 1)
    cp -- "$1" "$(blob_path "$digest")"
    jq -nc --arg digest "sha256:$digest" --argjson size "$(stat -c %s "$1")" '{$digest, $size}'
}

# The image whose only layer is the archive as it is: importing would pack it anew.
make_image_layout() {
    local type=application/vnd.oci.image diff layer configuration
    mkdir -p "$work/layout/blobs/sha256"
    diff=$(gzip -dc "$debian" | sha256sum | cut -d ' ' -f 1)
    layer=$(add_blob "$debian" | jq -c --arg t "$type.layer.v1.tar+gzip" '{mediaType: $t} + .')
    jq -nc --arg diff "sha256:$diff" --arg machine "$(dpkg --print-architecture)" \
        '{architecture: $machine, os: "linux", config: {Cmd: ["/bin/sh"]},
          rootfs: {type: "layers", diff_ids: [$diff]}}' >"$work/configuration"
    configuration=$(add_blob "$work/configuration" |
        jq -c --arg t "$type.config.v1+json" '{mediaType: $t} + .')
    jq -nc --arg t "$type.manifest.v1+json" --argjson c "$configuration" --argjson l "$layer" \
        '{schemaVersion: 2, mediaType: $t, config: $c, layers: [$l]}' >"$work/manifest"
    manifest=$(add_blob "$work/manifest" |
        jq -c --arg t "$type.manifest.v1+json" '{mediaType: $t} + .')
}

# Lets the name in Hull's store mean that image. The store is an image layout like any other.
replace_layer() {
    local store=$work/seed/images
    cp -- "$work"/layout/blobs/sha256/* "$store/blobs/sha256/"
    jq --argjson m "$manifest" '.manifests |= map(. + $m)' "$store/index.json" >"$store/index.new"
    mv -- "$store/index.new" "$store/index.json"
}

# The contenders -----------------------------------------------------------------

declare -A image_command image_before image_note
# What takes away what the round before has brought.
image_removals=()
image_names=()

# image_contender NAME BEFORE COMMAND [NOTE]: both are run by bash.
image_contender() {
    image_names+=("$1")
    image_before[$1]=$2 image_command[$1]=$3 image_note[$1]=${4:-}
}

add_image_contenders() {
    local empty="rm -rf '$work/registry/docker'"
    image_removals=("rm -rf '$work/tree' '$work/hull' '$work/umoci' '$work/copied'")
    image_contender "tar -xzf" "mkdir '$work/tree'" \
        "tar -C '$work/tree' -xzf '$debian'" "from disk"
    image_contender "hull pull" true \
        "HULL_ROOT='$work/hull' '$bin/hull' pull --quiet '$image'"
    if command -v podman >/dev/null; then
        podman_options
        local own="${podman[*]}"
        image_removals+=("$own rmi -f '$image'")
        image_contender "podman pull" true \
            "$own pull --quiet --tls-verify=false '$image'"
    fi
    if command -v dockerd >/dev/null && start_docker --bridge none; then
        image_removals+=("${docker[*]} rmi -f '$image'")
        image_contender "docker pull" true \
            "${docker[*]} pull --quiet '$image'" "memory of the client alone"
    fi
    if command -v skopeo >/dev/null && command -v umoci >/dev/null; then
        image_contender "skopeo, umoci" true \
            "skopeo copy --insecure-policy --quiet --src-tls-verify=false docker://$image oci:$work/copied:x &&
             umoci unpack --image '$work/copied:x' '$work/umoci'" "copy, then unpack"
    fi
    image_contender "hull push" "$empty" \
        "HULL_ROOT='$work/seed' '$bin/hull' push --quiet '$image'"
    if command -v podman >/dev/null; then
        image_contender "podman push" "$own image exists '$image' || $own pull --tls-verify=false '$image'; $empty" \
            "$own push --quiet --tls-verify=false '$image'"
    fi
    if [[ -v image_command["docker pull"] ]]; then
        image_contender "docker push" "$empty" "${docker[*]} push --quiet '$image'" \
            "memory of the client alone"
    fi
}

# For a minute after files were removed, ext4 makes new ones up to ten times more slowly: it looks
# for an inode that nobody had lately. All that a round removes goes before it, and it waits.
clear_away() {
    local removal
    for removal in "${image_removals[@]}"; do
        bash -c "$removal" >"$work/removal.log" 2>&1 || true
    done
    sync
    sleep 61
}

# measure_once NAME ROUND: round 0 warms up and is not counted.
measure_once() {
    local name=$1 file=$work/times.${1//[^a-z]/-} start end
    if [[ $name == *pull || $name == skopeo* ]]; then fill_image_registry; fi
    bash -c "${image_before[$name]}" >"$work/before.log" 2>&1
    # What others wrote is written before the clock starts, not while it runs.
    sync
    start=$(date +%s%N)
    /usr/bin/time -f %M -o "$work/peak" bash -c "${image_command[$name]}" >"$work/log" 2>&1 ||
        die "$name failed: $(tail -n 1 "$work/log")"
    end=$(date +%s%N)
    if (($2 == 0)); then return; fi
    awk "BEGIN { printf \"%.3f\n\", ($end - $start) / 1e9 }" >>"$file"
    tail -n 1 "$work/peak" >>"$file.memory"
}

fill_image_registry() {
    [[ -d $work/registry/docker ]] || cp -a "$work/registry.full/docker" "$work/registry/"
    [[ -s $work/registry/docker/registry/v2/repositories/debian/_manifests/tags/bench/current/link ]] ||
        cp -a "$work/registry.full/docker" "$work/registry/"
}

image_median() { sort -g "$1" | awk '{ v[NR] = $1 } END { printf "%.2f", (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'; }

report_images() {
    local name file time base peer rows=() files
    base=$(image_median "$work/times.tar--xzf")
    for name in "${image_names[@]}"; do
        file=$work/times.${name//[^a-z]/-}
        time=$(image_median "$file")
        if [[ $name == *push ]]; then peer=$(image_median "$work/times.podman-push" 2>/dev/null || true); else peer=$base; fi
        rows+=("$name|$time|$(sort -g "$file" | head -n 1)|$(awk "BEGIN { printf \"%.2f\", $time / ${peer:-$time} }")|$(sort -g "$file.memory" | tail -n 1 | awk '{ printf "%.0f", $1 / 1024 }')|${image_note[$name]}")
    done
    files=$(tar -tzf "$debian" | wc -l)
    case $1 in
    json)
        printf '%s\n' "${rows[@]}" | jq -R -s 'split("\n")[:-1] | map(split("|") |
            {name: .[0], median: (.[1] | tonumber), least: (.[2] | tonumber),
             ratio: (.[3] | tonumber), mebibytes: (.[4] | tonumber), note: .[5]})'
        ;;
    markdown)
        say "| $files files, $(du -m --apparent-size "$debian" | cut -f 1) MiB packed, median of $2 | s | least | ÷ tar, ÷ podman push | peak MiB | |"
        say "| --- | --: | --: | --: | --: | --- |"
        printf '%s\n' "${rows[@]}" | sed 's/|/ | /g; s/^/| /; s/$/ |/'
        ;;
    *)
        {
            say "$files files, median of $2|s|least|÷ tar, ÷ podman push|peak MiB|"
            printf '%s\n' "${rows[@]}"
        } | column -t -s '|' -R 2,3,4,5
        ;;
    esac
}
