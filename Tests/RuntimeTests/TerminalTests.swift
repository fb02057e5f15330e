import CLinux
import Foundation
import OCISpec
import Testing

@testable import TestSupport

extension RuntimeSuite {
    /// `process.terminal`: a pseudoterminal of the container's own.
    @Suite("Terminals") struct TerminalTests {
        @Test(
            "run gives a terminal that is the container's, and hands keys and output through",
            .except(.crun, because: "its terminal keeps no size"))
        func runs() throws {
            let word = Place.randomWord()
            let terminal = try PseudoTerminal(rows: 31, columns: 93)
            // runc sets the size when the program runs already.
            let script = """
                tty
                until test "$(stty size)" = "31 93"; do sleep 0.01; done
                stty size
                read line
                echo got-$line
                exit 5
                """
            let container = try Container(shell: script) { $0[at: "process/terminal"] = true }
            try container.save()
            let before = terminal.settings
            let program = try Program(
                Runtime.command(["run", "--bundle", container.bundle, container.id]),
                terminal: terminal)
            try terminal.expect("/dev/pts/0")
            try terminal.expect("31 93")
            terminal.type(word + "\r")
            try terminal.expect("got-" + word)
            #expect(try program.wait().ending == .exited(5))
            #expect(terminal.settings == before)
        }

        @Test(
            "The terminal's descriptor goes to the console socket, with the size that was asked for"
        )
        func sends() throws {
            let server = try SocketServer(place().directory + "/console")
            let container = try Container(shell: "stty size; exec sleep 1000") {
                $0[at: "process/terminal"] = true
                $0[at: "process/consoleSize"] = ["height": 17, "width": 71]
            }
            container.options = ["--console-socket", server.path]
            try container.created { (process) throws in
                let message = try server.receive()
                #expect(message.descriptors.count == 1)
                let console = try Console(message)
                #expect(try container.start().code == 0)
                try console.expect("17 71")
                let link = try FileManager.default.destinationOfSymbolicLink(
                    atPath: "/proc/\(process.process)/fd/0")
                #expect(link == "/dev/pts/0")
                let mounts = try process.mounts()
                #expect(mounts.contains { $0.target == "/dev/console" && $0.type == "devpts" })
                // It leads a session, whose terminal this is.
                let words = try Observed.read("/proc/\(process.process)/stat").split(separator: " ")
                #expect(words[5] == "\(process.process)" && words[6] != "0")
            }
        }

        @Test("exec --tty has a terminal of its own, by the console socket too")
        func enters() throws {
            let container = try Container()
            try container.running { (_) throws in
                let server = try SocketServer(place().directory + "/console")
                let program = try container.exec(
                    ["--tty", "--detach", "--console-socket", server.path], "sh", "-c",
                    "tty; sleep 1000")
                #expect(program.code == 0, "\(program)")
                let console = try Console(server.receive())
                try console.expect("/dev/pts/0")
            }
        }

        @Test("A detached container with a terminal needs a socket; a socket needs a terminal")
        func refuses() throws {
            let container = try Container { $0[at: "process/terminal"] = true }
            let outcome = try container.runDetached()
            if Runtime.current != .crun {
                #expect(outcome.code != 0, "\(outcome)")
            }
            if outcome.code == 0 { try container.delete() }
            let other = try Container()
            other.options = ["--console-socket", try place().directory + "/nosuch"]
            let second = try other.create()
            if Runtime.current != .crun { #expect(second.code != 0, "\(second)") }
            if second.code == 0 { try other.delete() }
        }

        @Test("A terminal needs no place for /dev/console")
        func needsNoConsole() throws {
            let server = try SocketServer(place().directory + "/console")
            let container = try Container(shell: "tty; exec sleep 1000") {
                $0[at: "process/terminal"] = true
                $0[at: "root/readonly"] = true
                $0.remove(from: "mounts") { $0[at: "destination"] == "/dev" }
            }
            mkdir(container.rootfs + "/dev", 0o755)
            container.options = ["--console-socket", server.path]
            try container.created { (_) throws in
                let console = try Console(server.receive())
                #expect(try container.start().code == 0)
                try console.expect("/dev/pts/0")
            }
        }

        @Test("The owner of the terminal is the process's user")
        func isOwned() throws {
            let user = Int.random(in: 1000..<9000)
            let server = try SocketServer(place().directory + "/console")
            let container = try Container(shell: "stat -c %u $(tty); exec sleep 1000") {
                $0[at: "process/terminal"] = true
                $0[at: "process/user"] = ["uid": .integer(user), "gid": .integer(user)]
            }
            container.options = ["--console-socket", server.path]
            try container.created { (_) throws in
                let console = try Console(server.receive())
                #expect(try container.start().code == 0)
                try console.expect("\(user)")
            }
        }
    }
}

/// The descriptor of a terminal's keyboard and screen, as a runtime sends it.
private final class Console {
    private let descriptor: Int32
    private var shown = ""

    init(_ message: SocketServer.Message) throws {
        descriptor = try #require(message.descriptors.first)
        message.descriptors.dropFirst().forEach { close($0) }
        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
    }

    deinit { close(descriptor) }

    /// Waits until `text` is shown.
    func expect(_ text: String) throws {
        var buffer = [UInt8](repeating: 0, count: 1 << 12)
        try waitUntil("`\(text)` in `\(shown)`", 5) {
            let count = read(descriptor, &buffer, buffer.count)
            if count > 0 { shown += String(decoding: buffer[..<count], as: UTF8.self) }
            return shown.contains(text)
        }
    }
}
