import Glibc
import Kernel

/// One tree out of layers, as overlayfs makes it, however many there are.
///
/// The kernel stacks up to 500. `mount(2)` takes all options in one string that has to be
/// shorter than a page of memory, which is full with some forty layers whose names have digests
/// in them. So there are three ways to name the layers:
///
///     mount(2)       all of them in one string, where that is short enough
///     fsconfig(2)    each in a call of its own: `lowerdir+`, since Linux 6.5
///     short names    symbolic links called 0, 1, 2…, seen from the directory that they are in
///
/// See "Overlay Filesystem" in the kernel's documentation.
public struct LayeredMount: Sendable {
    /// As many layers as the kernel stacks (OVL_MAX_STACK).
    public static let limit = 500

    /// The directories that are only read, the topmost first.
    public var lower: [String]
    /// Where overlayfs has `upper` and `work`, and short names are made in `lower`.
    public var directory: String
    /// Whether there is no layer to write to.
    public var isReadOnly = false
    /// Options without a value.
    public var flags: [String] = []
    /// The SELinux label that all its files show; nil for their own.
    public var context: String?

    /// A union of `lower`, topmost first.
    public init(lower: [String], directory: String) {
        self.lower = lower
        self.directory = directory
    }

    private var names: String { directory + "/lower" }

    /// Whether mount(2) can be told all at once.
    public var fitsIntoString: Bool { options.utf8.count < Int(getpagesize()) - 2 }

    /// All options in one string, as mount(2) and fuse-overlayfs take them.
    public var options: String { options(lower.map(escape), in: directory) }

    private func options(_ lower: [String], in directory: String) -> String {
        var parts = ["lowerdir=" + join(lower, with: ":")]
        if !isReadOnly {
            parts.append("upperdir=" + escape(directory + "/upper"))
            parts.append("workdir=" + escape(directory + "/work"))
        }
        parts += flags
        if let context { parts.append("context=\"\(context)\"") }
        return join(parts, with: ",")
    }

    /// Makes the directory for short names, where they may be needed.
    public func prepare() throws(KernelError) {
        if lower.count > LayeredMount.limit {
            throw KernelError(
                "mount", "overlay", Errno(rawValue: E2BIG),
                remedy: "It has \(lower.count) layers, and the kernel stacks"
                    + " \(LayeredMount.limit). `--storage-driver copy` stacks none.")
        }
        if fitsIntoString { return }
        try makeDirectories(names, why: "a place for short names of many layers")
    }

    // book: begin layered-mount
    /// Mounts it on `target`.
    public func mount(on target: String, why: StaticString) throws(KernelError) {
        if fitsIntoString {
            return try Kernel.mount(
                "overlay", on: target, type: "overlay", restrictions, options: options, why: why)
        }
        do {
            try mountOneByOne(on: target, why)
        } catch {
            // An older kernel, or a name that is too long for it.
            guard error.errno == .invalidArgument || error.errno.rawValue == ENOSYS
            else { throw error.renamed("mount", target) }
            try mountByShortNames(on: target, why)
        }
    }

    private func mountOneByOne(on target: String, _ why: StaticString) throws(KernelError) {
        let union = try FilesystemContext("overlay", why: "an overlay, told layer by layer")
        for path in lower {
            try union.set("lowerdir+", to: path, why: "the next layer down")
        }
        if !isReadOnly {
            try union.set("upperdir", to: escape(directory + "/upper"), why: "takes the writes")
            try union.set("workdir", to: escape(directory + "/work"), why: "overlayfs asks for it")
        }
        for flag in flags { try union.set(flag, why: "how overlayfs is to keep its notes") }
        if let context { try union.set("context", to: context, why: "the label of all its files") }
        try union.create(why: why)
        let tree = try union.mount(restrictions, why: "a mount of it, at no place as yet")
        try attach(tree, on: target, shell: shortNamesCommand(target), why: why)
    }
    // book: end layered-mount

    private var restrictions: MountFlags { isReadOnly ? .readOnly : [] }

    private func mountByShortNames(on target: String, _ why: StaticString) throws(KernelError) {
        for (index, path) in lower.enumerated() {
            try makeSymbolicLink(
                "\(names)/\(index)", to: path, why: "a name so short that all fit into a page")
        }
        // A path from here is shorter than any other.
        let before = try Descriptor.open(".", O_RDONLY | O_DIRECTORY)
        try changeDirectory(names, why: "the names mean something from here")
        try Kernel.mount(
            "overlay", on: target, type: "overlay", restrictions, options: shortOptions, why: why)
        try changeDirectory(before, why: "back to where it was")
    }

    private var shortOptions: String { options(lower.indices.map { "\($0)" }, in: "..") }

    /// mount(8) knows `lowerdir+` only since util-linux 2.39; this does the same with any.
    private func shortNamesCommand(_ target: String) -> String {
        var lines = ["cd \(quoteShell(names))"]
        for (index, path) in lower.enumerated() {
            lines.append("ln -s \(quoteShell(path)) \(index)")
        }
        let options = (isReadOnly ? "ro," : "") + shortOptions
        lines.append("mount -t overlay -o \(quoteShell(options)) overlay \(quoteShell(target))")
        return join(lines, with: "\n")
    }

    /// Colons separate layers and commas separate options, unless a backslash comes first.
    private func escape(_ path: String) -> String {
        var escaped = ""
        for scalar in path.unicodeScalars {
            if scalar == ":" || scalar == "," || scalar == "\\" { escaped += "\\" }
            escaped.unicodeScalars.append(scalar)
        }
        return escaped
    }
}
