import Foundation
import Testing

extension OrchestrationSuite {
    /// Three dockerds of one Docker Swarm, as `labs/swarm` has them: a service is made and scaled,
    /// a node is killed and its tasks go on elsewhere, and an update is rolled out.
    @Suite(.serialized) struct SwarmTests {
        private let place: Place
        private let output: String

        init() throws {
            place = try Place("swarm")
            output = try place.makeFile("output")
        }

        private func start() throws -> Process {
            let lab = Process()
            // The threads here have signals blocked, and a child has what its parent has.
            let unblock =
                "use POSIX; sigprocmask(SIG_SETMASK, POSIX::SigSet->new); exec @ARGV or die $!"
            lab.executableURL = URL(fileURLWithPath: "/usr/bin/perl")
            lab.arguments =
                ["-e", unblock, "/bin/bash", labs + "/swarm", "--yes"]
                + ["--runtime", runtimeUnderTest]
            lab.environment = ["PATH": "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"]
            lab.standardInput = FileHandle.nullDevice
            lab.standardOutput = FileHandle(forWritingAtPath: output)
            lab.standardError = lab.standardOutput
            try lab.run()
            return lab
        }

        private func text() throws -> String { try String(contentsOfFile: output, encoding: .utf8) }

        @Test func `a service survives the death of a node, and is updated without a pause`() throws
        {
            let before = try leftovers()
            let lab = try start()
            defer { if lab.isRunning { lab.terminate() } }
            try waitUntil("the lab's end; so far:\n\((try? text()) ?? "")", 240) { !lab.isRunning }
            let said = try text()
            #expect(lab.terminationStatus == 0, "\(said)")
            #expect(!said.contains("✘"), "\(said)")
            for step in [
                "node1's default runtime is ours", "three nodes are ready",
                "three tasks run, one a node", "3 tasks of version 1 have answered",
                "five tasks run", "five tasks run, none on node3",
                "5 tasks of version 1 have answered", "five tasks run the new image",
                "at least four ran at any time", "5 tasks of version 2 have answered",
                "node1 answers", "node2 answers",
            ] {
                #expect(said.contains("✔ \(step)\n"), "\(step)")
            }
            #expect(try leftovers() == before)
        }

        @Test(arguments: [SIGTERM, SIGINT])
        func `the lab takes everything along when it is interrupted`(signal: Int32) throws {
            let before = try leftovers()
            let lab = try start()
            defer { if lab.isRunning { lab.terminate() } }
            try waitUntil("a swarm", 60) { try text().contains("docker swarm join") }
            kill(lab.processIdentifier, signal)
            try waitUntil("its end", 20) { !lab.isRunning }
            #expect(lab.terminationStatus == 128 + signal)
            #expect(try leftovers() == before)
        }

        /// The groups of nodes, the directories of labs, and who runs dockerd.
        private func leftovers() throws -> String {
            try shell(
                """
                find /sys/fs/cgroup/ -maxdepth 2 -name 'hull-node-*' | sort
                find /var/tmp -maxdepth 1 -name 'hull-swarm-*'
                pgrep -x dockerd || true
                """)
        }
    }
}
