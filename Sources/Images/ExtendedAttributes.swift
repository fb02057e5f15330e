import CLinux
import Glibc
import Kernel

// The calls that take a directory descriptor and a name came only with Linux 6.13;
// until then /proc/self/fd stands in for the directory.

/// The extended attributes of `name` in `directory`, sorted, without those that are not
/// the file's own. See `llistxattr(2)`.
func extendedAttributes(
    of name: FileName, at directory: CInt
) throws(KernelError) -> [ExtendedAttribute] {
    let path = pathThroughProc(name, directory)
    var attributes: [ExtendedAttribute] = []
    let names = try attributeBytes(name) { buffer, size in
        path.withCName { llistxattr($0, buffer, size) }
    }
    for attribute in names.split(separator: 0).map(FileName.init) where isFilesOwn(attribute) {
        let value = try attributeBytes(name) { buffer, size in
            path.withCName { path in attribute.withCName { lgetxattr(path, $0, buffer, size) } }
        }
        attributes.append(ExtendedAttribute(name: attribute, value: value))
    }
    return attributes.sorted { $0.name.lexicographicallyPrecedes($1.name) }
}

/// Gives `name` in `directory` an extended attribute. See `lsetxattr(2)`.
///
/// A file system that does not know this kind of attribute is no error: the file is
/// usable without, and no other engine refuses it.
func setExtendedAttribute(
    _ attribute: ExtendedAttribute, of name: FileName, at directory: CInt
) throws(KernelError) {
    let path = pathThroughProc(name, directory)
    let result = path.withCName { path in
        attribute.name.withCName {
            lsetxattr(path, $0, attribute.value, attribute.value.count, 0)
        }
    }
    if result < 0 { try judge(.current, "\(name.shown) \(attribute.name.shown)") }
}

/// The same for a file that is open. See `fsetxattr(2)`.
func setExtendedAttribute(
    _ attribute: ExtendedAttribute, ofOpen file: CInt
) throws(KernelError) {
    let result = attribute.name.withCName {
        fsetxattr(file, $0, attribute.value, attribute.value.count, 0)
    }
    if result < 0 { try judge(.current, attribute.name.shown) }
}

private func judge(_ errno: Errno, _ object: String) throws(KernelError) {
    // Those of the name trusted.* are for the machine's root alone.
    if errno == .notPermitted, !isInFirstUserNamespace { return }
    if errno.rawValue != ENOTSUP { throw KernelError("lsetxattr", object, errno) }
}

/// Takes an extended attribute away. See `lremovexattr(2)`.
func removeExtendedAttribute(
    _ attribute: FileName, of name: FileName, at directory: CInt
) throws(KernelError) {
    let result = pathThroughProc(name, directory).withCName { path in
        attribute.withCName { lremovexattr(path, $0) }
    }
    let errno = Errno.current
    guard result == 0 || errno.rawValue == ENODATA else {
        throw KernelError("lremovexattr", "\(name.shown) \(attribute.shown)", errno)
    }
}

/// Whether an attribute belongs to a file and not to the machine it lies on.
///
/// overlayfs keeps its own state in attributes, such as where a renamed directory is to be
/// found. Taken from an archive, that would let an image point anywhere in its lower layers. And
/// a security label is this machine's policy, not the image's.
func isFilesOwn(_ attribute: FileName) -> Bool {
    ![
        "trusted.overlay.", "user.overlay.", "user.fuseoverlayfs.", "security.selinux",
    ].contains {
        attribute.starts(with: $0.utf8)
    }
}

/// Whether overlayfs is told to show nothing of the layers below in this directory.
func isOpaque(_ name: FileName, at directory: CInt) -> Bool {
    let path = pathThroughProc(name, directory)
    return (opaqueAttributes + ["user.fuseoverlayfs.opaque"]).contains { attribute in
        var value: UInt8 = 0
        let count = path.withCName { lgetxattr($0, attribute, &value, 1) }
        return count == 1 && value == UInt8(ascii: "y")
    }
}

/// Whether `name` in `directory` has the extended attribute.
func hasAttribute(_ attribute: String, _ name: FileName, at directory: CInt) -> Bool {
    pathThroughProc(name, directory).withCName { lgetxattr($0, attribute, nil, 0) } >= 0
}

/// The names of that mark: for an overlay of the machine's root, and for one (`userxattr`) in a
/// user namespace, which cannot read the other. A layer may come to lie under either.
let opaqueAttributes = ["trusted.overlay.opaque", "user.overlay.opaque"]

private func pathThroughProc(_ name: FileName, _ directory: CInt) -> FileName {
    FileName("/proc/self/fd/\(directory)/".utf8) + name
}

/// Asks for the size, then for the bytes. No attribute at all, or no support, is no bytes.
private func attributeBytes(
    _ name: FileName, _ call: (UnsafeMutablePointer<CChar>?, Int) -> Int
) throws(KernelError) -> [UInt8] {
    let size = call(nil, 0)
    if size == 0 { return [] }
    if size > 0 {
        var bytes = [CChar](repeating: 0, count: size)
        let count = call(&bytes, size)
        if count >= 0 { return bytes.prefix(count).map { UInt8(bitPattern: $0) } }
    }
    let errno = Errno.current
    if errno.rawValue == ENOTSUP || errno.rawValue == ENODATA { return [] }
    throw KernelError("lgetxattr", name.shown, errno)
}
