import CLinux
import Glibc

/// A message to the kernel's network configuration, as it lies in memory. See `netlink(7)`.
///
///      0        4      6       8        12        16                        length
///     ┌────────┬──────┬───────┬────────┬─────────┬───────────┬─────────────┐
///     │ length │ type │ flags │ number │ port  0 │ a struct  │ attributes… │
///     └────────┴──────┴───────┴────────┴─────────┴───────────┴─────────────┘
///
/// An attribute is two bytes of length, two of type, and its value. A value may consist of
/// attributes again. Everything starts at a multiple of four, and numbers are in the
/// machine's own byte order. See `rtnetlink(7)`.
struct NetlinkMessage {
    private(set) var bytes: [UInt8] = []

    /// A message of `type` (`RTM_…`) that begins with the struct which that type asks for.
    init<Header>(_ type: Int, _ flags: Int32, _ header: Header) {
        // One allocation for everything: messages are short.
        bytes.reserveCapacity(256)
        append(
            nlmsghdr(
                nlmsg_len: 0, nlmsg_type: UInt16(type),
                nlmsg_flags: UInt16(NLM_F_REQUEST | flags), nlmsg_seq: 0, nlmsg_pid: 0))
        append(header)
        close(at: 0, as: UInt32.self)
    }

    // book: begin attributes
    /// Adds an attribute whose value is a number or a struct.
    mutating func add<Value>(_ type: Int, _ value: Value) {
        addNested(type) { $0.append(value) }
    }

    /// Adds an attribute whose value is bytes, such as an address.
    mutating func add(_ type: Int, bytes value: [UInt8]) {
        addNested(type) { $0.bytes += value }
    }

    /// Adds an attribute whose value is a text; the kernel wants a NUL at its end.
    mutating func add(_ type: Int, text: String) {
        addNested(type) { message in
            message.bytes += text.utf8
            message.bytes.append(0)
        }
    }

    /// Adds an attribute whose value is a struct and attributes behind it.
    mutating func addNested<Header>(
        _ type: Int, _ header: Header, _ body: (inout NetlinkMessage) -> Void
    ) {
        addNested(type) { message in
            message.append(header)
            body(&message)
        }
    }

    /// Adds an attribute whose value is whatever `body` adds: other attributes, mostly.
    mutating func addNested(_ type: Int, _ body: (inout NetlinkMessage) -> Void) {
        let start = bytes.count
        append(rtattr(rta_len: 0, rta_type: UInt16(type)))
        body(&self)
        close(at: start, as: UInt16.self)
    }
    // book: end attributes

    /// Adds a struct as it lies in memory.
    private mutating func append<Value>(_ value: Value) {
        withUnsafeBytes(of: value) { bytes += $0 }
    }

    /// The message with this number, by which its answer is known.
    func numbered(_ number: UInt32) -> [UInt8] {
        var numbered = bytes
        withUnsafeBytes(of: number) { numbered.replaceSubrange(8..<12, with: $0) }
        return numbered
    }

    /// What began at `start` ends here: the length goes in front, padding does not count.
    ///
    /// Lengths of attributes that are still open count for the message's own.
    private mutating func close<Length: FixedWidthInteger>(at start: Int, as: Length.Type) {
        let length = Length(bytes.count - start)
        let size = MemoryLayout<Length>.size
        withUnsafeBytes(of: length) { bytes.replaceSubrange(start..<start + size, with: $0) }
        pad()
        let whole = UInt32(bytes.count)
        withUnsafeBytes(of: whole) { bytes.replaceSubrange(0..<4, with: $0) }
    }

    private mutating func pad() {
        while bytes.count % 4 != 0 { bytes.append(0) }
    }
}
