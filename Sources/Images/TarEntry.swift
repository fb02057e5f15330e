import Kernel

/// One file of a tar archive, without its content.
struct TarEntry: Equatable {
    enum Kind: Equatable {
        case regular(size: Int)
        case directory
        case symbolicLink(target: FileName)
        /// A further name of a file that came before.
        case hardLink(target: FileName)
        case characterDevice(major: UInt32, minor: UInt32)
        case blockDevice(major: UInt32, minor: UInt32)
        case fifo
    }

    /// As it stands in the archive; nothing has been checked.
    var path: FileName
    var kind: Kind
    /// The permission bits, with set-user-ID, set-group-ID and sticky.
    var mode: UInt32
    var owner: UInt32
    var group: UInt32
    var modified: TarTime
    /// Sorted by name.
    var attributes: [ExtendedAttribute] = []
}

/// A time of change; before 1970 the seconds are negative and the nanoseconds still count forward.
struct TarTime: Equatable {
    var seconds: Int
    var nanoseconds: Int = 0
}

/// An extended attribute. See `xattr(7)`.
struct ExtendedAttribute: Equatable {
    var name: FileName
    var value: [UInt8]
}
