import CLinux
import Glibc

/// A socket to the kernel's network configuration. See `netlink(7)` and `rtnetlink(7)`.
///
/// It stays with the network namespace that it was opened in.
public struct NetlinkSocket: ~Copyable {
    private let socket: Descriptor

    /// Opens one in this process's network namespace.
    public init() throws(KernelError) {
        let kind = CInt(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue)
        let number = Glibc.socket(AF_NETLINK, kind, NETLINK_ROUTE)
        guard number >= 0 else { throw KernelError("socket", "NETLINK_ROUTE", .current) }
        socket = Descriptor(owning: number)
    }

    /// Opens one in the network namespace that `namespace` is open for, and is back in our own
    /// when that is done.
    public init(in namespace: borrowing Descriptor, why: StaticString) throws(KernelError) {
        let home = try Descriptor.open("/proc/self/ns/net", O_RDONLY)
        try enterNamespace(namespace.number, .network, why: why)
        var failure: KernelError?
        var made: NetlinkSocket?
        do { made = try NetlinkSocket() } catch { failure = error }
        try enterNamespace(home.number, .network, why: "back to the host's links")
        guard let made = made.take() else {
            throw failure ?? KernelError("socket", "NETLINK_ROUTE", .badDescriptor)
        }
        self = made
    }

    // book: begin netlink-send
    /// Sends all `requests` in one call and waits for their answers.
    ///
    /// The kernel has carried them out, in their order, by the time the call returns.
    /// - Throws: the first refusal, under the name of what was to be done to what.
    public borrowing func send(
        _ requests: [NetworkRequest], why: StaticString
    ) throws(KernelError) {
        var bytes: [UInt8] = []
        for (index, request) in requests.enumerated() {
            bytes += request.message.numbered(UInt32(index))
        }
        try send(bytes, telling: requests, why)
        var failure: KernelError?
        var answered = 0
        while answered < requests.count {
            for answer in try receive() {
                answered += 1
                guard let errno = answer.errno, failure == nil else { continue }
                failure = requests[Int(answer.number)].failed(with: errno)
            }
        }
        if let failure { throw failure }
    }
    // book: end netlink-send

    /// The number by which the kernel knows the link `name`; nil where there is none.
    public borrowing func index(
        ofLink name: String, shell: String? = nil, why: StaticString
    ) throws(KernelError) -> Int32? {
        let request = NetworkRequest.findLink(name, shell: shell)
        try send(request.message.bytes, telling: [request], why)
        guard let answer = try receive().first else { return nil }
        if let errno = answer.errno {
            if errno.rawValue == ENODEV { return nil }
            throw request.failed(with: errno)
        }
        return answer.linkIndex
    }

    /// The link `name`.
    /// - Throws: `ENODEV` where there is none.
    public borrowing func link(
        _ name: String, shell: String? = nil, why: StaticString
    ) throws(KernelError) -> Link {
        guard let index = try index(ofLink: name, shell: shell, why: why) else {
            throw KernelError(
                "find link", name, Errno(rawValue: ENODEV), remedy: "`ip link` lists them.")
        }
        return Link(name, index: index)
    }

    /// Whether a link has this number.
    public borrowing func hasLink(_ index: Int32, why: StaticString) throws(KernelError) -> Bool {
        let request = NetworkRequest.findNumber(index)
        try send(request.message.bytes, telling: [request], why)
        guard let errno = try receive().first?.errno else { return true }
        if errno.rawValue == ENODEV { return false }
        throw request.failed(with: errno)
    }

    /// Whether a link may carry packets.
    public borrowing func isUp(_ link: Link, why: StaticString) throws(KernelError) -> Bool {
        let request = NetworkRequest.findNumber(link.index)
        try send(request.message.bytes, telling: [request], why)
        guard let answer = try receive().first else { return false }
        if let errno = answer.errno { throw request.failed(with: errno) }
        return answer.isUp
    }

    /// The addresses of a link that somebody has given it to stay, and that mean something beyond
    /// it: permanent and of global scope.
    public borrowing func keptAddresses(
        of link: Link, why: StaticString
    ) throws(KernelError) -> [KeptAddress] {
        let request = NetworkRequest.listAddresses
        try send(request.message.bytes, telling: [request], why)
        var kept: [KeptAddress] = []
        while true {
            let bytes = try receiveBytes()
            kept += KeptAddress.all(in: bytes, of: link)
            if NetlinkAnswer.isLast(bytes) { return kept }
        }
    }

    private borrowing func send(
        _ bytes: [UInt8], telling requests: [NetworkRequest], _ why: StaticString
    ) throws(KernelError) {
        let number = socket.number
        try systemCall(
            "sendto",
            [
                .number(Int(number)), .symbol("[\(join(requests.map(\.symbol), with: ", "))]"),
                .number(bytes.count), .symbol("0"), .null, .symbol("0"),
            ],
            on: "netlink", why: why, shell: shell(requests)
        ) { Glibc.send(number, bytes, bytes.count, 0) }
    }

    private borrowing func shell(_ requests: [NetworkRequest]) -> String? {
        let lines = requests.compactMap(\.shell)
        return lines.isEmpty ? nil : join(lines, with: "\n")
    }

    private borrowing func receive() throws(KernelError) -> [NetlinkAnswer] {
        NetlinkAnswer.all(in: try receiveBytes())
    }

    private borrowing func receiveBytes() throws(KernelError) -> [UInt8] {
        let number = socket.number
        var failure: Errno?
        let bytes = [UInt8](unsafeUninitializedCapacity: 1 << 15) { buffer, count in
            let got = retryingInterrupts { recv(number, buffer.baseAddress, 1 << 15, 0) }
            if got < 0 { failure = .current }
            count = max(got, 0)
        }
        if let failure { throw KernelError("recv", "netlink", failure) }
        return bytes
    }
}

/// What the kernel says to one request.
private struct NetlinkAnswer {
    /// The request's number.
    let number: UInt32
    /// Why it was refused; nil where it was not.
    let errno: Errno?
    /// The link that the answer is about, where it is about one.
    let linkIndex: Int32
    /// Whether that link is up. See `netdevice(7)`, `IFF_UP`.
    let isUp: Bool

    /// Whether nothing follows what one `recv(2)` has brought: the end of a list, or an error.
    static func isLast(_ bytes: [UInt8]) -> Bool {
        bytes.withUnsafeBytes { memory in
            var start = 0
            while start + 16 <= memory.count {
                let header = memory.loadUnaligned(fromByteOffset: start, as: nlmsghdr.self)
                let type = Int32(header.nlmsg_type)
                if type == NLMSG_DONE || type == NLMSG_ERROR { return true }
                start += max(16, (Int(header.nlmsg_len) + 3) & ~3)
            }
            return memory.isEmpty
        }
    }

    /// The messages that one `recv(2)` has brought.
    static func all(in bytes: [UInt8]) -> [NetlinkAnswer] {
        bytes.withUnsafeBytes { memory in
            var answers: [NetlinkAnswer] = []
            var start = 0
            while start + 20 <= memory.count {
                let header = memory.loadUnaligned(fromByteOffset: start, as: nlmsghdr.self)
                answers.append(NetlinkAnswer(header, memory, start))
                // No message is shorter than its header, whatever it says.
                start += max(16, (Int(header.nlmsg_len) + 3) & ~3)
            }
            return answers
        }
    }

    private init(_ header: nlmsghdr, _ memory: UnsafeRawBufferPointer, _ start: Int) {
        number = header.nlmsg_seq
        if Int32(header.nlmsg_type) == NLMSG_ERROR {
            // 0 says that all went well.
            let code = memory.loadUnaligned(fromByteOffset: start + 16, as: Int32.self)
            errno = code == 0 ? nil : Errno(rawValue: -code)
            linkIndex = 0
            isUp = false
        } else {
            errno = nil
            // The third field of struct ifinfomsg.
            linkIndex =
                start + 24 <= memory.count
                ? memory.loadUnaligned(fromByteOffset: start + 20, as: Int32.self) : 0
            // The fourth.
            isUp =
                start + 28 <= memory.count
                && memory.loadUnaligned(fromByteOffset: start + 24, as: Int32.self) & CInt(IFF_UP)
                    != 0
        }
    }
}
