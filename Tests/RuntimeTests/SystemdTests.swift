import Foundation
import OCISpec
import Testing

@testable import TestSupport

extension RuntimeSuite {
    /// `--systemd-cgroup` with a `busctl(1)` that writes down what it is asked for.
    @Suite(
        "systemd's cgroups", .except(.runc, .crun, because: "they speak D-Bus themselves"),
        .disabled(if: access("/run/systemd/system", F_OK) == 0, "a real systemd would be meant"))
    struct SystemdTests {
        /// Who asks is told that all is well; the process stays where it is, so that the runtime
        /// is killed while it waits for the scope.
        @Test("A scope is asked for with the slice, the process and the limits of the bundle")
        func asksForScope() throws {
            let log = try place().directory + "/asked"
            try place().write(
                "#!/bin/sh\nprintf '%s\\n' \"$@\" >>'\(log)'\n", to: "tools/busctl", mode: 0o755)
            let name = Place.randomWord()
            let container = try Container {
                $0[at: "linux/cgroupsPath"] = .string("user-hull.slice:tests:\(name)")
                $0[at: "linux/resources/memory"] = ["limit": 67_108_864]
                $0[at: "linux/resources/pids"] = ["limit": 33]
                $0[at: "linux/resources/cpu"] = ["quota": 20000, "period": 100_000, "shares": 512]
            }
            try container.save()
            // A systemd as far as sd_booted(3) can tell, for this one command.
            let script = """
                mount -t tmpfs tmpfs /run
                mkdir -p /run/systemd/system
                PATH="$1:$PATH"
                shift
                exec timeout -s KILL 3 "$@"
                """
            _ = try TestSupport.run(
                [
                    "unshare", "--mount", "sh", "-ec", script, "sh",
                    place().directory + "/tools",
                ]
                    + Runtime.command(
                        [
                            "--systemd-cgroup", "run", "--bundle", container.bundle, container.id,
                        ]))
            // Whoever was killed left it to be cleared away.
            let deleted = try container.delete()
            #expect(deleted.code == 0, "\(deleted)")
            let asked = try Observed.read(log).split(separator: "\n").map(String.init)
            #expect(
                asked.starts(with: [
                    "call", "--quiet", "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                    "org.freedesktop.systemd1.Manager", "StartTransientUnit", "ssa(sv)a(sa(sv))",
                    "tests-\(name).scope", "replace",
                ]), "\(asked)")
            func holds(_ property: String...) -> Bool {
                asked.indices.contains { asked[$0...].starts(with: property) }
            }
            #expect(holds("Slice", "s", "user-hull.slice"), "\(asked)")
            #expect(holds("Delegate", "b", "true"), "\(asked)")
            #expect(holds("PIDs", "au", "1"), "\(asked)")
            #expect(holds("MemoryLimit", "t", "67108864") || holds("MemoryMax", "t", "67108864"))
            #expect(holds("TasksMax", "t", "33"), "\(asked)")
            #expect(holds("CPUQuotaPerSecUSec", "t", "200000"), "\(asked)")
            #expect(holds("CPUShares", "t", "512") || holds("CPUWeight", "t", "20"), "\(asked)")
        }

        @Test("A path that is none of systemd's, and a machine without it, are refused")
        func refuses() throws {
            let container = try Container(shell: "true")
            container.globalOptions = ["--systemd-cgroup"]
            try expectRefused(container, naming: "systemd")
        }
    }
}
