import Foundation
import Subprocess
import SystemPackage

/// A fresh directory in which the commands of one chapter run.
///
///     /tmp/hull-lab-k3J9dQ      locked by us: one that nobody locks is somebody's leftover
///     ├── bin                   the project's programs, first in PATH
///     ├── home, home-user       HOME of root and of the ordinary user
///     ├── lab                   where commands start
///     │   └── rootfs            made by labs/make-rootfs
///     └── state, state-user     HULL_ROOT
///
/// The programs are linked into it because the ordinary user may be unable to enter the
/// directory the project is in, such as root's home.
struct Lab {
    /// What a lab is made from.
    struct Plan: Sendable {
        /// The top of the project.
        let root: String
        /// Where its programs are.
        let products: String
        /// The ordinary user.
        var user: UInt32 = 65534
        /// How long a command may take.
        var timeLimit: Duration = .seconds(60)
        /// How many bytes it may print.
        var outputLimit = 16 << 20
    }

    /// What came of a command.
    struct Outcome {
        let output: [UInt8]
        let exitCode: Int
    }

    /// What ended a command before it ended.
    enum Failure: Error, CustomStringConvertible {
        case tookTooLong(Duration)
        case printedTooMuch(bytes: Int)
        case setUp(String)

        var description: String {
            switch self {
            case .tookTooLong(let limit): "this was still running after \(limit)."
            case .printedTooMuch(let bytes): "this printed more than \(bytes) bytes."
            case .setUp(let reason): reason
            }
        }
    }

    /// The directory that holds everything.
    let path: String
    private let plan: Plan
    private let lock: FileDescriptor

    /// Makes a lab, and removes it after `body`, whatever happens.
    ///
    /// - Returns: a line for everything that the commands left running or mounted.
    static func with(_ plan: Plan, _ body: (Lab) async throws -> Void) async throws -> [String] {
        await Leftovers.sweep()
        let lab = try Lab(plan)
        do {
            try await lab.fill()
            try await body(lab)
        } catch {
            _ = await lab.remove()
            throw error
        }
        return await lab.remove()
    }

    private init(_ plan: Plan) throws {
        var template = Array((Leftovers.prefix + "XXXXXX").utf8CString)
        guard mkdtemp(&template) != nil else { throw Failure.setUp("/tmp cannot be written.") }
        path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        self.plan = plan
        lock = try FileDescriptor.open(path, .readOnly, options: [.directory, .closeOnExec])
        flock(lock.rawValue, LOCK_EX)
    }

    private func fill() async throws {
        chmod(path, 0o755)
        for name in ["bin", "home", "home-user", "lab", "state", "state-user"] {
            mkdir("\(path)/\(name)", 0o755)
        }
        for name in ["home-user", "state-user", "lab"] {
            chown("\(path)/\(name)", name == "lab" ? 0 : plan.user, plan.user)
        }
        chmod("\(path)/lab", 0o775)
        try linkProducts()
        let probe = "\(path)/bin/hull-probe"
        let programs = FileManager.default.fileExists(atPath: probe) ? [probe] : []
        let made = try await Tool.run(
            ["\(plan.root)/labs/make-rootfs", "\(path)/lab/rootfs"] + programs)
        if !made.succeeded { throw Failure.setUp(made.output) }
    }

    private func linkProducts() throws {
        let files = FileManager.default
        guard let names = try? files.contentsOfDirectory(atPath: plan.products) else {
            throw Failure.setUp("\(plan.products) cannot be read. Build first: swift build")
        }
        for name in names
        where name.wholeMatch(of: /(hull|stage\d\d)(-[a-z]+)?/) != nil {
            let (from, to) = ("\(plan.products)/\(name)", "\(path)/bin/\(name)")
            if link(from, to) != 0 { try files.copyItem(atPath: from, toPath: to) }
        }
    }

    /// Runs one command of the chapter with `bash -c`.
    ///
    /// It has a session of its own and no terminal. Its output goes to a file and not
    /// through a pipe: what it leaves in the background would hold the pipe open.
    func run(_ script: String, asUser: Bool) async throws -> Outcome {
        let output = try outputFile(asUser)
        defer { try? output.close() }
        let status = try await withThrowingTaskGroup(of: TerminationStatus?.self) { group in
            group.addTask { try await start(script, asUser, output) }
            group.addTask { try await watch(output) }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
        return Outcome(output: try content(of: output), exitCode: exitCode(status))
    }

    private func outputFile(_ asUser: Bool) throws -> FileDescriptor {
        let name = "\(path)/output"
        let file = try FileDescriptor.open(
            name, .readWrite, options: [.create, .exclusiveCreate, .append, .closeOnExec],
            permissions: .ownerReadWrite)
        unlink(name)
        // Or it could not open /dev/stderr, which is this file.
        if asUser { fchown(file.rawValue, plan.user, plan.user) }
        return file
    }

    private func start(
        _ script: String, _ asUser: Bool, _ output: FileDescriptor
    ) async throws -> TerminationStatus {
        var options = PlatformOptions()
        options.createSession = true
        options.teardownSequence = [
            .send(signal: .kill, toProcessGroup: true, allowedDurationToNextStep: .seconds(1))
        ]
        // By a program, not by the options of Subprocess: it forks, and setgroups(3) and
        // setuid(3) of a forked child wait for ever if another thread was just being made.
        let identity = ["--reuid=\(plan.user)", "--regid=\(plan.user)", "--clear-groups"]
        let words = (asUser ? ["setpriv"] + identity : []) + ["bash", "-c", script]
        return try await Subprocess.run(
            .path(FilePath("/usr/bin/\(words[0])")),
            arguments: Arguments(
                executablePathOverride: words[0], remainingValues: Array(words.dropFirst())),
            environment: environment(asUser),
            workingDirectory: FilePath("\(path)/lab"), platformOptions: options,
            output: .fileDescriptor(output, closeAfterSpawningProcess: false),
            error: .fileDescriptor(output, closeAfterSpawningProcess: false)
        ).terminationStatus
    }

    private func environment(_ asUser: Bool) -> Environment {
        let suffix = asUser ? "-user" : ""
        let system = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return .custom([
            "PATH": "\(path)/bin:\(system)", "HOME": "\(path)/home\(suffix)",
            "HULL_ROOT": "\(path)/state\(suffix)", "LANG": "C.UTF-8", "TERM": "dumb",
            "NO_COLOR": "1", "USER": asUser ? "nobody" : "root", "SHELL": "/bin/bash",
        ])
    }

    /// Ends only by throwing.
    private func watch(_ output: FileDescriptor) async throws -> TerminationStatus? {
        let clock = ContinuousClock()
        let end = clock.now + plan.timeLimit
        while clock.now < end {
            try await Task.sleep(for: .milliseconds(100))
            if try size(of: output) > plan.outputLimit {
                throw Failure.printedTooMuch(bytes: plan.outputLimit)
            }
        }
        throw Failure.tookTooLong(plan.timeLimit)
    }

    private func size(of file: FileDescriptor) throws -> Int {
        Int(try file.seek(offset: 0, from: .end))
    }

    private func content(of file: FileDescriptor) throws -> [UInt8] {
        let size = try size(of: file)
        if size > plan.outputLimit { throw Failure.printedTooMuch(bytes: plan.outputLimit) }
        return try [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            count = try file.read(
                fromAbsoluteOffset: 0, into: UnsafeMutableRawBufferPointer(buffer))
        }
    }

    private func exitCode(_ status: TerminationStatus?) -> Int {
        switch status {
        case .exited(let code): Int(code)
        case .signaled(let signal): 128 + Int(signal)
        case nil: 0
        }
    }

    /// In a task of its own: when this one is cancelled, the cleaning still has to be done.
    private func remove() async -> [String] {
        let (path, lock) = (path, lock)
        return await Task {
            let left = await Leftovers.remove(path)
            try? lock.close()
            return left
        }.value
    }
}
