import Glibc
import Isolation
import Kernel
import OCISpec
import Terminal

/// What stands before the command: where containers are kept, and where errors are told.
struct GlobalOptions {
    /// The directory with one for each container.
    let root: String
    /// Where errors are told beside standard error.
    let log: ErrorLog
    /// Who makes cgroups.
    let controlGroupManager: ControlGroupManager

    static let options = [
        Option("root", nil, .required("DIR"), "Keep what is known of containers in DIR."),
        Option("log", nil, .required("FILE"), "Write errors into FILE, too."),
        Option("log-format", nil, .required("FORMAT"), "text (if not given) or json."),
        Option("log-level", nil, .required("LEVEL"), "Accepted, for callers that give it."),
        Option("debug", nil, .none, "Write the call into the log, too; see also --explain."),
        Option("systemd-cgroup", nil, .none, "Have systemd make cgroups; as systemd below."),
        Option(
            "cgroup-manager", nil, .required("NAME"), "cgroupfs (if not given), systemd, disabled."),
        Option("rootless", nil, .required("BOOL"), "Accepted; an ordinary user is told by its id."),
        Option("criu", nil, .required("PATH"), "Accepted; there is no checkpoint here."),
        Option("version", "v", .none, "Show the version."),
        .explain,
    ]

    init(_ given: Arguments) throws(KernelError) {
        root = given.value("root").flatMap { $0.isEmpty ? nil : $0 } ?? Self.usualRoot
        log = try ErrorLog(given)
        let name = given.has("systemd-cgroup") ? "systemd" : given.value("cgroup-manager")
        guard let manager = ControlGroupManager(rawValue: name ?? "cgroupfs") else {
            throw KernelError(
                "option", "--cgroup-manager \(name ?? "")", .invalidArgument,
                remedy: "It is cgroupfs, systemd or disabled.")
        }
        controlGroupManager = manager
    }

    private static var usualRoot: String {
        let machines = "/run/hull-runtime"
        if geteuid() == 0 && (variable("USER") == "root" || isInFirstUserNamespace) {
            return machines
        }
        // An ordinary user, or who was one before becoming root of a user namespace.
        guard let directory = variable("XDG_RUNTIME_DIR"), !directory.isEmpty else {
            return geteuid() == 0 ? machines : "/run/user/\(geteuid())/hull-runtime"
        }
        return directory + "/hull-runtime"
    }

    private static func variable(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }
    }
}

/// Where errors are told beside standard error (`--log`): callers read what went wrong there.
struct ErrorLog {
    private let path: String?
    private let isJSON: Bool

    init(_ given: Arguments) throws(KernelError) {
        path = given.value("log").flatMap { $0.isEmpty ? nil : $0 }
        let format = given.value("log-format") ?? "text"
        guard format == "text" || format == "json" else {
            throw KernelError(
                "option", "--log-format \(format)", .invalidArgument, remedy: "It is text or json.")
        }
        isJSON = format == "json"
        // Whoever wants one is to know that there is none, and not when it is needed.
        if path != nil { try append("") }
        if given.has("debug") {
            let call = line("debug", join(["hull-runtime"] + given.operands, with: " "))
            if path == nil { Program.write(call, to: 2) } else { try append(call) }
        }
    }

    /// Adds a line. A log that cannot be written any more is no reason to say nothing at all.
    func write(_ error: KernelError) {
        do { try append(line("error", error.inTermsOfRuntimes.description)) } catch {}
    }

    private func append(_ line: String) throws(KernelError) {
        guard let path else { return }
        do {
            let file = try Descriptor.open(path, O_WRONLY | O_APPEND | O_CREAT, mode: 0o644)
            try file.write(line)
        } catch {
            throw error.renamed("option", "--log \(path)")
        }
    }

    private func line(_ level: String, _ text: String) -> String {
        let time = "\(Timestamp.now)"
        let line =
            isJSON
            ? JSON.object(present: [
                ("level", .string(level)), ("msg", .string(text)), ("time", .string(time)),
            ]).text()
            : "time=\"\(time)\" level=\(level) msg=\(quoteJSON(text))"
        return line + "\n"
    }
}

extension KernelError {
    /// The same in the words that callers look for, such as `executable file not found in $PATH`.
    var inTermsOfRuntimes: KernelError {
        guard operation == "execute" else { return self }
        switch errno {
        case .noSuchFile where !contains(object, "/"):
            return renamed("exec:", "\"\(object)\": executable file not found in $PATH")
        case .noSuchFile, .notDirectory:
            return renamed("exec:", "\"\(object)\": no such file or directory")
        case .accessDenied: return renamed("exec:", "\"\(object)\": permission denied")
        default: return self
        }
    }
}
