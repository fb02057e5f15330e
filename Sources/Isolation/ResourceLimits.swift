import Kernel

/// How much of the machine a sandbox may use. What is nil has no limit of its own.
public struct ResourceLimits: Equatable, Sendable {
    /// Memory in bytes, the page cache included.
    public var memory: Int?
    /// Memory and swap together, in bytes; -1 for as much swap as there is. Twice ``memory`` where
    /// it is nil, as Docker has it.
    public var memoryAndSwap: Int?
    /// Memory in bytes below which nothing is reclaimed while others have more.
    public var memoryReservation: Int?
    /// Microseconds of CPU time in each ``cpuPeriod``.
    public var cpuQuota: Int?
    /// Its share where the CPUs are short.
    public var cpuWeight: CPUWeight?
    /// The CPUs it may run on, as `0-2,5`.
    public var cpus: String?
    /// The memory nodes it may use, as `0-1`.
    public var memoryNodes: String?
    /// The number of its processes and threads.
    public var processes: Int?
    /// Bandwidth of block devices.
    public var transfers: [TransferLimit] = []
    /// Its share where a disk is short: 1 to 1000, 100 if not given.
    public var transferWeight: Int?

    /// The length of the period in which ``cpuQuota`` may be used up, in microseconds.
    public static let cpuPeriod = 100_000

    /// No limits.
    public init() {}

    /// Whether nothing is limited.
    public var isEmpty: Bool { self == ResourceLimits() }
}

/// A share of the CPUs, relative to that of others.
///
/// Version 1 counts in shares, of which 1024 are usual, version 2 in weights, of which 100 are.
public struct CPUWeight: Equatable, Sendable {
    /// For version 1: 2 to 262144.
    public let shares: Int
    /// For version 2: 1 to 10000.
    public let weight: Int

    /// From version 1's number.
    public init(shares: Int) {
        self.shares = shares
        weight = min(max(shares * 100 / 1024, 1), 10_000)
    }

    /// From version 2's number.
    public init(weight: Int) {
        self.weight = weight
        shares = min(max(weight * 1024 / 100, 2), 262_144)
    }
}

/// How fast a block device may be used.
public struct TransferLimit: Equatable, Sendable {
    /// The whole device's numbers, as `254:0`.
    public let device: String
    /// Bytes read in a second.
    public var readBytes: Int?
    /// Bytes written in a second.
    public var writtenBytes: Int?
    /// Reads in a second.
    public var reads: Int?
    /// Writes in a second.
    public var writes: Int?

    /// No limit yet.
    public init(device: String) { self.device = device }
}
