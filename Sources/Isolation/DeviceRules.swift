import Kernel

/// What may be done with which devices.
///
/// A device node is nothing but a type and two numbers, and whoever has `CAP_MKNOD` can make one
/// anywhere. These rules are asked when it is opened. The last that fits counts, and what none
/// allows is refused.
public struct DeviceRule: Equatable, Sendable {
    /// What is done with a device.
    public struct Access: OptionSet, Sendable {
        /// The kernel's bits, `BPF_DEVCG_ACC_…`.
        public let rawValue: Int32
        /// Takes the kernel's bits as they are.
        public init(rawValue: Int32) { self.rawValue = rawValue }
        /// Making a node.
        public static let makeNode = Access(rawValue: 1)
        /// Opening for reading.
        public static let read = Access(rawValue: 2)
        /// Opening for writing.
        public static let write = Access(rawValue: 4)
        /// All three.
        public static let all: Access = [.makeNode, .read, .write]
    }

    /// The two types of devices.
    public enum Kind: String, Sendable {
        /// A disk or a part of one.
        case block = "b"
        /// Everything else.
        case character = "c"
    }

    /// Which type; nil for both.
    public var kind: Kind?
    /// The major number; nil for all.
    public var major: UInt32?
    /// The minor number; nil for all.
    public var minor: UInt32?
    /// What is allowed.
    public var access: Access
    /// Whether it is forbidden instead.
    public var isForbidden = false

    /// A rule that allows; a number that is nil stands for all.
    public init(_ kind: Kind?, _ major: UInt32?, _ minor: UInt32?, _ access: Access) {
        self.kind = kind
        self.major = major
        self.minor = minor
        self.access = access
    }

    // book: begin device-rules
    /// What Docker allows: to make any node, which is a file as good as any, and to open those
    /// devices that every container has in its /dev.
    public static let defaults = [
        DeviceRule(.character, nil, nil, .makeNode), DeviceRule(.block, nil, nil, .makeNode),
        // null, zero, full, random, urandom: see `null(4)`, `random(4)`.
        DeviceRule(.character, 1, 3, .all), DeviceRule(.character, 1, 5, .all),
        DeviceRule(.character, 1, 7, .all), DeviceRule(.character, 1, 8, .all),
        DeviceRule(.character, 1, 9, .all),
        // tty, console, ptmx, and the terminals of devpts: see `tty(4)`, `pts(4)`.
        DeviceRule(.character, 5, 0, .all), DeviceRule(.character, 5, 1, .all),
        DeviceRule(.character, 5, 2, .all), DeviceRule(.character, 136, nil, .all),
    ]
    // book: end device-rules

    /// As version 1 takes it, such as `c 1:3 rwm`.
    var text: String {
        let numbers = [major, minor].map { $0.map { "\($0)" } ?? "*" }
        return "\(kind?.rawValue ?? "a") \(join(numbers, with: ":")) \(access.letters)"
    }
}

extension DeviceRule.Access {
    /// Reads `rwm`, or some of it. nil where anything else is in it, or nothing.
    init?(parsing text: String) {
        var access: DeviceRule.Access = []
        for letter in text.unicodeScalars {
            switch letter {
            case "r": access.insert(.read)
            case "w": access.insert(.write)
            case "m": access.insert(.makeNode)
            default: return nil
            }
        }
        if access.isEmpty { return nil }
        self = access
    }

    fileprivate var letters: String {
        (contains(.read) ? "r" : "") + (contains(.write) ? "w" : "")
            + (contains(.makeNode) ? "m" : "")
    }
}
