import CLinux
import Glibc
import Kernel
import Terminal

// Links, sockets, and what listens on them: the host's, unless there is a network of one's own.

extension Attack {
    /// Reads what passes on the host's links.
    ///
    /// A packet socket gets a copy of each frame that a link of its network namespace sends or
    /// receives, whoever it is for: that is how tcpdump works. A sandbox with a network of its own
    /// sees its own links only. MARKER is what to look for in the frames; somebody outside has to
    /// send it meanwhile. See `packet(7)`.
    static let sniff = Attack(
        "sniff", "SECONDS MARKER", "Reads packets on the host's links, looking for MARKER.",
        stoppedBy: .network
    ) { arguments throws(KernelError) in
        guard let seconds = Double(arguments[0]), seconds <= 60, !arguments[1].isEmpty else {
            return .notTried("SECONDS has to be a number up to 60")
        }
        // ETH_P_ALL, as it goes over the wire.
        let number = socket(AF_PACKET, CInt(SOCK_RAW.rawValue), CInt(UInt16(3).bigEndian))
        guard number >= 0 else { throw KernelError("socket", "AF_PACKET", .current) }
        let packets = Descriptor(owning: number)
        Program.say("listening")
        let marker = Array(arguments[1].utf8)
        let frames = try packets.frames(for: seconds, until: marker)
        if frames.found {
            return .gotThrough("a packet of the host's with \(arguments[1]) in it was read")
        }
        return .stopped("\(frames.count) packets seen, none with \(arguments[1]) in it")
    }

    /// Takes a port on the host, so that the host's clients talk to the sandbox.
    ///
    /// Ports belong to a network namespace. In the host's, whoever binds first has it; in one of
    /// its own, the sandbox has all 65535 and nobody outside can reach one. From inside the two
    /// look alike: what tells is that somebody outside gets an answer, WORD.
    static let bindPort = Attack(
        "bind-port", "PORT[/udp] WORD [SECONDS]", "Answers WORD on a port of the host's.",
        stoppedBy: .network
    ) { arguments throws(KernelError) in
        let words = arguments[0].split(separator: "/")
        guard let port = words.first.flatMap({ UInt16($0) }), port > 0,
            let any = IPAddress("0.0.0.0")
        else { return .notTried("PORT has to be a number up to 65535") }
        let isUDP = words.last == "udp"
        let seconds = arguments.count > 2 ? Int32(arguments[2]) ?? 5 : 5
        let number = socket(AF_INET, CInt((isUDP ? SOCK_DGRAM : SOCK_STREAM).rawValue), 0)
        guard number >= 0 else { throw KernelError("socket", "AF_INET", .current) }
        let server = Descriptor(owning: number)
        try holdPort(server.number, any, port, isListening: !isUDP, why: "A port of the host's.")
        Program.say("listening")
        var request = pollfd(fd: server.number, events: Int16(POLLIN), revents: 0)
        guard poll(&request, 1, seconds * 1000) > 0 else {
            return .stopped("port \(port) is ours, and nobody has come to it")
        }
        if isUDP { server.answer(arguments[1]) } else { try server.welcome(with: arguments[1]) }
        return .gotThrough("somebody on the host has talked to us on port \(port)")
    }

    /// Talks to what listens on the host's loopback, and on nothing else.
    ///
    /// "It is on 127.0.0.1 only" is what protects many a database and many a debugger's port. But
    /// 127.0.0.1 is whatever the network namespace's own loopback link leads to.
    static let connect = Attack(
        "connect", "ADDRESS PORT [udp]", "Talks to what listens there, on the host's loopback.",
        stoppedBy: .network
    ) { arguments throws(KernelError) in
        guard let address = IPAddress(arguments[0]), let port = UInt16(arguments[1]) else {
            return .notTried("ADDRESS and PORT say where to")
        }
        let isUDP = arguments.count > 2 && arguments[2] == "udp"
        let server = try connection(to: address, port, isUDP: isUDP)
        let answer = firstLine(try server.ask(for: 2))
        if answer.isEmpty && isUDP { return .stopped("no answer from \(address) port \(port)") }
        return .gotThrough("\(address) port \(port) says: \(answer)")
    }

    /// Talks to a socket of the host's that has a name but no file.
    ///
    /// Names of *abstract* sockets belong to the network namespace, not to any file system: a root
    /// directory of its own does not hide them, and they have no permissions at all. D-Bus, X11
    /// and containerd have been reached that way (CVE-2020-15257). See `unix(7)`.
    static let abstractSocket = Attack(
        "abstract-socket", "NAME", "Talks to an abstract Unix socket of the host's.",
        stoppedBy: .network
    ) { arguments throws(KernelError) in
        let number = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0)
        guard number >= 0 else { throw KernelError("socket", "AF_UNIX", .current) }
        let client = Descriptor(owning: number)
        var bytes: [UInt8] = []
        withUnsafeBytes(of: UInt16(AF_UNIX)) { bytes += $0 }
        bytes += [0] + arguments[0].utf8
        if client.connect(to: bytes) < 0 {
            throw KernelError("connect", "@" + arguments[0], .current)
        }
        return .gotThrough("@\(arguments[0]) says: \(firstLine(try client.ask(for: 2)))")
    }
}

extension Program {
    /// For whoever waits outside until an attack is under way.
    fileprivate static func say(_ word: String) { write(word + "\n", to: 2) }
}

private func connection(
    to address: IPAddress, _ port: UInt16, isUDP: Bool
) throws(KernelError) -> Descriptor {
    let kind = CInt((isUDP ? SOCK_DGRAM : SOCK_STREAM).rawValue)
    let number = socket(address.isVersion6 ? AF_INET6 : AF_INET, kind, 0)
    guard number >= 0 else { throw KernelError("socket", "\(address)", .current) }
    let connection = Descriptor(owning: number)
    // A dropped packet would be waited for, for minutes.
    var patience = timeval(tv_sec: 2, tv_usec: 0)
    setsockopt(
        number, SOL_SOCKET, SO_SNDTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    if connection.connect(to: socketAddress(address, port)) < 0 {
        throw KernelError("connect", "\(address) port \(port)", .current)
    }
    return connection
}

extension Descriptor {
    fileprivate borrowing func connect(to address: [UInt8]) -> CInt {
        let number = number
        return address.withUnsafeBytes { memory in
            guard let start = memory.bindMemory(to: sockaddr.self).baseAddress else { return -1 }
            return Glibc.connect(number, start, socklen_t(memory.count))
        }
    }

    fileprivate borrowing func welcome(with word: String) throws(KernelError) {
        let client = Descriptor(owning: accept(number, nil, nil))
        try client.write(word + "\n")
        // Closed with something unread, the answer would be lost with the connection.
        _ = try client.read(upTo: 4096)
    }

    /// Sends a datagram to whoever has sent one.
    fileprivate borrowing func answer(_ word: String) {
        let number = number
        var buffer = [UInt8](repeating: 0, count: 4096)
        var sender = [UInt8](repeating: 0, count: 128)
        var length = socklen_t(sender.count)
        let answer = Array((word + "\n").utf8)
        sender.withUnsafeMutableBytes { memory in
            guard let start = memory.bindMemory(to: sockaddr.self).baseAddress else { return }
            recvfrom(number, &buffer, buffer.count, 0, start, &length)
            sendto(number, answer, answer.count, 0, start, length)
        }
    }

    /// Says something, and reads what is said in return.
    fileprivate borrowing func ask(for seconds: Int32) throws(KernelError) -> [UInt8] {
        try write("hello\n")
        var request = pollfd(fd: number, events: Int16(POLLIN), revents: 0)
        guard poll(&request, 1, seconds * 1000) > 0 else { return [] }
        return try read(upTo: 4096)
    }

    /// Reads frames until one holds `marker` or the time is over.
    fileprivate borrowing func frames(
        for seconds: Double, until marker: [UInt8]
    ) throws(KernelError) -> (count: Int, found: Bool) {
        let end = time(nil) + Int(seconds.rounded(.up))
        var count = 0
        while time(nil) <= end {
            var request = pollfd(fd: number, events: Int16(POLLIN), revents: 0)
            guard poll(&request, 1, 100) > 0 else { continue }
            let frame = try read(upTo: 1 << 16)
            count += 1
            if holds(frame, marker) { return (count, true) }
        }
        return (count, false)
    }
}

private func holds(_ bytes: [UInt8], _ part: [UInt8]) -> Bool {
    guard bytes.count >= part.count else { return false }
    return (0...bytes.count - part.count).contains { start in
        bytes[start..<start + part.count].elementsEqual(part)
    }
}
