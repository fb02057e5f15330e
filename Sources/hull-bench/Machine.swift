import Glibc
import Kernel

/// What the times were taken on. Without it they mean nothing.
struct Machine: Encodable {
    let kernel: String
    let processor: String
    let processors: Int
    let distribution: String

    init() throws(KernelError) {
        kernel = try readText("/proc/sys/kernel/osrelease").trimmed
        processor = Machine.field("model name\t:", in: try readText("/proc/cpuinfo")) ?? "unknown"
        processors = Int(sysconf(CInt(_SC_NPROCESSORS_ONLN)))
        let release = (try? readText("/etc/os-release")) ?? ""
        distribution = Machine.field("PRETTY_NAME=", in: release) ?? "unknown"
    }

    private static func field(_ name: String, in text: String) -> String? {
        let line = text.split(separator: "\n").first { $0.hasPrefix(name) }
        return line.map { String($0.dropFirst(name.count)).trimmed }
    }
}

extension String {
    /// Without the spaces and quotes at both ends.
    fileprivate var trimmed: String {
        func isPadding(_ character: Character) -> Bool {
            character.isWhitespace || character == "\""
        }
        let rest = drop(while: isPadding)
        return String(rest.reversed().drop(while: isPadding).reversed())
    }
}
