import Foundation
import Testing

@testable import Book

@Suite(.enabled(if: Project.isRoot, "a lab needs root")) struct LabTests {
    @Test func `a chapter's commands run in order in one directory`() async throws {
        let fixture = try Fixture([
            "chapters/01.md": """
            <!-- setup: echo hidden > file -->
            ```console
            # cat file; echo more >> file
            hidden
            # pwd; chroot rootfs sh -c 'whoami; cat /etc/group'
            /tmp/hull-lab-…/lab
            root
            …
            nogroup:…
            # printf 'no newline'; echo error >&2; exit 4
            no newlineerror
            [exit 4]
            ```
            Later:
            ```console
            # cat file
            hidden
            more
            $ id -u; echo mine > mine; cat mine; [ -w ~ ] && [ -w $HULL_ROOT ] && echo writable
            65534
            mine
            writable
            # nosuch
            bash: line 1: nosuch: command not found
            [exit 127]
            # kill -9 $$
            [exit 137]
            # cat; tty; echo $HULL_ROOT $LANG $TERM $NO_COLOR
            not a tty
            /tmp/hull-lab-…/state C.UTF-8 dumb 1
            ```
            <!-- not run: it would hurt -->
            ```console
            # exit 1
            ```

            """
        ])
        let report = await fixture.work(transcripts: true)
        #expect(report.problems.map(\.description) == [])
        #expect(report.warnings.isEmpty)
        #expect(report.commands == 8)
        #expect(report.notRun.map(\.line) == [32])
    }

    @Test func `refresh writes what the commands print, and then check is content`() async throws {
        let secret = UUID().uuidString
        let fixture = try Fixture([
            "chapters/01.md": "```console\n# echo \(secret); echo '# x'; pwd; false\nold\n```\n"
        ])
        let report = await fixture.work(transcripts: true)
        #expect(report.problems.map(\.line) == [3])
        #expect(await fixture.work(refresh: true, transcripts: true).isChanged)
        #expect(
            try fixture.read("chapters/01.md").hasSuffix(
                "\n\(secret)\n… x\n/tmp/hull-lab-…/lab\n[exit 1]\n```\n"))
        #expect(await fixture.work(transcripts: true).problems.isEmpty)
    }

    @Test func `a failing set-up is told`() async throws {
        let text = "<!-- setup: echo why; exit 3 -->\n```console\n# true\n```\n"
        let fixture = try Fixture(["chapters/01.md": text])
        let problem = try #require(await fixture.work(transcripts: true).problems.first)
        #expect(problem.line == 1)
        #expect(problem.message.contains("exit status 3.\nwhy"))
    }

    @Test func `a megabyte that is not UTF-8 arrives whole`() async throws {
        let fixture = try Fixture()
        _ = try await Lab.with(fixture.plan()) { lab in
            let outcome = try await lab.run(
                "head -c 1000000 /dev/zero | tr '\\0' '\\377'; echo", asUser: false)
            #expect(outcome.output.count == 1_000_001)
            #expect(Transcript.lines(outcome.output).count == 1)
        }
    }

    @Test func `a command that does not end is ended, with its children`() async throws {
        let fixture = try Fixture()
        let mark = "31.\(Int.random(in: 100_000...999_999))"
        _ = try await Lab.with(fixture.plan(timeLimit: .milliseconds(300))) { lab in
            await #expect(throws: Lab.Failure.self) {
                try await lab.run("sleep \(mark); echo", asUser: false)
            }
        }
        #expect(!isAnyRunning(mark))
    }

    @Test func `a command that prints without end is ended`() async throws {
        let fixture = try Fixture()
        _ = try await Lab.with(fixture.plan(outputLimit: 100_000)) { lab in
            await #expect(throws: Lab.Failure.self) { try await lab.run("yes", asUser: false) }
        }
    }

    @Test func `nothing stays: no process, no mount, no file of any mode`() async throws {
        let fixture = try Fixture()
        let mark = "32.\(Int.random(in: 100_000...999_999))"
        var path = ""
        let left = try await Lab.with(fixture.plan()) { lab in
            path = lab.path
            let outcome = try await lab.run(
                """
                mkdir closed 'a b'; touch closed/file; chmod 000 closed
                mount --bind /etc 'a b'
                setsid env -i sleep \(mark) & first=$!; sleep \(mark) & second=$!
                # Each is a shell at first.
                for process in $first $second; do
                    until grep -qaz '^sleep$' /proc/$process/cmdline; do sleep 0.01; done
                done
                echo done
                """, asUser: false)
            #expect(outcome.output == Array("done\n".utf8))
        }
        #expect(left.contains("left mounted: \(path)/lab/a b"))
        #expect(left.contains("left running: sleep \(mark)"))
        #expect(!isAnyRunning(mark))
        #expect(!FileManager.default.fileExists(atPath: path))
        #expect(FileManager.default.fileExists(atPath: "/etc/passwd"))
    }

    @Test func `a lab goes away when its body throws and when its task is cancelled`() async throws
    {
        let fixture = try Fixture()
        let plan = fixture.plan()
        let paths = AsyncStream.makeStream(of: String.self)
        let task = Task {
            _ = try await Lab.with(plan) { lab in
                paths.continuation.yield(lab.path)
                _ = try await lab.run("sleep 33", asUser: false)
            }
        }
        let path = await paths.stream.first { _ in true } ?? ""
        #expect(FileManager.default.fileExists(atPath: path))
        task.cancel()
        await #expect(throws: (any Error).self) { try await task.value }
        #expect(!FileManager.default.fileExists(atPath: path))
    }

    @Test func `the project's programs come first in PATH, also for the ordinary user`()
        async throws
    {
        let fixture = try Fixture(["products/hull": "#!/bin/sh\necho the hull\n"])
        chmod(fixture.root + "/products/hull", 0o755)
        chmod(fixture.root, 0o700)
        _ = try await Lab.with(fixture.plan()) { lab in
            let outcome = try await lab.run("hull", asUser: true)
            #expect(outcome.output == Array("the hull\n".utf8))
        }
    }

    private func isAnyRunning(_ mark: String) -> Bool {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.contains { name in
            let line = FileManager.default.contents(atPath: "/proc/\(name)/cmdline") ?? Data()
            return String(decoding: line, as: UTF8.self).contains("sleep\0\(mark)")
        }
    }
}
