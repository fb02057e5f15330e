import Foundation
import Testing

@testable import TestSupport

extension KernelSuite {
    /// What a container wrote: seen, made an image of; and the drivers that keep it.
    @Suite("Stage 8, what containers write") struct Stage08ContainerFilesTests {
        private static let drivers = ["overlay", "copy"]

        /// Everything that a layer can hold, with fixed times, so that the digest is fixed too.
        private static let changes = """
            echo new > /new; mkdir -p /dir/deep; echo x > /dir/deep/file; ln /dir/deep/file /linked
            ln -s new /link; mkfifo /fifo; chmod 4755 /new; chown 5:6 /new
            rm /gone-file; rm -r /gone-dir; echo more >> /kept; chmod 700 /kept-dir
            rm -r /replaced; echo file > /replaced
            rm /file-to-dir; mkdir /file-to-dir; echo y > /file-to-dir/y
            cat /untouched > /dev/null; chmod 644 /untouched; mv /moved /moved-away
            printf sAme > /same-size
            """
        /// Behind that: all that was touched gets the same time under either driver.
        private static let times = """
            touch -h -d '2020-01-01 00:00:00' /dir/deep/file /dir/deep /dir /fifo /link \\
                /file-to-dir/y /file-to-dir /kept /kept-dir /new /replaced /same-size /moved-away /
            """

        private func makeImage(_ name: String, rootMode: mode_t = 0o755) throws {
            let rootfs = try place().rootfs()
            chmod(rootfs, rootMode)
            for file in [
                "gone-file", "gone-dir/a", "kept", "kept-dir/a", "replaced/a/b", "file-to-dir",
                "untouched", "moved/one/two", "same-size",
            ] {
                try place().write("same", to: rootfs + "/" + file)
            }
            for file in ["dev/null", "etc/hosts", "etc/hostname", "etc/resolv.conf"] {
                try place().write("", to: rootfs + "/" + file)
            }
            chmod(rootfs + "/untouched", 0o644)
            try ImageMaker(state: place().state).make(name, layers: [rootfs])
        }

        private func hull(_ driver: String, _ words: [String]) throws -> Outcome {
            try run(
                [Products.hull] + words,
                environment: ["HULL_STORAGE_DRIVER": driver, "SOURCE_DATE_EPOCH": "86400"],
                seconds: 60)
        }

        private func runScript(_ driver: String, _ image: String, _ script: String) throws
            -> Outcome
        {
            try hull(driver, ["run", "--rm", "--network", "none", image, "sh", "-c", script])
        }

        /// Runs a script in a container that stays, and gives its id.
        private func container(
            _ driver: String, _ image: String, _ script: String
        ) throws -> String {
            let words = ["run", "--network", "none", image, "sh", "-c", script]
            let known = try ids()
            let got = try hull(driver, words)
            try #require(got.code == 0, "\(got)")
            return try #require(Set(ids()).subtracting(known).first)
        }

        private func ids() throws -> [String] {
            let directory = try place().state + "/containers"
            return (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        }

        @Test("Both drivers show the same changes, and make the same layer of them")
        func agree() throws {
            try makeImage("base")
            var listings: [String] = []
            var layers: [String] = []
            for driver in Self.drivers {
                let id = try container(driver, "base", Self.changes + "\n" + Self.times)
                let diff = try hull(driver, ["diff", id])
                #expect(diff.code == 0, "\(diff)")
                listings.append(diff.output)
                let image = try hull(driver, ["commit", id, "made-" + driver])
                #expect(image.code == 0, "\(image)")
                layers.append(try lastLayer(of: "made-" + driver))
            }
            #expect(listings[0] == listings[1])
            for line in [
                "A /new", "D /gone-file", "D /gone-dir", "C /kept", "C /kept-dir",
                "C /replaced", "C /file-to-dir", "A /file-to-dir/y", "D /moved", "A /moved-away",
                "C /same-size", "A /dir/deep/file", "A /linked", "A /fifo", "A /link",
            ] {
                #expect(listings[0].split(separator: "\n").contains(Substring(line)), "\(line)")
            }
            #expect(!listings[0].contains("/untouched"), "\(listings[0])")
            #expect(!listings[0].contains("/etc/hosts"), "\(listings[0])")
            #expect(layers[0] == layers[1])
        }

        private func lastLayer(of image: String) throws -> String {
            let state = try place().state
            let got = try run([
                "sh", "-c",
                """
                cd \(state)/images/blobs/sha256
                manifest=$(jq -r --arg n docker.io/library/\(image):latest '.manifests[]
                    | select(.annotations["org.opencontainers.image.ref.name"] == $n)
                    | .digest[7:]' ../../index.json)
                jq -r '.layers[-1].digest' $manifest
                """,
            ])
            try #require(got.line.hasPrefix("sha256:"), "\(got)")
            return got.line
        }

        @Test("The tree in a container is the same under both drivers, file by file")
        func showSameTree() throws {
            try makeImage("base")
            let id = try container("overlay", "base", Self.changes + "\n" + Self.times)
            #expect(try hull("overlay", ["commit", id, "second"]).code == 0)
            // How large a directory is, is the file system's affair; the root's time the engine's.
            let script = """
                cd / && find * -xdev ! -path 'dev*' ! -path 'proc*' ! -path 'sys*' \\
                    ! -path 'etc*' | sort | while read -r f; do
                    if test -d "$f" && ! test -L "$f"; then
                        stat -c '%n %f %u %g %Y' "$f"
                    else
                        stat -c '%n %f %u %g %h %s %Y %t:%T' "$f"
                    fi
                    test -f "$f" && md5sum < "$f"; test -L "$f" && readlink "$f"
                done; stat -c '%f %u %g' /
                """
            let trees = try Self.drivers.map { driver in try runScript(driver, "second", script) }
            #expect(trees[0].lines.count > 40, "\(trees[0])")
            for (one, other) in zip(trees[0].lines, trees[1].lines) where one != other {
                Issue.record("overlay: \(one)  copy: \(other)")
            }
            #expect(trees[0].lines.count == trees[1].lines.count)
        }

        @Test(
            "What one container wrote is in the image made of it, and in no other",
            arguments: drivers)
        func commits(_ driver: String) throws {
            try makeImage("base")
            let word = Place.randomWord()
            let id = try container(driver, "base", "echo \(word) > /word; rm /kept")
            let made = try hull(
                driver,
                [
                    "commit", "-m", "a message", "-a", "somebody", "-c", "CMD [\"cat\", \"/word\"]",
                    id, "mine",
                ])
            #expect(made.line.hasPrefix("sha256:"), "\(made)")
            let ran = try hull(driver, ["run", "--rm", "--network", "none", "mine"])
            #expect(ran.line == word, "\(ran)")
            #expect(try runScript(driver, "mine", "test -e /kept").code == 1)
            #expect(try runScript(driver, "base", "test -e /kept && ! test -e /word").code == 0)
            let between = try hull(driver, ["diff", "base", "mine"])
            #expect(between.lines == ["D /kept", "A /word"], "\(between)")
            let configuration = try Observed.read(
                place().state + "/images/blobs/sha256/" + made.line.dropFirst("sha256:".count))
            #expect(configuration.contains("a message") && configuration.contains("somebody"))
        }

        @Test("A container that runs is frozen while an image is made of it, unless told otherwise")
        func pauses() throws {
            try makeImage("base")
            let running = try Program(
                [
                    Products.hull, "run", "--rm", "--network", "none", "base", "sh", "-c",
                    "echo x > /x; echo ready; exec sleep 1000",
                ])
            try running.waitForOutput("ready")
            let sandboxed = try running.sandboxed(named: "sleep")
            let id = try #require(
                try FileManager.default.contentsOfDirectory(atPath: place().state + "/throwaway")
                    .first)
            let trace = try place().directory + "/trace"
            for (options, frozen) in [([], true), (["--pause", "false"], false)]
                as [([String], Bool)]
            {
                let got = try run(
                    [
                        "strace", "-f", "-y", "-o", trace, "-e", "trace=write", Products.hull,
                        "commit",
                    ]
                        + options + [id, "live"])
                #expect(got.code == 0, "\(got)")
                let wrote = try Observed.read(trace)
                let isFrozen = wrote.contains("freeze>, \"1\"") || wrote.contains("FROZEN")
                #expect(isFrozen == frozen, "\(wrote)")
                #expect(try hull("overlay", ["ps"]).output.contains("running"))
            }
            #expect(try runScript("overlay", "live", "cat /x").line == "x")
            kill(sandboxed.process, SIGKILL)
            try running.wait()
        }

        @Test("What a stage keeps can be compared and committed")
        func commitsKept() throws {
            try makeImage("base")
            let keep = try place().directory + "/keep"
            let word = Place.randomWord()
            let kept = try run([
                Products.images, "--network", "none", "--keep", keep, "base", "sh", "-c",
                "echo \(word) > /word",
            ])
            #expect(kept.code == 0, "\(kept)")
            #expect(try hull("overlay", ["diff", keep]).lines == ["A /word"])
            #expect(try run([Products.images, "commit", keep, "kept"]).code == 0)
            #expect(try runScript("overlay", "kept", "cat /word").line == word)
        }

        @Test("Without a container or an image of it, there is one line and nothing made")
        func refuses() throws {
            try makeImage("base")
            let rootfs = try place().rootfs()
            let missing = Place.randomWord()
            expectOneLine(
                try hull("overlay", ["diff", missing]), code: 125, naming: missing, "ENOENT")
            expectOneLine(
                try hull("overlay", ["commit", "./" + missing, "x"]), code: 125, naming: missing,
                "ENOENT")
            expectOneLine(
                try hull("mirror", ["run", "--rm", "base", "true"]), code: 125, naming: "mirror",
                "EINVAL")
            #expect(
                try run([Products.hull, "run", "--network", "none", "--rootfs", rootfs, "true"])
                    .code
                    == 0)
            let id = try #require(ids().first)
            expectOneLine(
                try hull("overlay", ["commit", id, "x"]), code: 125, naming: id, "EINVAL")
            let digest = "base@sha256:" + String(repeating: "a", count: 64)
            expectOneLine(
                try hull("overlay", ["commit", id, digest]), code: 125, naming: id, "EINVAL")
            expectOneLine(
                try hull("overlay", ["image", "unmount", missing]), code: 125, naming: missing,
                "ENOENT")
        }

        @Test(
            "A mounted image shows its files, cannot be written, and goes when it is unmounted",
            arguments: drivers)
        func mounts(_ driver: String) throws {
            let words = try ImageMaker(state: place().state).make("deep", layerCount: 60)
            let own = try place().makeDirectory("own place")
            for target in [nil, own] {
                let mounted = try hull(
                    driver, ["image", "mount", "deep"] + [target].compactMap { $0 })
                #expect(mounted.code == 0, "\(mounted)")
                let shown = mounted.line
                #expect(target == nil || shown == target)
                #expect(try Observed.read(shown + "/layers/59") == words[58])
                #expect(try Observed.read(shown + "/layers/1") == words[0])
                #expect(access(shown + "/gone", F_OK) != 0)
                #expect(creat(shown + "/x", 0o600) == -1 && errno == EROFS)
                #expect(try hull(driver, ["image", "mount"]).output.contains(shown))
                let gone = try hull(driver, ["image", "unmount", target ?? "deep"])
                #expect(gone.line == shown, "\(gone)")
                #expect(access(shown + "/layers", F_OK) != 0)
            }
            let left = try FileManager.default.contentsOfDirectory(
                atPath: place().state + "/mounts")
            #expect(left.filter { $0 != "making" }.isEmpty)
        }

        @Test("With the driver copy, a container's root is no overlay, and goes with the container")
        func copies() throws {
            try makeImage("base", rootMode: 0o751)
            for (driver, type) in [("overlay", "overlay"), ("copy", nil)] as [(String, String?)] {
                for options in [
                    [], ["--uid-map", "0:200000:65536", "--gid-map", "0:200000:65536"],
                ] {
                    let got = try hull(
                        driver,
                        ["run", "--rm", "--network", "none"] + options + [
                            "base", "sh", "-c",
                            "echo x > /x && id -u && stat -c %a / && grep ' / / ' /proc/self/mountinfo | grep -o ' - overlay '; grep ' / ' /proc/mounts",
                        ])
                    #expect(got.lines.prefix(2) == ["0", "751"], "\(got)")
                    #expect(got.output.contains("overlay") == (type != nil), "\(got)")
                    #expect(try remains(in: place().state).isEmpty)
                }
            }
        }

        @Test(
            "The collector leaves what containers and mounts use, and takes it behind them",
            arguments: drivers)
        func staysInUse(_ driver: String) throws {
            try makeImage("base")
            let word = Place.randomWord()
            let id = try container(driver, "base", "echo \(word) > /word")
            let shown = try hull(driver, ["image", "mount", "base"]).line
            for use in ["container", "mount", nil] {
                _ = try hull(driver, ["rmi", "--force", "base"])
                #expect(try hull(driver, ["image", "prune"]).code == 0)
                switch use {
                case "container":
                    #expect(try hull(driver, ["diff", id]).lines == ["A /word"])
                    #expect(try hull(driver, ["rm", id]).code == 0)
                case "mount":
                    #expect(try Observed.read(shown + "/kept") == "same")
                    #expect(try hull(driver, ["image", "unmount", shown]).code == 0)
                default:
                    let left = try ["snapshots", "copies"].flatMap { name in
                        (try? FileManager.default.contentsOfDirectory(
                            atPath: place().state + "/" + name)) ?? []
                    }
                    #expect(left.filter { $0.count == 64 }.isEmpty, "\(left)")
                }
            }
        }
    }
}
