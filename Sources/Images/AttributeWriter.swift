import CLinux
import Glibc
import Kernel

/// Gives files that were just made what the archive says of them.
struct AttributeWriter {
    /// A new file: by its name, or by a descriptor where it is open anyway, which is quicker.
    enum File {
        case name(FileName, at: CInt)
        case open(CInt)
    }

    /// Whether root here is root of a user namespace only, which may not do all of this.
    let isInUserNamespace = !isInFirstUserNamespace

    /// The owner comes first: changing it clears set-user-ID and the file's capabilities.
    /// The mode comes before an access control list, of which it is a part. The time comes last:
    /// everything else changes it.
    func set(_ entry: TarEntry, of file: File) throws(KernelError) {
        try setOwner(entry.owner, entry.group, of: file)
        var isLink = false
        if case .symbolicLink = entry.kind { isLink = true }
        // A symbolic link has no mode, and fchmodat would follow it.
        if !isLink { try setMode(entry.mode, of: file) }
        for attribute in entry.attributes where isFilesOwn(attribute.name) {
            try set(attribute, of: file)
        }
        try setTime(entry.modified, of: file)
    }

    /// Sets the time of change. See `utimensat(2)`.
    func setTime(_ time: TarTime, of file: File) throws(KernelError) {
        let moment = timespec(tv_sec: time.seconds, tv_nsec: time.nanoseconds)
        let times = [moment, moment]
        let result =
            switch file {
            case .name(let name, let at):
                name.withCName { utimensat(at, $0, times, AT_SYMLINK_NOFOLLOW) }
            case .open(let number): futimens(number, times)
            }
        if result < 0 { throw KernelError("utimensat", file.shown, .current) }
    }

    /// Removes the attributes that `entry` has not: those of a lower layer's directory that it
    /// stands for now, or the lists that a new file takes over from its directory.
    func removeOthers(than entry: TarEntry, of name: FileName, at directory: CInt)
        throws(KernelError)
    {
        for attribute in try extendedAttributes(of: name, at: directory)
        where !entry.attributes.contains(where: { $0.name == attribute.name }) {
            try removeExtendedAttribute(attribute.name, of: name, at: directory)
        }
    }

    private func setOwner(_ owner: UInt32, _ group: UInt32, of file: File) throws(KernelError) {
        let result =
            switch file {
            case .name(let name, let at):
                name.withCName { fchownat(at, $0, owner, group, AT_SYMLINK_NOFOLLOW) }
            case .open(let number): fchown(number, owner, group)
            }
        if result == 0 { return }
        let errno = Errno.current
        // An id that the namespace does not know: then the file is the user's own.
        guard isInUserNamespace, errno == .invalidArgument else {
            throw KernelError("fchownat", file.shown, errno)
        }
    }

    private func setMode(_ mode: UInt32, of file: File) throws(KernelError) {
        let result =
            switch file {
            case .name(let name, let at): name.withCName { fchmodat(at, $0, mode, 0) }
            case .open(let number): fchmod(number, mode)
            }
        if result < 0 { throw KernelError("fchmodat", file.shown, .current) }
    }

    private func set(_ attribute: ExtendedAttribute, of file: File) throws(KernelError) {
        switch file {
        case .name(let name, let at): try setExtendedAttribute(attribute, of: name, at: at)
        case .open(let number): try setExtendedAttribute(attribute, ofOpen: number)
        }
    }
}

extension AttributeWriter.File {
    /// For errors; what is open has no name any more, and the caller knows it.
    fileprivate var shown: String {
        switch self {
        case .name(let name, _): name.shown
        case .open: ""
        }
    }
}
