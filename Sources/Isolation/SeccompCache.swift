import CLibseccomp
import Glibc
import Kernel

/// Compiled filters, kept in files: making one takes longer than all the rest of a sandbox.
///
/// A file is named by a digest of all that went into the filter, and begins with just that. So
/// an entry is used only for what it was made from, whatever the digest says; and a sum over
/// all of it tells whether it is whole. What does not fit is made again.
struct SeccompCache {
    private let directory: String
    private let key: [UInt8]

    /// - Parameters:
    ///   - profile: the profile's text.
    ///   - choices: whatever else the filter depends on.
    init(_ profile: [UInt8], _ choices: String, in directory: String) {
        self.directory = directory
        let text =
            "1 \(kernelRelease()) \(SeccompFilter.library) \(seccomp_arch_native()) \(choices)\n"
        key = Array(text.utf8) + profile
    }

    private var path: String { "\(directory)/\(String(digest(key), radix: 16))" }

    // book: begin seccomp-cache
    /// The program, if there is a whole one of ours; nil where it has to be made.
    func load() -> [UInt8]? {
        guard let bytes = readOwnFile(path), bytes.count > key.count + 8,
            bytes.prefix(key.count).elementsEqual(key)
        else { return nil }
        let program = Array(bytes.dropFirst(key.count).dropLast(8))
        guard Array(bytes.suffix(8)) == sum(program) else { return nil }
        return program
    }
    // book: end seccomp-cache

    /// Keeps a program. A cache that cannot be written is only slow.
    func store(_ program: [UInt8]) {
        do {
            try makeDirectories(directory, mode: 0o711, why: "compiled filters, to be used again")
            try forgetOld()
            try replaceFile(
                path, with: key + program + sum(program), mode: 0o644, durable: false)
        } catch {}
    }

    /// Nobody else may have a say in what is allowed.
    private func readOwnFile(_ path: String) -> [UInt8]? {
        do {
            let file = try Descriptor.open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
            var status = stat()
            guard fstat(file.number, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
                status.st_uid == geteuid(), status.st_mode & 0o022 == 0
            else { return nil }
            return try file.readAll(limit: 4 << 20)
        } catch {
            return nil
        }
    }

    /// Kernels and profiles change; what is not used any more must not pile up.
    private func forgetOld() throws(KernelError) {
        let names = try namesInDirectory(directory)
        if names.count < 32 { return }
        for name in names { unlink("\(directory)/\(name)") }
    }

    private func sum(_ program: [UInt8]) -> [UInt8] {
        let digest = digest(key + program)
        return (0..<8).map { UInt8(truncatingIfNeeded: digest >> (8 * UInt64($0))) }
    }

    /// FNV-1a: against accidents, and to find things again. It has no enemies here: whoever can
    /// write the directory can change everything else of Hull's too.
    private func digest(_ bytes: [UInt8]) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return hash
    }
}
