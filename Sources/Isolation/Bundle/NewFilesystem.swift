import CLinux
import Glibc
import Kernel

/// A file system that is made for a mount of a bundle. See `fsopen(2)`.
struct NewFilesystem {
    private let planned: PlannedMount
    private let label: String?
    private let coversNothing: Bool

    /// - Parameters:
    ///   - label: the SELinux label for its files.
    ///   - coversNothing: whether there was no directory in its place, whose mode would be its.
    init(_ planned: PlannedMount, label: String?, coversNothing: Bool = false) {
        self.planned = planned
        self.label = label
        self.coversNothing = coversNothing
    }

    private var type: String { planned.mount.type }

    /// A mount of it that is attached nowhere, or of the host's where a user namespace gets none.
    func make(for place: borrowing Descriptor) throws(KernelError) -> Descriptor {
        let status = try fileStatus(of: place, planned.mount.destination)
        guard status.st_mode & S_IFMT == S_IFDIR else {
            throw KernelError(
                "mount", planned.mount.destination, .notDirectory,
                remedy: "A file system can be mounted on a directory only.")
        }
        do throws(KernelError) {
            let tree = try create(mode: coversNothing ? 0o1777 : status.st_mode & 0o7777)
            if planned.options.copiesUp && type == "tmpfs" { try copyUp(place, to: tree) }
            return tree
        } catch  where error.errno == .notPermitted {
            guard let host else { throw error }
            return try borrow(host)
        }
    }

    /// What the kernel refuses to a user namespace that does not own what it shows: the network
    /// in /sys, the queues of the IPC namespace. The host's has the same to show then.
    private var host: String? {
        switch type {
        case "sysfs": "/sys"
        case "mqueue": "/dev/mqueue"
        default: nil
        }
    }

    private func borrow(_ path: String) throws(KernelError) -> Descriptor {
        let tree = try cloneMount(
            path, isRecursive: true, why: "none of its own: the host's, a second time")
        var change = MountChange(adding: planned.firstAttributes)
        change.removing = change.adding.isDisjoint(with: .accessTimes) ? [] : .accessTimes
        if !change.isEmpty {
            try changeMount(tree, change, isRecursive: true, on: path, why: "as asked for")
        }
        return tree
    }

    private func create(mode: mode_t) throws(KernelError) -> Descriptor {
        let context: FilesystemContext
        do { context = try FilesystemContext(type, why: "a file system of its own") } catch {
            guard error.errno == .noSuchDevice else { throw error }
            throw error.advising("This kernel has no file system of that type.")
        }
        do throws(KernelError) {
            try configure(context, mode: mode)
            try context.create(why: "made as it was chosen")
        } catch {
            guard let complaint = context.complaint() else { throw error }
            throw error.advising("The kernel says: \(complaint).")
        }
        return try context.mount(
            with: planned.firstAttributes, why: "a mount of it, at no place as yet")
    }

    private func configure(
        _ context: borrowing FilesystemContext, mode: mode_t
    ) throws(KernelError) {
        let source = planned.mount.source
        if !source.isEmpty {
            try context.set("source", to: source, why: "what it is called in mountinfo")
        }
        // A disk that cannot be written is refused otherwise.
        if source.hasPrefix("/") && planned.options.attributes.adding.contains(.readOnly) {
            try context.set("ro", why: "not even the kernel is to write on it")
        }
        var hasMode = type != "tmpfs"
        for (name, value) in planned.options.data {
            if name == "mode" { hasMode = true }
            try context.set(name, to: value, why: "an option of its own")
        }
        if !hasMode && mode != 0o1777 {
            // A tmpfs is anybody's to write unless told otherwise.
            try context.set(
                "mode", to: "0" + String(mode, radix: 8), why: "that of the directory it covers")
        }
        if let label, !label.isEmpty, type != "proc", type != "sysfs", type != "mqueue" {
            try context.set("context", to: label, why: "the SELinux label of all its files")
        }
    }

    /// The files that it is going to cover, in the new file system too.
    private func copyUp(
        _ place: borrowing Descriptor, to tree: borrowing Descriptor
    ) throws(KernelError) {
        let from = try Descriptor.open(".", O_RDONLY | O_DIRECTORY, at: place.number)
        let to = try Descriptor.open(".", O_RDONLY | O_DIRECTORY, at: tree.number)
        try copyEntries(of: from, into: to)
    }
}

extension FilesystemContext {
    /// Chooses `value` for `name`, or something that has no value.
    borrowing func set(_ name: String, to value: String?, why: StaticString) throws(KernelError) {
        guard let value else { return try set(name, why: why) }
        if value.utf8.count > 255 && name == "lowerdir" {
            // One by one: together they are longer than the kernel takes for one option.
            for layer in split(value, at: ":") {
                try set("lowerdir+", to: layer, why: "a layer, below those before it")
            }
            return
        }
        try set(name, to: value, why: why)
    }
}
