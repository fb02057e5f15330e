import CLinux
import Glibc

/// An address of a link as the kernel tells it, to be given to the link again elsewhere.
///
/// A link loses its addresses when it moves to another network namespace. See `rtnetlink(7)`,
/// `RTM_NEWADDR`.
public struct KeptAddress: Sendable {
    private let family: UInt8
    private let prefix: UInt8
    private let flags: UInt32
    private var attributes: [(type: Int, value: [UInt8])] = []

    /// Those of `link` in the answers to a request for all addresses.
    static func all(in bytes: [UInt8], of link: Link) -> [KeptAddress] {
        bytes.withUnsafeBytes { memory in
            var list: [KeptAddress] = []
            var start = 0
            while start + 24 <= memory.count {
                let header = memory.loadUnaligned(fromByteOffset: start, as: nlmsghdr.self)
                let end = min(start + Int(header.nlmsg_len), memory.count)
                if Int(header.nlmsg_type) == RTM_NEWADDR,
                    let address = KeptAddress(memory, start + 16, end, of: link)
                {
                    list.append(address)
                }
                start += max(16, (Int(header.nlmsg_len) + 3) & ~3)
            }
            return list
        }
    }

    /// - Returns: nil for another link's, and for one that does not outlive its link's stay:
    ///   leased, made up by the kernel, or of no meaning beyond the link.
    private init?(_ memory: UnsafeRawBufferPointer, _ start: Int, _ end: Int, of link: Link) {
        let header = memory.loadUnaligned(fromByteOffset: start, as: ifaddrmsg.self)
        guard Int32(bitPattern: header.ifa_index) == link.index,
            header.ifa_scope == UInt8(RT_SCOPE_UNIVERSE.rawValue)
        else { return nil }
        family = header.ifa_family
        prefix = header.ifa_prefixlen
        var flags = UInt32(header.ifa_flags)
        var next = start + MemoryLayout<ifaddrmsg>.size
        while next + 4 <= end {
            let attribute = memory.loadUnaligned(fromByteOffset: next, as: rtattr.self)
            let length = Int(attribute.rta_len)
            guard length >= 4, next + length <= end else { break }
            let type = Int(attribute.rta_type)
            if type == IFA_FLAGS && length == 8 {
                flags = memory.loadUnaligned(fromByteOffset: next + 4, as: UInt32.self)
            } else if [IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST].contains(type) {
                // Not the label, which is the link's old name.
                attributes.append((type, Array(memory[next + 4..<next + length])))
            }
            next += (length + 3) & ~3
        }
        self.flags = flags
        guard flags & UInt32(IFA_F_PERMANENT) != 0 else { return nil }
    }

    /// The request to give it to `link`.
    func message(for link: Link, _ options: Int32) -> NetlinkMessage {
        var header = ifaddrmsg()
        header.ifa_family = family
        header.ifa_prefixlen = prefix
        header.ifa_index = UInt32(link.index)
        var message = NetlinkMessage(RTM_NEWADDR, options, header)
        for (type, value) in attributes { message.add(type, bytes: value) }
        // It has been in use: nobody else has it. And what the kernel says of its state is not
        // ours to ask for.
        let own = UInt32(IFA_F_NOPREFIXROUTE) | UInt32(IFA_F_MANAGETEMPADDR)
        message.add(IFA_FLAGS, flags & own | (family == UInt8(AF_INET6) ? UInt32(IFA_F_NODAD) : 0))
        return message
    }
}

extension KeptAddress: CustomStringConvertible {
    /// Such as `10.1.2.3/24`.
    public var description: String {
        let bytes =
            (attributes.first { $0.type == IFA_LOCAL } ?? attributes.first)?.value ?? []
        var text = [CChar](repeating: 0, count: 64)
        guard bytes.count >= 4, inet_ntop(CInt(family), bytes, &text, 64) != nil else {
            return "?"
        }
        return String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
            + "/\(prefix)"
    }
}
