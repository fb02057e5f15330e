import CLinux
import Foundation
import OCISpec
import Testing

@testable import TestSupport

extension RuntimeSuite {
    /// `mounts` and `root`, as /proc/PID/mountinfo shows them.
    @Suite("Mounts") struct MountTests {
        @Test("Every mount is there with its options, in order, and nothing of the host's")
        func mountsAll() throws {
            let container = try Container()
            try container.running { (process) throws in
                let mounts = try process.mounts()
                #expect(
                    mounts.map(\.target).filter {
                        !$0.hasPrefix("/proc/") && !$0.hasPrefix("/sys/")
                    }
                        == [
                            "/", "/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys",
                        ])
                let named = Dictionary(mounts.map { ($0.target, $0) }) { $1 }
                #expect(named["/proc"]?.type == "proc")
                #expect(named["/dev/shm"]?.options.contains("nodev") == true)
                #expect(named["/dev/shm"]?.superOptions.contains("size=1024k") == true)
                #expect(named["/sys"]?.options.contains("ro") == true)
                #expect(named["/dev"]?.options.contains("nosuid") == true)
                #expect(named["/dev"]?.superOptions.contains("mode=755") == true)
                #expect(named["/dev/pts"]?.superOptions.contains("ptmxmode=666") == true)
            }
        }

        @Test(
            "A bind mount's options are set",
            arguments: [
                ["ro"], ["nosuid"], ["nodev"], ["noexec"], ["noatime"], ["nodiratime", "relatime"],
                ["ro", "nosuid", "nodev", "noexec"], ["strictatime"],
            ])
        func binds(options: [String]) throws {
            let word = Place.randomWord()
            try place().write(word, to: "volume/file")
            let container = try Container(shell: "cat /volume/file; exec sleep 1000")
            container.config.append(
                Configuration.mount(
                    "/volume", "bind", try place().directory + "/volume", ["rbind"] + options),
                at: "mounts")
            try container.running { (process) throws in
                let mount = try #require(
                    process.mounts().first { $0.target == "/volume" })
                // The kernel shows no word for strictatime but the absence of the others.
                for option in options where option != "strictatime" {
                    #expect(mount.options.contains(option), "\(option) in \(mount)")
                }
                if !options.contains("ro") { #expect(mount.options.contains("rw")) }
                try waitUntil("the file") { container.log == word }
                // The host's own mount is as it was.
                #expect(access(try place().directory + "/volume/file", W_OK) == 0)
            }
        }

        @Test("A read-only bind mount can't be written to; a writable one can")
        func bindsReadOnly() throws {
            for (option, isWritable) in [("ro", false), ("rw", true)] {
                let word = Place.randomWord()
                let file = try place().write("old", to: "volume/file")
                let container = try Container()
                container.config.append(
                    Configuration.mount(
                        "/volume", "none", try place().directory + "/volume", ["bind", option]),
                    at: "mounts")
                let verdict = try container.attack("write-host", "/volume/file", word)
                #expect(verdict.gotThrough == isWritable, "\(verdict)")
                #expect(try Observed.read(file).contains(word) == isWritable)
            }
        }

        @Test("A file is bound over a file, which is made where there is none")
        func bindsFiles() throws {
            let word = Place.randomWord()
            let file = try place().write(word, to: "bound")
            let container = try Container(shell: "cat /etc/deep/name /etc/passwd")
            for target in ["/etc/deep/name", "/etc/passwd"] {
                container.config.append(
                    Configuration.mount(target, "bind", file, ["bind", "ro"]), at: "mounts")
            }
            #expect(try container.output() == word + word)
        }

        @Test("A relative source is one of the bundle's")
        func bindsRelative() throws {
            let word = Place.randomWord()
            let container = try Container(shell: "cat /volume/file") {
                $0.append(
                    Configuration.mount("/volume", "bind", "volume", ["bind"]), at: "mounts")
            }
            try place().write(word, to: container.bundle + "/volume/file")
            #expect(try container.output() == word)
        }

        @Test("rbind takes the mounts below along, bind does not")
        func bindsRecursively() throws {
            for (option, count) in [("bind", 1), ("rbind", 2)] {
                try withMountBelow { (outer, _) throws in
                    let container = try Container {
                        $0.append(
                            Configuration.mount("/volume", "none", outer, [option]), at: "mounts")
                    }
                    try container.running { (process) throws in
                        let mounts = try process.mounts().filter { $0.target.hasPrefix("/volume") }
                        #expect(mounts.count == count, "\(mounts)")
                    }
                }
            }
        }

        /// A directory with a tmpfs below, both seen by `body`.
        private func withMountBelow(_ body: (String, String) throws -> Void) throws {
            let outer = try place().makeDirectory("outer-" + Place.randomWord())
            let inner = outer + "/inner"
            mkdir(inner, 0o755)
            try #require(mount("tmpfs", inner, "tmpfs", 0, "size=64k") == 0)
            defer { umount2(inner, Int32(MNT_DETACH)) }
            try body(outer, inner)
        }

        @Test("ro leaves the mounts below writable; rro does not")
        func isRecursivelyReadOnly() throws {
            for (option, isWritable) in [("ro", true), ("rro", false)] {
                try withMountBelow { (outer, inner) throws in
                    let container = try Container {
                        $0.append(
                            Configuration.mount("/volume", "none", outer, ["rbind", option]),
                            at: "mounts")
                    }
                    let verdict = try container.attack(
                        "write-host", "/volume/inner/file", Place.randomWord())
                    #expect(verdict.gotThrough == isWritable, "\(option): \(verdict)")
                    #expect(access(inner + "/file", F_OK) == (isWritable ? 0 : -1))
                }
            }
        }

        @Test(
            "The other options hold for the mounts below, too, where they begin with r",
            .except(.crun, because: "it fails on the first"))
        func isRecursive() throws {
            for (option, word) in [
                ("rnosuid", "nosuid"), ("rnodev", "nodev"), ("rnoexec", "noexec"),
                ("rnoatime", "noatime"),
            ] {
                try withMountBelow { (outer, _) throws in
                    let container = try Container {
                        $0.append(
                            Configuration.mount("/volume", "none", outer, ["rbind", option]),
                            at: "mounts")
                    }
                    try container.running { (process) throws in
                        let mounts = try process.mounts().filter { $0.target.hasPrefix("/volume") }
                        #expect(mounts.count == 2)
                        for mount in mounts { #expect(mount.options.contains(word), "\(mount)") }
                    }
                }
            }
        }

        @Test("A mount without links is one whose links aren't followed")
        func hasNoLinks() throws {
            for (options, isFollowed) in [(["bind"], true), (["bind", "nosymfollow"], false)] {
                if Runtime.current == .crun { return }
                let volume = try place().makeDirectory("volume")
                try place().write("followed", to: "volume/file")
                symlink("file", volume + "/link")
                let container = try Container(shell: "cat /volume/link") {
                    $0.append(
                        Configuration.mount("/volume", "none", volume, options), at: "mounts")
                }
                #expect((try container.run().output == "followed") == isFollowed)
                unlink(volume + "/link")
            }
        }

        @Test("A cgroup mount shows the container's own cgroups and no more")
        func showsGroups() throws {
            let container = try Container(
                shell: "cat /sys/fs/cgroup/pids/pids.max; ls /sys/fs/cgroup; exec sleep 1000"
            ) {
                $0.append(
                    Configuration.mount(
                        "/sys/fs/cgroup", "cgroup", "cgroup", ["nosuid", "noexec", "nodev", "ro"]),
                    at: "mounts")
                $0[at: "linux/resources/pids"] = ["limit": 47]
            }
            guard HostControlGroups.v1.contains(where: { $0.superOptions.contains("pids") }) else {
                return
            }
            try container.running { (process) throws in
                try waitUntil("the list") { container.log.contains("pids\n") }
                #expect(container.log.hasPrefix("47\n"), "\(container.log)")
                let mounts = try process.mounts().filter { $0.type == "cgroup" }
                #expect(!mounts.isEmpty)
            }
        }

        @Test(
            "A mount's propagation is that of its options",
            .except(.crun, because: "it runs where everything is private"))
        func propagates() throws {
            for (option, word) in [
                ("rprivate", nil), ("rslave", "master:"), ("rshared", "shared:"),
            ] as [(String, String?)] {
                try withMountBelow { (outer, inner) throws in
                    try #require(mount(nil, inner, nil, UInt(MS_SHARED), nil) == 0)
                    let container = try Container {
                        $0.append(
                            Configuration.mount("/volume", "none", inner, ["rbind", option]),
                            at: "mounts")
                    }
                    try container.running { (process) throws in
                        let mount = try #require(
                            process.mounts().first { $0.target == "/volume" })
                        if let word {
                            #expect(
                                mount.propagation.contains { $0.hasPrefix(word) },
                                "\(option): \(mount)")
                        } else {
                            #expect(mount.propagation == [], "\(option): \(mount)")
                        }
                    }
                }
            }
        }

        @Test("What the container mounts doesn't show on the host")
        func keepsMounts() throws {
            let target = "/" + Place.randomWord()
            let container = try Container(
                shell: "mkdir \(target); mount -t tmpfs none \(target) && exec sleep 1000"
            ) {
                for set in ["bounding", "effective", "permitted"] {
                    $0.append("CAP_SYS_ADMIN", at: "process/capabilities/\(set)")
                }
            }
            try container.running { (process) throws in
                try waitUntil("the mount") {
                    try process.mounts().contains { $0.target == target }
                }
                #expect(try Host.mounts(below: container.bundle).isEmpty)
            }
        }

        @Test("A tmpfs has its size and mode, and with tmpcopyup what was below it")
        func hasTemporary() throws {
            let (word, size) = (Place.randomWord(), Int.random(in: 2...20) * 4)
            let container = try Container(
                shell: "cat /data/sub/file; echo x > /data/new; exec sleep 1000"
            ) {
                $0.append(
                    Configuration.mount(
                        "/data", "tmpfs", "tmpfs", ["tmpcopyup", "size=\(size)k", "nosuid"]),
                    at: "mounts")
                $0.append(
                    Configuration.mount("/plain", "tmpfs", "tmpfs", ["mode=1700", "noexec"]),
                    at: "mounts")
            }
            try place().write(word, to: container.rootfs + "/data/sub/file")
            try container.running { (process) throws in
                try waitUntil("the copy") { container.log == word }
                let mounts = try process.mounts()
                let data = try #require(mounts.first { $0.target == "/data" })
                #expect(data.type == "tmpfs" && data.superOptions.contains("size=\(size)k"))
                #expect(data.options.contains("nosuid"))
                let plain = try #require(mounts.first { $0.target == "/plain" })
                #expect(plain.superOptions.contains("mode=1700"))
                #expect(plain.options.contains("noexec"))
                #expect(access(container.rootfs + "/data/new", F_OK) != 0)
            }
        }

        @Test("A bind mount's owners are shown as its mappings say", .needs(.idMappedMounts))
        func mapsOwners() throws {
            let base = Int.random(in: 100_000..<200_000)
            let file = try place().write("x", to: "volume/file")
            chown(file, 5, 6)
            let mappings: JSON = [
                ["containerID": 0, "hostID": .integer(base), "size": 65536]
            ]
            let container = try Container(shell: "stat -c %u:%g /volume/file") {
                $0.append(
                    [
                        "destination": "/volume", "type": "bind",
                        "source": .string(try place().directory + "/volume"),
                        "options": ["bind"], "uidMappings": mappings, "gidMappings": mappings,
                    ], at: "mounts")
            }
            #expect(try container.output() == "\(base + 5):\(base + 6)")
        }

        @Test("A read-only root can't be written to, and its mounts still can")
        func hasReadOnlyRoot() throws {
            for isReadOnly in [true, false] {
                let container = try Container {
                    $0[at: "root/readonly"] = .bool(isReadOnly)
                    $0.append(Configuration.mount("/tmp", "tmpfs", "tmpfs"), at: "mounts")
                }
                let name = "/" + Place.randomWord()
                let verdict = try container.attack("write-host", name, "x")
                #expect(verdict.gotThrough == !isReadOnly, "\(verdict)")
                #expect(try container.attack("write-host", "/tmp" + name, "x").gotThrough)
                #expect(access(container.rootfs + name, F_OK) == (isReadOnly ? -1 : 0))
            }
        }

        @Test(
            "The root's propagation is that of the configuration",
            .except(.runc, because: "it gives it to the mounts round the root only"))
        func hasRootPropagation() throws {
            for (name, word) in [
                ("private", nil), ("slave", nil), ("shared", "shared:"), ("", nil),
            ] as [(String, String?)] {
                let container = try Container {
                    if !name.isEmpty { $0[at: "linux/rootfsPropagation"] = .string(name) }
                }
                try container.running { (process) throws in
                    let root = try #require(process.mounts().first { $0.target == "/" })
                    let isShared = root.propagation.contains { $0.hasPrefix("shared:") }
                    #expect(isShared == (word != nil), "\(name): \(root)")
                }
            }
        }

        @Test("The root may be outside the bundle, absolute, or a link")
        func hasRootElsewhere() throws {
            let container = try Container(shell: "echo inside")
            container.config[at: "root/path"] = .string(container.rootfs)
            #expect(try container.output() == "inside")
            let other = try Container(shell: "echo inside")
            let link = other.bundle + "/link"
            symlink(other.rootfs, link)
            other.config[at: "root/path"] = .string(other.rootfs)
            #expect(try other.output() == "inside")
        }

        @Test("A tmpfs is everybody's, unless it covers a directory that isn't")
        func hasModeOfTmpfs() throws {
            let container = try Container(shell: "stat -c %a /new/place /old") {
                $0.append(Configuration.mount("/new/place", "tmpfs", "tmpfs"), at: "mounts")
                $0.append(Configuration.mount("/old", "tmpfs", "tmpfs"), at: "mounts")
            }
            mkdir(container.rootfs + "/old", 0o700)
            chmod(container.rootfs + "/old", 0o710)
            #expect(try container.output() == "1777\n710")
        }

        @Test("A path that is masked twice is masked once; a device that is a link stays one")
        func masksOnce() throws {
            let container = try Container(
                shell: "grep -c ' /twice ' /proc/self/mounts; readlink /dev/ptmx"
            ) {
                $0[at: "linux/maskedPaths"] = ["/twice", "/twice"]
                $0[at: "linux/devices"] = [
                    ["path": "/dev/ptmx", "type": "c", "major": 5, "minor": 2]
                ]
            }
            mkdir(container.rootfs + "/twice", 0o755)
            #expect(try container.output() == "1\npts/ptmx")
        }

        @Test("Masked paths are empty, read-only ones can't be written to")
        func masksPaths() throws {
            let container = try Container(
                shell:
                    "cat /etc/secret; ls -A /etc/folder | wc -l; echo x > /etc/fixed; cat /etc/fixed"
            ) {
                $0.append("/etc/secret", at: "linux/maskedPaths")
                $0.append("/etc/folder", at: "linux/maskedPaths")
                $0.append("/etc/nosuch", at: "linux/maskedPaths")
                $0.append("/etc/fixed", at: "linux/readonlyPaths")
                $0.append("/etc/nosuch", at: "linux/readonlyPaths")
            }
            try place().write("secret", to: container.rootfs + "/etc/secret")
            try place().write("secret", to: container.rootfs + "/etc/folder/file")
            try place().write("fixed", to: container.rootfs + "/etc/fixed")
            let outcome = try container.run()
            #expect(outcome.output == "0\nfixed", "\(outcome)")
        }

        @Test("What masks a path can't be taken away, and without the mask the path is open")
        func keepsMasks() throws {
            for isMasked in [true, false] {
                let container = try Container {
                    if !isMasked {
                        $0[at: "linux/maskedPaths"] = nil
                        $0[at: "linux/readonlyPaths"] = nil
                    }
                }
                let name = "/proc/sys/kernel/domainname"
                #expect(try container.attack("write-readonly", name).gotThrough == !isMasked)
                if isMasked {
                    container.config.append("/etc/secret", at: "linux/maskedPaths")
                    try place().write("secret", to: container.rootfs + "/etc/secret")
                    #expect(try container.attack("unmask", "/etc/secret").isStopped)
                }
            }
        }

        @Test("Devices are the default ones and those of the configuration")
        func hasDevices() throws {
            let (minor, user) = (Int.random(in: 1..<200), Int.random(in: 1..<9000))
            let container = try Container {
                $0[at: "linux/devices"] = [
                    [
                        "path": "/dev/own/block", "type": "b", "major": 7,
                        "minor": .integer(minor), "fileMode": 0o640, "uid": .integer(user),
                        "gid": 3,
                    ],
                    ["path": "/dev/own/fifo", "type": "p", "fileMode": 0o600],
                    ["path": "/dev/chars", "type": "c", "major": 1, "minor": 5],
                ]
            }
            try container.running { (process) throws in
                let kinds: [(String, mode_t, UInt32, UInt32)] = [
                    ("null", S_IFCHR, 1, 3), ("zero", S_IFCHR, 1, 5), ("full", S_IFCHR, 1, 7),
                    ("random", S_IFCHR, 1, 8), ("urandom", S_IFCHR, 1, 9), ("tty", S_IFCHR, 5, 0),
                    ("own/block", S_IFBLK, 7, UInt32(minor)), ("own/fifo", S_IFIFO, 0, 0),
                    ("chars", S_IFCHR, 1, 5),
                ]
                for (name, kind, major, minor) in kinds {
                    var status = stat()
                    #expect(stat(process.path("/dev/" + name), &status) == 0, "\(name)")
                    #expect(status.st_mode & S_IFMT == kind, "\(name)")
                    #expect(device_major(status.st_rdev) == major, "\(name)")
                    #expect(device_minor(status.st_rdev) == minor, "\(name)")
                    if name == "own/block" {
                        #expect(status.st_uid == user && status.st_gid == 3)
                        #expect(status.st_mode & 0o777 == 0o640)
                    }
                    if kind == S_IFCHR { #expect(status.st_mode & 0o777 == 0o666, "\(name)") }
                }
                for (name, target) in [
                    ("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("ptmx", "pts/ptmx"),
                ] {
                    let link = try FileManager.default.destinationOfSymbolicLink(
                        atPath: process.path("/dev/" + name))
                    #expect(link == target)
                }
            }
        }

        @Test("A mount over nothing that exists is made; one whose source is missing is refused")
        func refusesSources() throws {
            let missing = try place().directory + "/" + Place.randomWord()
            let container = try Container {
                $0.append(
                    Configuration.mount("/volume", "bind", missing, ["bind"]), at: "mounts")
            }
            try expectRefused(container, naming: missing)
            let type = Place.randomWord()
            let unknown = try Container {
                $0.append(Configuration.mount("/volume", type, "x"), at: "mounts")
            }
            try expectRefused(unknown, naming: "/volume")
        }
    }
}
