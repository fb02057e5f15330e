import CLinux
import Glibc

/// Takes a port of this host for a socket that answers nobody. See `bind(2)` and `listen(2)`.
///
/// - Parameter isListening: for TCP. Without it a second socket could have the port as well: to
///   be let in right after another program has gone, we have to allow that.
/// - Throws: `EADDRINUSE` where somebody has it, `EADDRNOTAVAIL` where the address is no one's.
public func holdPort(
    _ socket: CInt, _ address: IPAddress, _ port: UInt16, isListening: Bool, why: StaticString
) throws(KernelError) {
    var yes: CInt = 1
    let size = socklen_t(MemoryLayout<CInt>.size)
    if address.isVersion6 {
        setsockopt(socket, CInt(IPPROTO_IPV6), IPV6_V6ONLY, &yes, size)
    }
    if isListening { setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, size) }
    let bytes = socketAddress(address, port)
    try systemCall(
        "bind", [.number(Int(socket)), .symbol("\(address) port \(port)"), .number(bytes.count)],
        on: "\(address) port \(port)", why: why
    ) {
        bytes.withUnsafeBytes { memory -> CInt in
            guard let start = memory.bindMemory(to: sockaddr.self).baseAddress else { return -1 }
            return bind(socket, start, socklen_t(memory.count))
        }
    }
    guard isListening else { return }
    try systemCall(
        "listen", [.number(Int(socket)), .number(0)], on: "\(address) port \(port)", why: why
    ) { listen(socket, 0) }
}

/// A `struct sockaddr_in` or `sockaddr_in6`. See `ip(7)` and `ipv6(7)`.
public func socketAddress(_ address: IPAddress, _ port: UInt16) -> [UInt8] {
    var bytes: [UInt8] = []
    withUnsafeBytes(of: UInt16(address.family)) { bytes += $0 }
    withUnsafeBytes(of: port.bigEndian) { bytes += $0 }
    if !address.isVersion6 { return bytes + address.bytes + [UInt8](repeating: 0, count: 8) }
    return bytes + [0, 0, 0, 0] + address.bytes + [0, 0, 0, 0]
}
