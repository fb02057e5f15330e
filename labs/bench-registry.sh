# labs/bench registry: hull-registry beside Debian's docker-registry. Sourced by labs/bench.
#
# shellcheck shell=bash

# Two servers with the same content, asked the same in turns.
measure_registry() {
    local runs=$1 format=$2 round peer
    declare -A pid
    ip link set lo up
    "$bin/hull-registry" --root "$work/hull" --listen 127.0.0.1:5001 >"$work/hull.log" 2>&1 &
    pid[hull]=$!
    cat >"$work/docker.yml" <<END
version: 0.1
storage: {filesystem: {rootdirectory: $work/docker}}
http: {addr: 127.0.0.1:5002}
log: {level: warn}
END
    docker-registry serve "$work/docker.yml" >"$work/docker.log" 2>&1 &
    pid[docker]=$!
    for peer in hull docker; do
        wait_for_registry "$peer"
        push_small_image "$peer"
    done
    for ((round = 0; round < runs; round++)); do
        head -c 256M /dev/urandom >"$work/blob"
        for peer in hull docker; do measure_requests "$peer"; done
    done
    for peer in hull docker; do
        awk '/VmHWM/ { print $2 / 1024 }' "/proc/${pid[$peer]}/status" >"$work/$peer.memory"
    done
    report_registry "$format" "$runs"
    kill "${pid[@]}"
}

registry_url() { if [[ $1 == hull ]]; then say http://127.0.0.1:5001; else say http://127.0.0.1:5002; fi; }

wait_for_registry() {
    local tries
    for ((tries = 0; tries < 100; tries++)); do
        if curl -sf -o /dev/null "$(registry_url "$1")/v2/"; then return; fi
        sleep 0.1
    done
    die "the registry of $1 does not start: $(tail -n 1 "$work/$1.log")"
}

digest() { say "sha256:$(sha256sum "$1" | cut -d ' ' -f 1)"; }

# push_blob PEER FILE: prints bytes a second.
push_blob() {
    local url location
    url=$(registry_url "$1")
    location=$(curl -sf -o /dev/null -w '%header{location}' -X POST "$url/v2/app/blobs/uploads/")
    [[ $location == http* ]] || location=$url$location
    [[ $location == *\?* ]] && location+='&' || location+='?'
    curl -sf -o /dev/null -w '%{speed_upload}\n' -H Expect: -T "$2" "${location}digest=$(digest "$2")"
}

manifest_type=application/vnd.oci.image.manifest.v1+json

push_small_image() {
    printf '{}' >"$work/config"
    push_blob "$1" "$work/config" >/dev/null
    printf '{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"%s","digest":"%s","size":2},"layers":[]}' \
        "$manifest_type" application/vnd.oci.image.config.v1+json "$(digest "$work/config")" \
        >"$work/manifest"
    curl -sf -o /dev/null -X PUT -H "Content-Type: $manifest_type" --data-binary "@$work/manifest" \
        "$(registry_url "$1")/v2/app/manifests/latest"
}

measure_requests() {
    local url blob
    url=$(registry_url "$1")
    blob=$url/v2/app/blobs/$(digest "$work/blob")
    push_blob "$1" "$work/blob" | to_megabytes >>"$work/$1.push"
    curl -sf -o /dev/null -w '%{speed_download}\n' "$blob" | to_megabytes >>"$work/$1.pull"
    requests "$url/v2/app/manifests/latest" >>"$work/$1.manifest"
    requests "$url/v2/app/blobs/$(digest "$work/config")" >>"$work/$1.small"
}

# Requests a second.
requests() {
    wrk -t 1 -c 16 -d 2 -H "Accept: $manifest_type" "$1" |
        awk '/^Requests\/sec/ { print $2 } /Non-2xx/ { exit 1 }'
}

to_megabytes() { awk '{ print $1 / 1e6 }'; }

report_registry() {
    local key label hull docker rows=()
    for key in push pull manifest small memory; do
        hull=$(median "$work/hull.$key") docker=$(median "$work/docker.$key")
        case $key in
        push) label="push a blob of 256 MiB, MB/s" ;;
        pull) label="pull it, MB/s" ;;
        manifest) label="GET a manifest, requests/s" ;;
        small) label="GET a blob of 2 bytes, requests/s" ;;
        memory) label="most memory, MiB" ;;
        esac
        rows+=("$label|$hull|$docker|$(awk "BEGIN { printf \"%.2f\", $hull / $docker }")")
    done
    case $1 in
    json)
        printf '%s\n' "${rows[@]}" | jq -R -s 'split("\n")[:-1] | map(split("|") |
            {what: .[0], hull: (.[1] | tonumber), docker: (.[2] | tonumber)})'
        ;;
    markdown)
        say "| median of $2 | hull-registry | docker-registry | ratio |"
        say "| --- | --: | --: | --: |"
        printf '%s\n' "${rows[@]}" | sed 's/|/ | /g; s/^/| /; s/$/ |/'
        ;;
    *)
        {
            say "median of $2|hull-registry|docker-registry|ratio"
            printf '%s\n' "${rows[@]}"
        } | column -t -s '|' -R 2,3,4 -o "   "
        ;;
    esac
}
