import CLinux
import Glibc

/// Sends an open file to whoever listens on a Unix socket. See `unix(7)`, `SCM_RIGHTS`.
///
/// - Parameter message: what stands beside it; at least a byte.
public func sendDescriptor(
    _ descriptor: borrowing Descriptor, saying message: String, to path: String, why: StaticString
) throws(KernelError) {
    let socket = try connectToSocket(path, why: why)
    let bytes = Array(message.utf8)
    let (number, sent) = (socket.number, descriptor.number)
    try systemCall(
        "sendmsg", [.number(Int(number)), .symbol("{SCM_RIGHTS, [\(sent)]}"), .number(0)],
        on: path, why: why
    ) { send_with_descriptor(number, bytes, bytes.count, sent) }
}

/// Connects to a Unix socket in the file system. See `unix(7)`.
public func connectToSocket(_ path: String, why: StaticString) throws(KernelError) -> Descriptor {
    let number = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard number >= 0 else { throw KernelError("socket", path, .current) }
    let socket = Descriptor(owning: number)
    // An address has room for 107 bytes; through its directory's descriptor every path is short.
    let slash = path.lastIndex(of: "/")
    let parent = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    let directory = try Descriptor.open(parent, CInt(linux_O_PATH) | O_DIRECTORY)
    let name = slash.map { String(path[path.index(after: $0)...]) } ?? path
    let short = path.utf8.count < 108 ? path : "/proc/self/fd/\(directory.number)/\(name)"
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let fits = withUnsafeMutableBytes(of: &address.sun_path) { buffer in
        guard short.utf8.count < buffer.count else { return false }
        buffer.copyBytes(from: short.utf8)
        return true
    }
    guard fits else { throw KernelError("connect", path, Errno(rawValue: ENAMETOOLONG)) }
    try systemCall(
        "connect", [.number(Int(number)), .symbol("{AF_UNIX, \"\(path)\"}")], on: path, why: why
    ) {
        withUnsafeBytes(of: &address) { bytes -> CInt in
            guard let start = bytes.bindMemory(to: sockaddr.self).baseAddress else { return -1 }
            return connect(number, start, socklen_t(bytes.count))
        }
    }
    return socket
}
