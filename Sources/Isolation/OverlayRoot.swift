import Glibc
import Kernel

/// A root file system in layers: lower ones that are only read, one on top that takes the writes.
///
/// A file is looked for from the top down. Changing one that lies lower copies it up first;
/// deleting one leaves a whiteout in the upper layer. However much a sandbox writes, the
/// lower directories stay as they were, and any number of sandboxes can share them.
/// See "Overlay Filesystem" in the kernel's documentation.
public final class OverlayRoot: Mechanism {
    /// Where the writes go.
    public enum UpperLayer: Sendable {
        /// Into a directory of its own below this one, gone when the sandbox is.
        case throwAway(in: String)
        /// Into this directory, there to be used again.
        case kept(in: String)
        /// Into a directory that the caller has made and holds.
        case made(String, isThrowAway: Bool)
    }

    /// As the narrator calls it.
    public let name = "overlay"
    private let lower: [String]
    private let layer: UpperLayer
    private let context: String?
    private var directory = ""
    private var scratch: OwnedDirectory?
    private let mapsOwners: Bool
    private var owners: MappedOwners?
    private var early: EarlyOverlay?

    /// A union of `lower`, topmost first, under an upper layer.
    ///
    /// - Parameters:
    ///   - mapsOwners: whether the sandbox has a user namespace, in which what belongs to root
    ///     here has to belong to root too.
    ///   - context: the SELinux label that all its files show; nil for their own.
    public init(
        lower: [String], upper: UpperLayer, mapsOwners: Bool = false, context: String? = nil
    ) {
        self.context = context
        self.lower = lower
        self.layer = upper
        self.mapsOwners = mapsOwners
    }

    /// The channel on which layers with other owners come in.
    public var descriptors: [CInt] { owners?.descriptors ?? [] }

    /// Makes the directories that overlayfs asks for.
    public func prepare() throws(KernelError) {
        for path in lower { try checkRootfs(path) }
        switch layer {
        case .throwAway(let parent):
            let made = try OwnedDirectory(
                in: parent, why: "a place for what the sandbox writes, gone when it is")
            directory = made.path
            scratch = consume made
        case .kept(let path):
            try makeDirectories(path, why: "a place for what the sandbox writes")
            directory = try resolvedPath(path)
            let lock = try OwnedDirectory(claiming: directory)
            scratch = consume lock
        case .made(let path, _):
            directory = path
        }
        for name in ["upper", "work", "merged"] {
            try makeDirectories("\(directory)/\(name)", why: "overlayfs asks for it")
        }
        try matchRoot()
        if mapsOwners { try prepareOwners() }
        try union.prepare()
        if OrdinaryUser.isRootOfItsOwn { early = try EarlyOverlay(of: union, on: merged) }
    }

    private var merged: String { directory + "/merged" }

    /// The root directory of the union is the upper layer's: it gets the owner and the mode of the
    /// one below, where those are unusual.
    private func matchRoot() throws(KernelError) {
        var status = stat()
        guard let topmost = lower.first, stat(topmost, &status) == 0 else { return }
        let upper = directory + "/upper"
        if status.st_uid != 0 || status.st_gid != 0 {
            // An ordinary user can give nothing away, least of all to ids that no map knows.
            if chown(upper, status.st_uid, status.st_gid) < 0 {
                let errno = Errno.current
                let isRefused = errno == .notPermitted || errno == .invalidArgument
                guard isRefused && !isInFirstUserNamespace else {
                    throw KernelError("chown", upper, errno)
                }
            }
        }
        let mode = status.st_mode & 0o7777
        if mode != 0o755 && chmod(upper, mode) < 0 { throw KernelError("chmod", upper, .current) }
    }

    private func prepareOwners() throws(KernelError) {
        try makeDirectories(
            directory + "/layers", why: "a place to show the layers with other owners")
        let owners = MappedOwners(of: [directory, commonDirectory(of: lower)])
        try owners.prepare()
        self.owners = owners
    }

    /// The lower layers as they are shown with owners of the sandbox's own: one mount of the
    /// directory that they all are in is enough, and four hundred would take their time.
    private var shownLower: [String] {
        let count = commonDirectory(of: lower).utf8.count
        return lower.map {
            directory + "/layers" + String(decoding: $0.utf8.dropFirst(count), as: UTF8.self)
        }
    }

    /// Hands in the layers with owners that the sandbox's user namespace knows.
    public func adopt(_ child: ProcessID) throws(KernelError) { try owners?.adopt(child) }

    // book: begin overlay-enter
    /// Mounts the union and goes there: the next mechanism makes it the root.
    public func enter() throws(KernelError) {
        try owners?.attach(on: [directory, directory + "/layers"])
        if early == nil {
            try union.mount(
                on: merged,
                why: "one tree out of the layers: reads fall through, writes stay on top")
        }
        try changeDirectory(merged, why: "the root that is to be")
    }
    // book: end overlay-enter

    /// Removes what nobody keeps. The mount itself went with the mount namespace.
    public func release() throws(KernelError) {
        owners = nil
        try early.take()?.release()
        try scratch.take()?.release()
    }

    private var union: LayeredMount {
        var union = LayeredMount(lower: owners == nil ? lower : shownLower, directory: directory)
        // Overlayfs keeps notes in attributes; those of the name trusted.* are the machine's root's.
        if mapsOwners || !isInFirstUserNamespace { union.flags.append("userxattr") }
        // What nobody keeps need never reach the disk.
        if isThrowAway { union.flags.append("volatile") }
        union.context = context
        return union
    }

    private var isThrowAway: Bool {
        switch layer {
        case .throwAway, .made(_, isThrowAway: true): true
        case .kept, .made(_, isThrowAway: false): false
        }
    }
}

/// The deepest directory that holds all of `paths`; the path itself where it is the only one.
private func commonDirectory(of paths: [String]) -> String {
    guard let first = paths.first, paths.count > 1 else { return paths.first ?? "/" }
    var common = split(first, at: "/")
    for path in paths {
        let parts = split(path, at: "/")
        while !parts.starts(with: common) { common.removeLast() }
    }
    return join(common, with: "/")
}
