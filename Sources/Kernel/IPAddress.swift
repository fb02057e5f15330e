import Glibc

/// An address of the Internet Protocol, version 4 or 6.
public struct IPAddress: Hashable, Sendable {
    /// Four bytes or sixteen, the most significant first, as they go over the wire.
    public let bytes: [UInt8]

    /// Reads `192.0.2.1` or `2001:db8::1`; nil where it is neither. See `inet_pton(3)`.
    public init?(_ text: String) {
        var buffer = [UInt8](repeating: 0, count: 16)
        if inet_pton(AF_INET, text, &buffer) == 1 {
            bytes = Array(buffer[..<4])
        } else if inet_pton(AF_INET6, text, &buffer) == 1 {
            bytes = buffer
        } else {
            return nil
        }
    }

    fileprivate init(bytes: [UInt8]) { self.bytes = bytes }

    /// Whether it is one of version 6.
    public var isVersion6: Bool { bytes.count == 16 }
    /// `AF_INET` or `AF_INET6`.
    var family: UInt8 { UInt8(isVersion6 ? AF_INET6 : AF_INET) }
}

extension IPAddress: CustomStringConvertible {
    /// As it is usually written. See `inet_ntop(3)`.
    public var description: String {
        var text = [CChar](repeating: 0, count: 64)
        return inet_ntop(CInt(family), bytes, &text, 64).map { String(cString: $0) } ?? ""
    }
}

/// All addresses that begin with the same bits, such as `10.77.0.0/16`.
public struct IPSubnet: Hashable, Sendable {
    /// The first address, whose other bits are 0.
    public let base: IPAddress
    /// How many bits they share.
    public let prefix: Int

    /// Reads `ADDRESS/PREFIX`; bits behind the prefix count for nothing. nil where it is none.
    public init?(_ text: String) {
        let parts = Kernel.split(text, at: "/")
        guard parts.count == 2, let address = IPAddress(parts[0]), let prefix = Int(parts[1])
        else { return nil }
        self.init(of: address, prefix: prefix)
    }

    /// The one that `address` is in; nil where there are no such prefixes.
    public init?(of address: IPAddress, prefix: Int) {
        guard (0...address.bytes.count * 8).contains(prefix) else { return nil }
        var bytes = address.bytes
        for index in bytes.indices {
            let kept = min(max(prefix - 8 * index, 0), 8)
            bytes[index] &= UInt8(truncatingIfNeeded: 0xFF00 >> kept)
        }
        base = IPAddress(bytes: bytes)
        self.prefix = prefix
    }

    /// Its address with this number; 0 is ``base``.
    public func address(_ number: Int) -> IPAddress {
        var bytes = base.bytes
        var rest = number
        for index in bytes.indices.reversed() where rest > 0 {
            rest += Int(bytes[index])
            bytes[index] = UInt8(truncatingIfNeeded: rest)
            rest >>= 8
        }
        return IPAddress(bytes: bytes)
    }

    /// The number of an address in it; nil where it is outside.
    public func number(of address: IPAddress) -> Int? {
        guard IPSubnet(of: address, prefix: prefix)?.base == base else { return nil }
        var number = 0
        for (mine, other) in zip(base.bytes, address.bytes).suffix(7) {
            number = number << 8 | Int(other & ~mine)
        }
        return number
    }

    /// Whether any address is in both.
    public func overlaps(_ other: IPSubnet) -> Bool {
        let shorter = min(prefix, other.prefix)
        return IPSubnet(of: base, prefix: shorter) == IPSubnet(of: other.base, prefix: shorter)
    }
}

extension IPSubnet: CustomStringConvertible {
    /// `ADDRESS/PREFIX`.
    public var description: String { "\(base)/\(prefix)" }
}

/// An address and how much of it is the subnet's, as a link has it.
public struct LinkAddress: Hashable, Sendable {
    /// The address.
    public let address: IPAddress
    /// How many of its bits are the subnet's.
    public let prefix: Int

    /// An address on a link.
    public init(_ address: IPAddress, prefix: Int) {
        self.address = address
        self.prefix = prefix
    }
}

extension LinkAddress: CustomStringConvertible {
    /// `ADDRESS/PREFIX`.
    public var description: String { "\(address)/\(prefix)" }
}
