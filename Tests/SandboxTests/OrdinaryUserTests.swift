import CLinux
import Foundation
import Testing

@testable import TestSupport

extension KernelSuite {
    /// Everything up to here without privileges.
    @Suite("An ordinary user") struct OrdinaryUserTests {
        /// Each way to run, with ids of the administrator's and with one's own only.
        private static let ways = Runner.allCases.flatMap { [($0, true), ($0, false)] }

        @Test("Runs every stage, and gets the command's exit code", arguments: ways)
        func runs(_ runner: Runner, _ hasRange: Bool) throws {
            let user = try TestUser(hasRange: hasRange)
            let code = Int32.random(in: 1...100)
            let script = "id -u; head -n 1 /etc/passwd; exit \(code)"
            let got = try user.run(
                runner.command(rootfs: user.rootfs(), ["/bin/sh", "-c", script]))
            #expect(got.code == code, "\(got)")
            #expect(got.lines == ["0", "root:x:0:0:root:/root:/bin/sh"], "\(got)")
            #expect(remains(in: user.state).isEmpty)
        }

        @Test("Root inside is the user outside, and the ids of the range nobody else's")
        func isMapped() throws {
            for hasRange in [true, false] {
                let user = try TestUser(hasRange: hasRange)
                let running = try user.start(
                    Runner.stage05.command(rootfs: user.rootfs(), ["sleep", "1000"]))
                let sandboxed = try running.sandboxed(named: "sleep")
                #expect(
                    try sandboxed.namespace("user") != Observed.host.namespace("user"))
                #expect(try sandboxed.status("Uid") == .init(repeating: "\(user.id)", count: 4))
                let map = try Observed.read("/proc/\(sandboxed.process)/uid_map")
                let numbers = map.split(whereSeparator: \.isWhitespace).compactMap { uid_t($0) }
                let range: [uid_t] = user.range.map { [1, $0, 65536] } ?? []
                #expect(numbers == [0, user.id, 1] + range)
                kill(sandboxed.process, SIGKILL)
                _ = try running.wait()
            }
        }

        @Test("Files belong to the user outside, or to the user's range")
        func ownsFiles() throws {
            let user = try TestUser(hasRange: true)
            let keep = user.home + "/keep"
            let got = try user.run(
                Runner.stage03.command(
                    ["--keep", keep], rootfs: user.rootfs(),
                    ["sh", "-c", "touch /own; touch /other; chown 5:5 /other"]))
            #expect(got.code == 0, "\(got)")
            #expect(try TestUser.owner(of: keep + "/upper/own") == user.id)
            #expect(try TestUser.owner(of: keep + "/upper/other") == (user.range ?? 0) + 4)
        }

        @Test("Imports an image, runs it, keeps and removes containers", arguments: [true, false])
        func usesImages(_ hasRange: Bool) throws {
            let user = try TestUser(hasRange: hasRange)
            let name = Place.randomWord()
            let rootfs = try user.rootfs()
            let imported = try user.run([Products.hull, "image", "import", rootfs, name])
            #expect(imported.code == 0, "\(imported)")
            // What only its owner may enter, and the user is not.
            let script = "mkdir /d; touch /d/f; chown 9 /d || test $? = 1; chmod 700 /d; id -u"
            let ran = try user.run([Products.hull, "run", name, "sh", "-c", script])
            #expect(ran.code == 0 && ran.line == "0", "\(ran)")
            let listed = try user.run([Products.hull, "ps", "-a"])
            let container = try #require(listed.lines.last?.split(separator: " ").first)
            #expect(listed.lines.last?.contains(name) == true, "\(listed)")
            let removed = try user.run([Products.hull, "rm", String(container)])
            #expect(removed.code == 0, "\(removed)")
            let left = try FileManager.default.contentsOfDirectory(
                atPath: user.state + "/containers")
            #expect(left.isEmpty)
        }

        @Test("A root file system of somebody else's can be run, if not written")
        func runsOthers() throws {
            let rootfs = try place().rootfs()
            for hasRange in [true, false] {
                let user = try TestUser(hasRange: hasRange)
                for runner in [Runner.stage03, .stage05, .hull] {
                    let got = try user.run(
                        runner.command(rootfs: rootfs, ["sh", "-c", "echo x > /etc/new || id -u"]))
                    #expect(got.line == "0", "\(got)")
                }
            }
        }

        @Test("Without a range, files of others in an image become the user's")
        func importsOwners() throws {
            let user = try TestUser()
            let rootfs = try user.rootfs()
            chown(rootfs + "/etc/group", 7, 8)
            let archive = try place().directory + "/image.tar"
            #expect(try run(["tar", "-C", rootfs, "-cf", archive, "."]).code == 0)
            let name = Place.randomWord()
            let imported = try user.run([Products.hull, "image", "import", archive, name])
            #expect(imported.code == 0, "\(imported)")
            let ran = try user.run(
                [Products.hull, "run", "--rm", name, "stat", "-c", "%u:%g %F", "/etc/group"])
            #expect(ran.line == "0:0 regular file", "\(ran)")
        }

        @Test("What a killed owner leaves, whoever owns it, the next command clears")
        func sweeps() throws {
            let user = try TestUser(hasRange: true)
            let rootfs = try user.rootfs()
            let script = "mkdir /d; touch /d/f; chown -R 9 /d; chmod 700 /d; exec sleep 1000"
            let running = try user.start(
                Runner.stage03.command(rootfs: rootfs, ["sh", "-c", script]))
            let sandboxed = try running.sandboxed(named: "sleep")
            kill(running.process, SIGKILL)
            _ = try running.wait()
            try waitUntil("the sandbox's end") { !sandboxed.isAlive }
            #expect(!remains(in: user.state).isEmpty)
            #expect(try user.run(Runner.stage03.command(rootfs: rootfs, ["true"])).code == 0)
            #expect(remains(in: user.state).isEmpty)
        }

        @Test("The caller's groups are left where the kernel allows it, and else stay closed doors")
        func keepsGroups() throws {
            for hasRange in [true, false] {
                var user = try TestUser(hasRange: hasRange)
                let group = gid_t.random(in: 70_000..<90_000)
                user.groups = [group]
                let closed = try place().write("x", to: Place.randomWord(), mode: 0o604)
                chown(closed, 0, group)
                let running = try user.start(
                    Runner.stage05.command(rootfs: user.rootfs(), ["sleep", "1000"]))
                let sandboxed = try running.sandboxed(named: "sleep")
                #expect(try sandboxed.status("Groups") == (hasRange ? [] : ["\(group)"]))
                kill(sandboxed.process, SIGKILL)
                _ = try running.wait()
                if !hasRange {
                    // A group that closes a door cannot be left by going into a sandbox.
                    let got = try user.run(
                        Runner.stage05.command(
                            ["-v", closed + ":/closed"], rootfs: user.rootfs(), ["cat", "/closed"]))
                    #expect(got.code == 1, "\(got)")
                }
            }
        }

        @Test("A machine that allows no user namespaces is named, with the switch")
        func needsNamespaces() throws {
            let user = try TestUser()
            let rootfs = try user.rootfs()
            let off = "echo 0 > /proc/sys/user/max_user_namespaces; exec \"$@\""
            for runner in Runner.allCases {
                let got = try run(
                    [
                        "unshare", "--user", "--map-user=1234", "--map-group=1234", "--keep-caps",
                        "setpriv", "--inh-caps=+all", "--ambient-caps=+all", "sh", "-c", off, "sh",
                        "setpriv", "--inh-caps=-all", "--ambient-caps=-all",
                    ] + runner.command(rootfs: rootfs, ["true"]))
                expectOneLine(got, code: 125, naming: "namespace", "ENOSPC")
                #expect(got.errors.contains("sysctl -w user.max_user_namespaces"), "\(got)")
            }
            #expect(try remains(in: place().state).isEmpty)
        }

        @Test("Ranges that nobody hands out are named, and nothing is left")
        func needsHelpers() throws {
            var user = try TestUser(hasRange: true)
            // Without its set-user-ID bit newuidmap may do no more than its caller.
            let plain = try place().directory + "/newuidmap"
            try FileManager.default.copyItem(atPath: "/usr/bin/newuidmap", toPath: plain)
            chmod(plain, 0o755)
            user.preparation = "mount --bind \(plain) /usr/bin/newuidmap"
            let got = try user.run(Runner.stage03.command(rootfs: user.rootfs(), ["true"]))
            expectOneLine(got, code: 125, naming: "newuidmap")
            #expect(remains(in: user.state).isEmpty)
        }

        @Test("Lines of /etc/subuid that mean nothing are passed over")
        func readsRanges() throws {
            let user = try TestUser(
                hasRange: true, lines: "# note\n\nx\n:::\nsomebody:1:2\nroot:0:65536\n")
            let got = try user.run(
                Runner.stage03.command(rootfs: user.rootfs(), ["cat", "/proc/self/uid_map"]))
            #expect(got.lines.count == 2 && got.output.contains("\(user.range ?? 0)"), "\(got)")
        }

        @Test("Maps of one's own take root, and that is said")
        func cannotMap() throws {
            let user = try TestUser(hasRange: true)
            let got = try user.run(
                Runner.stage05.command(
                    ["--uid-map", "0:1:100"], rootfs: user.rootfs(), ["true"]))
            expectOneLine(got, code: 125, naming: "0:1:100", "EPERM")
            #expect(got.errors.contains("root"), "\(got)")
        }

        @Test("Where the kernel makes no overlay for the user, fuse-overlayfs does")
        func fallsBack() throws {
            guard kernelHas("FUSE", { access("/dev/fuse", F_OK) == 0 }) else { return }
            var user = try TestUser(hasRange: true)
            let rootfs = try user.rootfs()
            let layers = try place().makeDirectory("layers")
            for name in ["lower", "upper", "work"] {
                _ = try place().makeDirectory("layers/" + name)
            }
            // An upper layer on an overlay: no kernel takes that.
            let prepare = """
                mount -t overlay -o lowerdir=\(layers)/lower,upperdir=\(layers)/upper,\
                workdir=\(layers)/work overlay \(user.home)
                chown \(user.id):\(user.id) \(user.home)
                """
            let devices = try place().makeDirectory("devices")
            let open = """
                mount -t tmpfs tmpfs \(devices); mknod -m 666 \(devices)/fuse c 10 229
                mount --bind \(devices)/fuse /dev/fuse
                """
            let script = "echo new > /etc/passwd; rm -r /var; grep -c fuse /proc/self/mounts"
            let command = Runner.stage03.command(rootfs: rootfs, ["sh", "-c", script])
            let shut = "chmod 600 \(devices)/fuse"
            user.preparation = [prepare, open, shut].joined(separator: "\n")
            expectOneLine(try user.run(command), code: 125, naming: "merged", "EINVAL")
            user.preparation = [prepare, open].joined(separator: "\n")
            let got = try user.run(command)
            #expect(got.code == 0 && got.line == "1", "\(got)")
            #expect(try Observed.read(rootfs + "/etc/passwd").hasPrefix("root:"))
            #expect(remains(in: layers + "/upper/state").isEmpty)
        }

        @Test("pasta leads in to published ports and out to others", arguments: [true, false])
        func hasNetwork(_ hasRange: Bool) throws {
            guard kernelHas("tun", { access("/dev/net/tun", F_OK) == 0 }) else { return }
            let user = try networkedUser(hasRange)
            let rootfs = try user.rootfs()
            let word = Place.randomWord()
            for runner in [Runner.stage05, .hull] {
                let port = UInt16.random(in: 20_000...60_000)
                let other = Place.randomWord()
                let script = """
                    while :; do echo \(word) | nc -l -p 80; done &
                    read line
                    until sleep 1 | nc -w 2 198.51.100.1 77 | grep \(other); do :; done
                    """
                let running = try user.start(
                    runner.command(
                        (runner == .hull ? ["-i"] : [])
                            + ["--init", "-p", "127.0.0.1:\(port):80"], rootfs: rootfs,
                        ["sh", "-c", script]), input: .pipe)
                _ = try running.sandboxed(named: "nc")
                let host = ["nsenter", "-t", "\(running.process)", "-n"]
                let listener = try Program(
                    host + ["sh", "-c", "while :; do echo \(other) | busybox nc -l -p 77; done"])
                defer { kill(-listener.process, SIGKILL) }
                try waitUntil("the word through the port") {
                    // With an end of input at once, pasta may lose the answer.
                    let client = "sleep 1 | busybox nc -w 2 127.0.0.1 \(port)"
                    return try run(host + ["sh", "-c", client]).line == word
                }
                running.closeInput()
                let got = try running.wait(30)
                #expect(got.line == other, "\(got)")
                #expect(remains(in: user.state).isEmpty)
            }
        }

        @Test("pasta goes with a killed owner, and says what it cannot do")
        func endsNetwork() throws {
            guard kernelHas("tun", { access("/dev/net/tun", F_OK) == 0 }) else { return }
            let user = try networkedUser(true)
            let rootfs = try user.rootfs()
            // Where nothing is said of a network, it is pasta's.
            let running = try user.start([Products.identity, rootfs, "sleep", "1000"])
            let sandboxed = try running.sandboxed(named: "sleep")
            let all = Observed(process: running.process).children.map(Observed.init(process:))
            let pasta = try #require(all.first { $0.name.hasPrefix("pas") })
            #expect(try sandboxed.namespace("net") != pasta.namespace("net"))
            kill(running.process, SIGKILL)
            _ = try running.wait()
            try waitUntil("pasta's end") { !pasta.isAlive && !sandboxed.isAlive }
            for options in [
                ["-p", "1:80"], ["--network", "bridge"], ["--network", "macvlan:lo"],
            ] {
                let got = try user.run(Runner.stage05.command(options, rootfs: rootfs, ["true"]))
                expectOneLine(got, code: 125, naming: options[0] == "-p" ? "pasta" : options[1])
                #expect(remains(in: user.state).isEmpty)
            }
        }

        /// On a machine with one link, a default route and another address, and a tun for all.
        private func networkedUser(_ hasRange: Bool) throws -> TestUser {
            var user = try TestUser(hasRange: hasRange)
            let devices = try place().makeDirectory("devices")
            user.hasOwnNetwork = true
            user.preparation = """
                ip link set lo up; ip address add 198.51.100.1/32 dev lo
                ip link add ext0 type veth peer name ext1
                ip address add 203.0.113.2/24 dev ext0
                ip link set ext0 up; ip link set ext1 up; ip route add default via 203.0.113.1
                mount -t tmpfs tmpfs \(devices); mknod -m 666 \(devices)/tun c 10 200
                mount --bind \(devices)/tun /dev/net/tun
                """
            return user
        }
    }
}
