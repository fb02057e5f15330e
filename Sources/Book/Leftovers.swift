import Foundation
import Subprocess
import SystemPackage

/// What the commands of a chapter leave behind, and how it goes away.
enum Leftovers {
    /// How the name of every lab begins.
    static let prefix = "/tmp/hull-lab-"

    /// Kills what runs in a lab, unmounts what is mounted there, and removes it, in this
    /// order: what runs could mount again, and what is mounted must not be emptied.
    ///
    /// - Returns: a line for each process and mount that was there.
    static func remove(_ lab: String) async -> [String] {
        var left = killProcesses(of: lab)
        for mount in mounts(in: lab).reversed() {
            left.append("left mounted: \(mount)")
            _ = try? await Tool.run(["umount", "--lazy", mount])
        }
        _ = try? await Tool.run(["rm", "-rf", "--one-file-system", lab])
        return left
    }

    /// Removes the labs whose owner was killed: nobody holds their lock.
    static func sweep() async {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/tmp")) ?? []
        for path in names.map({ "/tmp/" + $0 }) where path.hasPrefix(prefix) {
            var status = stat()
            guard lstat(path, &status) == 0, status.st_uid == geteuid(),
                status.st_mode & S_IFMT == S_IFDIR, time(nil) - status.st_ctim.tv_sec > 5,
                let directory = try? FileDescriptor.open(
                    path, .readOnly, options: [.directory, .noFollow, .closeOnExec])
            else { continue }
            if flock(directory.rawValue, LOCK_EX | LOCK_NB) == 0 { _ = await remove(path) }
            try? directory.close()
        }
    }

    /// A process belongs to a lab whose HULL_ROOT it has, whose files it runs or in whose
    /// directories it is. Its process group would not do: a daemon leaves that.
    private static func killProcesses(of lab: String) -> [String] {
        var left: [pid_t: String] = [:]
        for _ in 0..<50 {
            let found = processes(of: lab)
            if found.isEmpty { break }
            for process in found {
                left[process] = "left running: \(name(of: process))"
                kill(process, SIGKILL)
            }
            usleep(10_000)
        }
        return left.values.sorted()
    }

    private static func processes(of lab: String) -> [pid_t] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.compactMap { pid_t($0) }.filter { process in
            process != getpid() && belongs(process, to: lab)
        }
    }

    private static func belongs(_ process: pid_t, to lab: String) -> Bool {
        let links = ["cwd", "root", "exe"].compactMap {
            try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(process)/\($0)")
        }
        if links.contains(where: { $0 == lab || $0.hasPrefix(lab + "/") }) { return true }
        let environment = FileManager.default.contents(atPath: "/proc/\(process)/environ")
        return (environment ?? Data()).split(separator: 0).contains {
            $0.starts(with: "HULL_ROOT=\(lab)/".utf8)
        }
    }

    private static func name(of process: pid_t) -> String {
        let line = FileManager.default.contents(atPath: "/proc/\(process)/cmdline") ?? Data()
        return line.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
            .joined(separator: " ")
    }

    private static func mounts(in lab: String) -> [String] {
        let table = FileManager.default.contents(atPath: "/proc/self/mountinfo") ?? Data()
        return String(decoding: table, as: UTF8.self).split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ")
            guard fields.count > 4 else { return nil }
            let path = unescaped(fields[4])
            return path == lab || path.hasPrefix(lab + "/") ? path : nil
        }
    }

    /// See `proc_pid_mountinfo(5)`: a space is `\040`.
    private static func unescaped(_ field: Substring) -> String {
        String(field).replacing(/\\([0-7]{3})/) { match in
            UInt8(match.1, radix: 8).map { String(UnicodeScalar($0)) } ?? ""
        }
    }
}

/// A program of the system, run to its end.
enum Tool {
    /// Runs `words`, the first of which is found in PATH, and collects what it prints.
    static func run(_ words: [String]) async throws -> (succeeded: Bool, output: String) {
        let program = words[0]
        let result = try await Subprocess.run(
            program.contains("/") ? .path(FilePath(program)) : .name(program),
            arguments: Arguments(Array(words.dropFirst())),
            output: .string(limit: 1 << 20), error: .combinedWithOutput)
        let output = result.standardOutput.trimmingCharacters(in: .whitespacesAndNewlines)
        return (result.terminationStatus.isSuccess, output)
    }
}
