import CLinux
import Kernel

/// One thing a sandboxed program may try against its host, or one look round.
///
/// An attack is a closure that makes the calls an attacker would make. Where it throws, the kernel
/// refused the decisive call: the attack was stopped. What fails while it still prepares is
/// returned as ``Outcome/notTried(_:)``, because it says nothing about the sandbox.
struct Attack: Sendable {
    /// What it is called on the command line.
    let name: String
    /// What follows the name. Brackets mark what may be left out.
    let operands: String
    /// One line for `--list`.
    let summary: String
    /// The first stage that stops it; nil for an observation, which nothing has to stop.
    let stoppedBy: Stage?
    private let body: @Sendable ([String]) throws(KernelError) -> Outcome

    init(
        _ name: String, _ operands: String = "", _ summary: String, stoppedBy: Stage?,
        _ body: @escaping @Sendable ([String]) throws(KernelError) -> Outcome
    ) {
        self.name = name
        self.operands = operands
        self.summary = summary
        self.stoppedBy = stoppedBy
        self.body = body
    }

    /// Tries it with the words that followed its name.
    func run(_ arguments: [String]) -> Outcome {
        let words = operands.split(separator: " ")
        let needed = words.filter { !$0.hasPrefix("[") && !$0.hasSuffix("]") }.count
        let most = operands.contains("…") ? Int.max : words.count
        guard needed...most ~= arguments.count else {
            return .notTried("usage: hull-probe \(name) \(operands)")
        }
        do { return try body(arguments) } catch { return .stopped(error) }
    }
}

/// The stages of the book, as far as they stop an attack.
enum Stage: String {
    case chroot = "1 chroot"
    case pid = "2 pid"
    case initProcess = "2 pid --init"
    case overlay = "3 overlay"
    case terminal = "3 overlay -t"
    case network = "4 network"
    case identity = "5 identity"
    case cgroups = "6 cgroups"
    case privileges = "7 privileges"
    case engine = "engine"
}

/// How an attack ended. One line, one exit code.
enum Outcome {
    /// The sandbox leaks.
    case gotThrough(String)
    /// The sandbox holds.
    case stopped(String)
    /// Nothing was learnt about the sandbox.
    case notTried(String)
    /// What an observation saw.
    case observed(String)

    /// Stopped by the kernel's answer.
    static func stopped(_ error: KernelError) -> Outcome { .stopped(error.reason) }
    /// Given up because of the kernel's answer to a preparation.
    static func notTried(_ error: KernelError) -> Outcome { .notTried(error.reason) }

    /// What is printed, without a line end.
    var line: String {
        switch self {
        case .gotThrough(let text): "got through: " + printable(text)
        case .stopped(let text): "stopped: " + printable(text)
        case .notTried(let text): "not tried: " + printable(text)
        case .observed(let text): printable(text)
        }
    }

    /// 0 got through, 1 stopped, 2 not tried.
    var exitCode: Int32 {
        switch self {
        case .gotThrough, .observed: 0
        case .stopped: 1
        case .notTried: 2
        }
    }
}

extension KernelError {
    /// What failed and why, without advice: who attacks is not to be helped.
    var reason: String { advising("").description }
}

/// Text from a file or a device, kept to one line.
private func printable(_ text: String) -> String {
    String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 32 ? "?" : $0 }))
}

/// The first line of what a file holds.
func firstLine(_ bytes: [UInt8]) -> String {
    String(decoding: bytes.prefix { $0 != UInt8(ascii: "\n") }.prefix(200), as: UTF8.self)
}

/// Makes a process in the way that every filter has to allow. See `fork(2)`.
///
/// - Returns: the child in the parent, nil in the child.
func forkProcess() throws(KernelError) -> ProcessID? {
    let child = fork_process()
    if child < 0 { throw KernelError("fork", "a process", .current) }
    return child == 0 ? nil : ProcessID(rawValue: child)
}
