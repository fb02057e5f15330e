import CLinux
import Glibc
import Kernel
import OCISpec

/// What is in a container's /dev. See runtime-spec, config-linux.md, "Devices" and "Default
/// Devices".
///
/// Nothing where the configuration shows the host's own /dev: that is not ours to change.
public struct BundleDevices: Mechanism {
    /// As the narrator calls it.
    public let name = "bundle devices"
    private let devices: [RuntimeDevice]
    private let isHosts: Bool

    /// The devices of `settings`, and those that every container has.
    public init(_ settings: BundleFilesystem) {
        // That is a link; see below.
        var all = settings.devices.filter { MountPlace.normalized($0.path) != "/dev/ptmx" }
        let given = all.map { MountPlace.normalized($0.path) }
        for node in DeviceFilesystem.nodes {
            let path = "/dev/" + node.name
            if given.contains(path) { continue }
            all.append(RuntimeDevice(path, major: node.major, minor: node.minor))
        }
        devices = all
        isHosts = settings.mounts.contains { mount in
            MountPlace.normalized(mount.destination) == "/dev"
                && MountOptions(mount.options, type: mount.type).isBind
        }
    }

    private static let links = [
        ("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ]

    /// Makes the nodes and the links, after the mounts are there.
    public func enter() throws(KernelError) {
        if isHosts { return }
        let dev = try makePlaceInRoot("/dev", why: "a place for devices")
        var mayMake = true
        for device in devices { try make(device, mayMake: &mayMake, dev) }
        for (name, target) in Self.links { try link(name, to: target, in: dev) }
        // The host can still be seen; where it has none, so does the container.
        if fileType("/proc/kcore") != nil { try link("core", to: "/proc/kcore", in: dev) }
        try linkTerminals(in: dev)
    }

    /// A ptmx of the image's would lead to the host's terminals.
    private func linkTerminals(in dev: borrowing Descriptor) throws(KernelError) {
        let why: StaticString = "new terminals are those of the container's devpts"
        do throws(KernelError) {
            try makeSymbolicLink("ptmx", at: dev.number, to: "pts/ptmx", why: why)
        } catch  where error.errno == .fileExists {
            try removeName("ptmx", at: dev.number, why: "it would lead to other terminals")
            try makeSymbolicLink("ptmx", at: dev.number, to: "pts/ptmx", why: why)
        }
    }

    private func link(
        _ name: String, to target: String, in directory: borrowing Descriptor
    ) throws(KernelError) {
        do throws(KernelError) {
            try makeSymbolicLink(
                name, at: directory.number, to: target, why: "a name that programs expect")
        } catch  where error.errno == .fileExists {
            // The image has one of its own.
        }
    }

    private func make(
        _ device: RuntimeDevice, mayMake: inout Bool, _ dev: borrowing Descriptor
    ) throws(KernelError) {
        let normal = MountPlace.normalized(device.path)
        guard let slash = normal.lastIndex(of: "/"), normal != "/" else {
            throw KernelError("device", device.path, .invalidArgument, remedy: "Name a file.")
        }
        let name = String(normal[normal.index(after: slash)...])
        let parent = String(normal[..<slash])
        if parent == "/dev" {
            try make(device, named: name, in: dev, mayMake: &mayMake)
        } else {
            let directory = try makePlaceInRoot(
                parent.isEmpty ? "/" : parent, why: "a place for the device's node")
            try make(device, named: name, in: directory, mayMake: &mayMake)
        }
    }

    private func make(
        _ device: RuntimeDevice, named name: String, in directory: borrowing Descriptor,
        mayMake: inout Bool
    ) throws(KernelError) {
        let number = directory.number
        do throws(KernelError) {
            if mayMake || device.kind == .pipe {
                try makeNode(
                    name, at: number, type: device.type, mode: mode_t(device.fileMode & 0o7777),
                    major: device.major, minor: device.minor,
                    why: "two numbers lead to the device")
            } else {
                return try borrow(device, named: name, in: directory)
            }
        } catch  where error.errno == .fileExists {
            try check(device, named: name, in: directory)
        } catch  where error.errno == .notPermitted && device.kind != .pipe {
            // A user namespace, or a machine that keeps us from it: it stays like that.
            mayMake = false
            return try borrow(device, named: name, in: directory)
        }
        if device.uid != 0 || device.gid != 0 {
            try changeOwner(
                of: name, at: number, to: device.uid, device.gid, why: "whose device it is")
        }
    }

    /// What is there already has to be that very device.
    private func check(
        _ device: RuntimeDevice, named name: String, in directory: borrowing Descriptor
    ) throws(KernelError) {
        var status = stat()
        guard fstatat(directory.number, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else {
            throw KernelError("stat", device.path, .current)
        }
        guard device.matches(status) else {
            throw KernelError(
                "device", device.path, .fileExists,
                remedy: "Something else has that name: take it out of the image.")
        }
    }

    /// Shows the host's node: a bind mount needs no right to make devices.
    private func borrow(
        _ device: RuntimeDevice, named name: String, in directory: borrowing Descriptor
    ) throws(KernelError) {
        let host = try Descriptor.open(device.path, CInt(linux_O_PATH))
        guard device.matches(try fileStatus(of: host, device.path)) else {
            throw KernelError(
                "device", device.path, .noSuchDevice,
                remedy: "It cannot be made here, and the host has another one of that name.")
        }
        do throws(KernelError) {
            try makeEmptyFile(name, at: directory.number, why: "a file to mount a device on")
        } catch  where error.errno == .fileExists {
            // Anything can be mounted on; links are not followed.
        }
        let place = try Descriptor.open(
            name, CInt(linux_O_PATH) | O_NOFOLLOW, at: directory.number)
        let tree = try cloneMount(
            at: host, on: device.path, why: "the host's own device, a second time")
        try changeMount(
            tree, MountChange(adding: [.noSetUID, .noExecution]), on: device.path,
            why: "a device and no program")
        try attach(tree, at: place, device.path, why: "the device appears")
    }
}

extension RuntimeDevice {
    fileprivate var type: mode_t {
        switch kind {
        case .block: S_IFBLK
        case .pipe: S_IFIFO
        default: S_IFCHR
        }
    }

    fileprivate func matches(_ status: stat) -> Bool {
        guard status.st_mode & S_IFMT == type else { return false }
        return kind == .pipe
            || (device_major(status.st_rdev), device_minor(status.st_rdev)) == (major, minor)
    }
}

/// Mounts a terminal on /dev/console, with the current directory as the root. See `console(4)`.
///
/// - Parameter terminal: the end that the command gets, opened in the container.
/// - Throws: `ELOOP` where the image has a symbolic link there.
public func bindOnConsole(_ terminal: borrowing Descriptor) throws(KernelError) {
    let dev = try makePlaceInRoot("/dev", why: "a place for the console")
    do throws(KernelError) {
        try makeEmptyFile(
            "console", at: dev.number, mode: 0o600, why: "the terminal is mounted on it")
    } catch {
        switch error.errno {
        // A node, or a file: it is covered.
        case .fileExists: break
        // Nothing can be made there; the process has its terminal nevertheless.
        case .readOnly: return
        default: throw error
        }
    }
    let place = try Descriptor.open("console", CInt(linux_O_PATH) | O_NOFOLLOW, at: dev.number)
    guard try fileStatus(of: place, "/dev/console").st_mode & S_IFMT != S_IFLNK else {
        throw KernelError(
            "open", "/dev/console", Errno(rawValue: ELOOP),
            remedy: "The image has a symbolic link there: take it out.")
    }
    let tree = try cloneMount(
        at: terminal, on: "the terminal", why: "the terminal's node, a second time")
    try attach(tree, at: place, "/dev/console", why: "the terminal is the console")
}
