import CLinux
import Foundation
import OCISpec
import Testing

@testable import TestSupport

extension RuntimeSuite {
    /// Capabilities, seccomp, and what an AppArmor or Intel RDT there isn't is answered with.
    @Suite("Privileges") struct PrivilegeTests {
        @Test("Each of the five sets holds what the configuration says")
        func hasCapabilities() throws {
            let sets: [(String, String, [Int])] = [
                ("bounding", "CapBnd", [0, 7, 10, 13]), ("permitted", "CapPrm", [7, 10, 13]),
                ("effective", "CapEff", [7, 10]), ("inheritable", "CapInh", [10, 13]),
                ("ambient", "CapAmb", [10]),
            ]
            let names = [
                0: "CAP_CHOWN", 7: "CAP_SETUID", 10: "CAP_NET_BIND_SERVICE", 13: "CAP_NET_RAW",
            ]
            let user = Int.random(in: 1000..<9000)
            let container = try Container {
                for (set, _, bits) in sets {
                    $0[at: "process/capabilities/" + set] = .strings(bits.compactMap { names[$0] })
                }
                $0[at: "process/user"] = ["uid": .integer(user), "gid": .integer(user)]
            }
            // A program without file capabilities, run by somebody else than root, is left with
            // its ambient ones.
            try container.running { (process) throws in
                let all = try process.capabilities()
                #expect(all["CapBnd"] == mask([0, 7, 10, 13]), "\(all)")
                #expect(all["CapInh"] == mask([10, 13]), "\(all)")
                #expect(all["CapAmb"] == mask([10]), "\(all)")
                #expect(all["CapPrm"] == mask([10]) && all["CapEff"] == mask([10]), "\(all)")
            }
            // Root keeps what it had; an exec adds nothing, as there are no new privileges.
            container.config[at: "process/user"] = ["uid": 0, "gid": 0]
            container.config[at: "process/capabilities/ambient"] = nil
            container.config[at: "process/capabilities/inheritable"] = nil
            try container.running { (process) throws in
                let all = try process.capabilities()
                #expect(all["CapInh"] == 0 && all["CapAmb"] == 0, "\(all)")
                #expect(all["CapBnd"] == mask([0, 7, 10, 13]), "\(all)")
                #expect(all["CapPrm"] == mask([7, 10, 13]), "\(all)")
                #expect(all["CapEff"] == mask([7, 10, 13]), "\(all)")
            }
        }

        private func mask(_ bits: [Int]) -> UInt64 { bits.reduce(0) { $0 | 1 << UInt64($1) } }

        @Test("Without capabilities in the configuration, there are none")
        func hasNone() throws {
            let container = try Container {
                $0[at: "process/capabilities"] = .object([])
            }
            try container.running { (process) throws in
                let all = try process.capabilities()
                #expect(Set(all.values) == [0], "\(all)")
            }
        }

        @Test(
            "What can't be granted is warned about, and the rest is",
            .except(.runc, .crun, because: "theirs are older than that rule"))
        func warnsOfCapability() throws {
            let container = try Container {
                $0[at: "process/args"] = ["grep", "Cap", "/proc/self/status"]
                $0[at: "process/capabilities/bounding"] = ["CAP_KILL"]
                $0[at: "process/capabilities/inheritable"] = ["CAP_KILL", "CAP_CHOWN"]
                $0[at: "process/capabilities/ambient"] = ["CAP_KILL", "CAP_SYSLOG"]
            }
            let outcome = try container.run()
            #expect(outcome.code == 0, "\(outcome)")
            for name in ["CAP_CHOWN can't be inheritable", "CAP_SYSLOG can't be ambient"] {
                #expect(outcome.errors.contains("warning: capability " + name), "\(outcome)")
            }
            for set in ["CapInh", "CapAmb"] {
                #expect(outcome.output.contains(set + ":\t0000000000000020\n"), "\(outcome)")
            }
        }

        @Test("A capability that there isn't is refused or passed over, never taken for another")
        func refusesCapability() throws {
            let container = try Container {
                for set in ["bounding", "permitted", "effective"] {
                    $0[at: "process/capabilities/" + set] = ["CAP_CHOWN", "CAP_NOSUCH"]
                }
            }
            let outcome = try container.runDetached()
            if outcome.code == 0 {
                #expect(try container.process().capabilities()["CapEff"] == 1)
                try container.delete()
            }
        }

        @Test(
            "What root of the host could do, root of a container can't",
            arguments: [
                ["mount"], ["load-module"], ["set-clock"], ["reboot"], ["dmesg"], ["io-ports"],
                ["open-handle", "/"], ["bpf"], ["host-device"], ["release-agent"],
                ["leave-cgroup"], ["fresh-proc"], ["remount-writable", "/sys"],
                ["escape-chroot"], ["old-root"], ["open-descriptors"],
            ])
        func stops(words: [String]) throws {
            let container = try Container()
            try place().addProbe(to: container.rootfs)
            container.config[at: "process/args"] = .strings(["/bin/hull-probe"] + words)
            let outcome = try container.run()
            // 0 would be: got through. 2 is where there is nothing to attack.
            #expect(outcome.code == 1 || outcome.code == 2, "\(outcome)")
        }

        @Test("A container that may do everything mounts; one as usual doesn't")
        func isPrivileged() throws {
            for isPrivileged in [true, false] {
                let container = try Container {
                    guard isPrivileged else { return }
                    for set in ["bounding", "permitted", "effective"] {
                        $0[at: "process/capabilities/" + set] = ["CAP_SYS_ADMIN"]
                    }
                }
                let verdict = try container.attack("mount")
                #expect(verdict.gotThrough == isPrivileged, "\(verdict)")
            }
        }

        // Seccomp ------------------------------------------------------------------

        private func filter(_ rules: JSON...) -> JSON {
            [
                "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
                "syscalls": .array(rules),
            ]
        }

        @Test("A filtered call fails with the errno of its rule")
        func filters() throws {
            let container = try Container(shell: "mkdir /new; echo $?; rmdir /old; echo $?") {
                $0[at: "linux/seccomp"] = filter(
                    ["names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28],
                    ["names": ["rmdir"], "action": "SCMP_ACT_ERRNO"])
            }
            mkdir(container.rootfs + "/old", 0o755)
            let outcome = try container.run()
            #expect(outcome.output == "1\n1\n", "\(outcome)")
            #expect(outcome.errors.contains("No space left"), "\(outcome)")
            #expect(outcome.errors.contains("Operation not permitted"), "\(outcome)")
            container.config[at: "process/args"] = ["sleep", "1000"]
            try container.running { (process) throws in
                #expect(try process.status("Seccomp") == ["2"])
                let entered = try container.exec([], "mkdir", "/new")
                #expect(entered.errors.contains("No space left"), "\(entered)")
            }
            container.config[at: "linux/seccomp"] = nil
            try container.running { (process) throws in
                #expect(try process.status("Seccomp") == ["0"])
            }
        }

        @Test("A rule counts only for the arguments it names")
        func filtersArguments() throws {
            // kill(2) with signal 10 is refused, with any other not.
            let container = try Container(
                shell: "trap : USR1 USR2; kill -USR2 $$ && echo two; kill -USR1 $$ || echo one"
            ) {
                $0[at: "linux/seccomp"] = filter([
                    "names": ["kill"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1,
                    "args": [["index": 1, "value": 10, "op": "SCMP_CMP_EQ"]],
                ])
            }
            #expect(try container.output() == "two\none")
        }

        @Test("An action that kills ends the program with SIGSYS")
        func filtersFatally() throws {
            let container = try Container {
                $0[at: "process/args"] = ["mkdir", "/new"]
                $0[at: "linux/seccomp"] = filter([
                    "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL_PROCESS",
                ])
            }
            #expect(try container.run().ending == .exited(128 + 31))
        }

        @Test("A call that no filter of this architecture knows is passed over, an action isn't")
        func refusesFilters() throws {
            let container = try Container(shell: "echo x") {
                $0[at: "linux/seccomp"] = filter([
                    "names": ["nosuchcall", "mkdir"], "action": "SCMP_ACT_ERRNO",
                ])
            }
            #expect(try container.output() == "x")
            container.config[at: "linux/seccomp/defaultAction"] = "SCMP_ACT_NOSUCH"
            try expectRefused(container, naming: "SCMP_ACT_NOSUCH")
        }

        @Test("A listener gets the filter's descriptor and the container's state")
        func listens() throws {
            let path = try place().directory + "/listener"
            let note = Place.randomWord()
            let server = try SocketServer(path)
            let script = """
                while ! test -e /go; do sleep 0.01; done
                mkdir /new
                echo $?
                exec sleep 1000
                """
            let container = try Container(shell: script) {
                $0[at: "linux/seccomp"] = filter([
                    "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY",
                ])
                $0[at: "linux/seccomp/listenerPath"] = .string(path)
                $0[at: "linux/seccomp/listenerMetadata"] = .string(note)
            }
            try container.running { (process) throws in
                let message = try server.receive()
                try expectState(message, container, process.process)
                #expect(try JSON(output: message.text)[at: "metadata"]?.string == note)
                // The descriptor is the filter's: the call waits for our answer.
                try place().write("", to: container.rootfs + "/go")
                message.descriptors.forEach(answer)
                try waitUntil("the answer") { container.log == "1\n" }
                #expect(container.errors.contains("No space left"), "\(container.errors)")
            }
        }

        /// Expects the specification's "container process state".
        private func expectState(
            _ message: SocketServer.Message, _ container: Container, _ process: pid_t
        ) throws {
            let state = try JSON(output: message.text)
            #expect(state[at: "fds"]?.elements == ["seccompFd"], "\(state)")
            #expect(message.descriptors.count == 1)
            #expect(state[at: "state/id"]?.string == container.id)
            #expect(state[at: "state/bundle"]?.string == container.bundle)
            #expect(state[at: "pid"]?.number == Int(process))
        }

        /// Waits for a call and lets it fail with ENOSPC; closes the listener.
        private func answer(_ listener: Int32) {
            defer { close(listener) }
            var waiting = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
            guard poll(&waiting, 1, 3000) == 1 else { return }
            var (id, process, number): (UInt64, UInt32, Int32) = (0, 0, 0)
            var arguments = [UInt64](repeating: 0, count: 6)
            if seccomp_receive(listener, &id, &process, &number, &arguments) == 0 {
                _ = seccomp_answer(listener, id, 0, -ENOSPC)
            }
        }

        @Test("A listener that nobody answers at is a failure that names it")
        func misses() throws {
            let path = try place().directory + "/" + Place.randomWord()
            let container = try Container {
                $0[at: "linux/seccomp"] = filter([
                    "names": ["mkdir"], "action": "SCMP_ACT_NOTIFY",
                ])
                $0[at: "linux/seccomp/listenerPath"] = .string(path)
            }
            try expectRefused(container, naming: path)
        }

        @Test(
            "What the process needs before there is a listener can't be asked about",
            .except(.runc, .crun, because: "they need other calls"))
        func refusesEarlyQuestions() throws {
            let path = try place().directory + "/" + Place.randomWord()
            let server = try SocketServer(path)
            for (call, isKept) in [("sendmsg", true), ("setresuid", false)] {
                let container = try Container {
                    $0[at: "process/noNewPrivileges"] = .bool(isKept)
                    $0[at: "linux/seccomp"] = filter([
                        "names": .strings([call]), "action": "SCMP_ACT_NOTIFY",
                    ])
                    $0[at: "linux/seccomp/listenerPath"] = .string(server.path)
                }
                try expectRefused(container, naming: "SCMP_ACT_NOTIFY for " + call)
            }
        }

        @Test("AppArmor, SELinux and Intel RDT are refused where the machine has none")
        func refusesOthers() throws {
            let modules = (try? Observed.read("/sys/kernel/security/lsm")) ?? ""
            if !modules.contains("apparmor"), Runtime.current != .crun {
                try expectRefused(
                    Container { $0[at: "process/apparmorProfile"] = "own-profile" },
                    naming: "AppArmor")
            }
            if !modules.contains("selinux"), Runtime.current == .hull {
                try expectRefused(
                    Container { $0[at: "process/selinuxLabel"] = "system_u:system_r:own_t" },
                    naming: "SELinux")
            }
            if access("/sys/fs/resctrl/schemata", F_OK) != 0, Runtime.current == .hull {
                try expectRefused(
                    Container { $0[at: "linux/intelRdt"] = ["closID": "own"] },
                    naming: "intelRdt")
            }
        }
    }
}
