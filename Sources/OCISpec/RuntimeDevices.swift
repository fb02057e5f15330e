/// What may be done with which devices. See runtime-spec, config-linux.md, "Allowed Device list".
public struct RuntimeDeviceRule: Equatable, Sendable {
    /// Whether it is allowed; forbidden if not.
    public var allows: Bool
    /// `b` for disks, `c` for all others, `a` for both.
    public var type: String
    /// The major number; nil for all.
    public var major: Int?
    /// The minor number; nil for all.
    public var minor: Int?
    /// Some of `r`, `w` and `m`.
    public var access: String

    /// Reads one entry.
    init(_ json: JSONReader) throws(SpecificationError) {
        allows = try json["allow"].bool()
        let type = try json["type"].optionalString() ?? "a"
        self.type = type.isEmpty ? "a" : type
        guard ["a", "b", "c"].contains(self.type) else {
            throw json["type"].error("it should be a, b or c")
        }
        major = try json["major"].number()
        minor = try json["minor"].number()
        access = try json["access"].optionalString() ?? ""
        for letter in access.unicodeScalars where !["r", "w", "m"].contains(letter) {
            throw json["access"].error("it should be made of r, w and m")
        }
        if access.isEmpty { access = "rwm" }
    }
}

/// The part of ``RuntimeResources`` for block devices.
public struct RuntimeBlockIO: Equatable, Sendable {
    /// What a device is, and a number that concerns it.
    public struct Device: Equatable, Sendable {
        /// The two numbers, as `254:0`.
        public var numbers: String
        /// A weight, or a rate in bytes or operations a second.
        public var value: Int
    }

    /// Its share where a disk is short: 10 to 1000.
    public var weight: Int?
    /// The same against the cgroups below its own; only version 1 has it.
    public var leafWeight: Int?
    /// ``weight`` by device.
    public var weights: [Device] = []
    /// ``leafWeight`` by device.
    public var leafWeights: [Device] = []
    /// Bytes read in a second.
    public var readBytes: [Device] = []
    /// Bytes written in a second.
    public var writtenBytes: [Device] = []
    /// Reads in a second.
    public var reads: [Device] = []
    /// Writes in a second.
    public var writes: [Device] = []

    /// No limits.
    public init() {}

    init(_ json: JSONReader) throws(SpecificationError) {
        guard let json = try json.present?.object() else { return }
        weight = try json["weight"].limit()
        leafWeight = try json["leafWeight"].limit()
        weights = try Self.devices(json["weightDevice"], "weight")
        leafWeights = try Self.devices(json["weightDevice"], "leafWeight")
        readBytes = try Self.devices(json["throttleReadBpsDevice"], "rate")
        writtenBytes = try Self.devices(json["throttleWriteBpsDevice"], "rate")
        reads = try Self.devices(json["throttleReadIOPSDevice"], "rate")
        writes = try Self.devices(json["throttleWriteIOPSDevice"], "rate")
    }

    /// Those entries that have a `member`; a rate of 0 is none, which lifts the limit.
    private static func devices(
        _ json: JSONReader, _ member: String
    ) throws(SpecificationError) -> [Device] {
        var devices: [Device] = []
        for entry in try json.present?.array() ?? [] {
            guard let value = try entry[member].present?.integer() else { continue }
            if value == 0 && member != "rate" { continue }
            let numbers = "\(try entry["major"].integer()):\(try entry["minor"].integer())"
            devices.append(Device(numbers: numbers, value: value))
        }
        return devices
    }
}

extension JSONReader {
    /// A device's number; nil where it stands for all, which some write as -1.
    fileprivate func number() throws(SpecificationError) -> Int? {
        guard let number = try present?.integer() else { return nil }
        if number < -1 || number > Int(UInt32.max) { throw error("there is no such device number") }
        return number < 0 ? nil : number
    }
}
