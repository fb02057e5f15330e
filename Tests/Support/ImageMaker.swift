import Foundation

/// Makes images of many layers out of directories, with tar and sha256sum.
///
/// Nothing of Hull's own is used, so that what it reads is somebody else's work.
struct ImageMaker {
    /// The state directory whose store the images go to.
    let state: String

    /// Adds an image called `name` (`docker.io/library/NAME:latest`), a layer for each directory,
    /// the lowest first. A file `.wh.NAME` in a directory deletes NAME of the layers below.
    func make(_ name: String, layers: [String]) throws {
        let script = """
            set -eu
            store=$1 name=$2
            shift 2
            mkdir -p "$store/blobs/sha256"
            cd "$store"
            blob() {
                digest=$(sha256sum < "$1")
                digest=${digest%% *}
                size=$(stat -c %s "$1")
                mv "$1" "blobs/sha256/$digest"
            }
            layers= ids= last=
            for directory; do
                if test "$directory" != "$last"; then
                    tar --numeric-owner --owner=0 --group=0 -C "$directory" -cf new .
                    blob new
                    last=$directory
                fi
                layers="$layers,{\\"mediaType\\":\\"application/vnd.oci.image.layer.v1.tar\\""
                layers="$layers,\\"digest\\":\\"sha256:$digest\\",\\"size\\":$size}"
                ids="$ids,\\"sha256:$digest\\""
            done
            printf '{"architecture":"%s","os":"linux","config":{"Cmd":["/bin/sh"]},' "$(dpkg --print-architecture)" > new
            printf '"rootfs":{"type":"layers","diff_ids":[%s]}}' "${ids#,}" >> new
            blob new
            printf '{"schemaVersion":2,"config":{"digest":"sha256:%s","size":%s,' "$digest" "$size" > new
            printf '"mediaType":"application/vnd.oci.image.config.v1+json"},"layers":[%s]}' "${layers#,}" >> new
            blob new
            printf '{"schemaVersion":2,"manifests":[{"digest":"sha256:%s","size":%s,' "$digest" "$size" > new
            printf '"mediaType":"application/vnd.oci.image.manifest.v1+json",' >> new
            printf '"annotations":{"org.opencontainers.image.ref.name":' >> new
            printf '"docker.io/library/%s:latest"}}]}' "$name" >> new
            mv new index.json
            printf '{"imageLayoutVersion":"1.0.0"}' > oci-layout
            """
        let made = try run(
            ["sh", "-c", script, "sh", state + "/images", name] + layers, seconds: 60)
        guard made.code == 0 else { throw ProgramFailure(description: "\(made)") }
    }

    /// An image of `count` layers: busybox, then a file /layers/N of each, which all of them also
    /// write as /top. Layer 2 makes /gone and /hidden/below; the last layer deletes both.
    func make(_ name: String, layerCount count: Int) throws -> [String] {
        let place = try place()
        var words: [String] = []
        var layers = [try place.rootfs()]
        for number in 1..<count {
            let word = Place.randomWord()
            let layer = "layers-\(name)/\(number)"
            try place.write(word, to: "\(layer)/layers/\(number)")
            try place.write("\(number)\n", to: "\(layer)/top")
            if number == 2 {
                try place.write(word, to: "\(layer)/gone")
                try place.write(word, to: "\(layer)/hidden/below")
            }
            if number == count - 1 {
                try place.write("", to: "\(layer)/.wh.gone")
                try place.write("", to: "\(layer)/hidden/.wh..wh..opq")
            }
            words.append(word)
            layers.append("\(place.directory)/\(layer)")
        }
        try make(name, layers: layers)
        return words
    }
}
