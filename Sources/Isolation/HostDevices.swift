import Glibc
import Kernel

/// A device of the host that a container may use (`--device PATH[:DST[:rwm]]`).
public struct HostDevice: Equatable, Sendable {
    let node: DeviceNode
    let target: String
    let access: DeviceRule.Access

    /// Reads `PATH`, `PATH:DST`, `PATH:rwm` or `PATH:DST:rwm`.
    /// - Throws: `ENODEV` where there is no device.
    public init(parsing text: String) throws(KernelError) {
        var parts = split(text, at: ":")
        let given = DeviceRule.Access(parsing: parts[parts.count - 1])
        if parts.count > 1 && given != nil { parts.removeLast() }
        access = given ?? .all
        guard parts.count <= 2, parts[parts.count - 1].hasPrefix("/") else {
            throw KernelError(
                "option", "--device \(text)", .invalidArgument,
                remedy: "Write PATH, PATH:DST or PATH:DST:rwm, with absolute paths.")
        }
        guard let node = try DeviceNode(at: parts[0]) else {
            throw KernelError(
                "option", "--device \(text)", Errno(rawValue: ENODEV),
                remedy: "What is at \(parts[0]) is no device; -v shows files and directories.")
        }
        self.node = node
        target = parts[parts.count - 1]
    }

    private init(_ node: DeviceNode, at path: String) {
        self.node = node
        target = path
        access = .all
    }

    /// All that the host has in its /dev, for `--privileged`; terminals are left out.
    static func all(in directory: String = "/dev") -> [HostDevice] {
        guard let names = try? namesInDirectory(directory) else { return [] }
        return names.flatMap { name -> [HostDevice] in
            let path = "\(directory)/\(name)"
            var status = stat()
            guard name != "console", name != "pts", lstat(path, &status) == 0 else { return [] }
            if status.st_mode & S_IFMT == S_IFDIR { return all(in: path) }
            if status.st_mode & S_IFMT == S_IFLNK { return [] }
            guard let node = try? DeviceNode(at: path) else { return [] }
            return [HostDevice(node, at: path)]
        }
    }

    /// What its cgroup has to allow.
    var rule: DeviceRule {
        DeviceRule(node.isBlock ? .block : .character, node.major, node.minor, access)
    }
}

/// Device nodes of the host in the sandbox. See `mknod(2)`.
public struct HostDevices: Mechanism {
    /// As the narrator calls it.
    public let name = "devices"
    private let devices: [HostDevice]

    /// Makes a node for each.
    public init(_ devices: [HostDevice]) { self.devices = devices }

    /// After /dev is there, which hides what the image has in its own.
    public func enter() throws(KernelError) {
        for device in devices {
            if let slash = device.target.lastIndex(of: "/"), slash != device.target.startIndex {
                try makeDirectories(
                    String(device.target[..<slash]), why: "a place for the device's node")
            }
            do {
                try makeDevice(
                    device.target, major: device.node.major, minor: device.node.minor,
                    mode: device.node.mode, isBlock: device.node.isBlock,
                    why: "the same two numbers lead to the same device")
            } catch {
                // Those that every container has may be asked for as well.
                guard error.errno == .fileExists,
                    let there = try DeviceNode(at: device.target),
                    (there.major, there.minor) == (device.node.major, device.node.minor)
                else { throw error }
            }
        }
    }
}
