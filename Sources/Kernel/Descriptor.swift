import CLinux
import Glibc

/// An open file descriptor with one owner, closed when the owner goes.
///
/// Every descriptor is close-on-exec, because `deinit` does not run across
/// `execve(2)`: whatever were left open would be the sandboxed program's.
public struct Descriptor: ~Copyable, Sendable {
    /// The kernel's number for it.
    public let number: CInt

    /// Takes ownership of an open descriptor.
    public init(owning number: CInt) { self.number = number }

    deinit { _ = Glibc.close(number) }

    /// Gives the number away; the caller has to close it.
    public consuming func release() -> CInt {
        let number = number
        discard self
        return number
    }
}

extension Descriptor {
    /// Opens `path`, from `directory` where that is given. See `openat(2)`.
    ///
    /// `O_CLOEXEC` is always added.
    /// - Throws: the kernel's refusal, with `path` as the object.
    public static func open(
        _ path: String, _ flags: CInt, mode: mode_t = 0, at directory: CInt = AT_FDCWD
    ) throws(KernelError) -> Descriptor {
        let number = retryingInterrupts {
            Glibc.openat(directory, path, flags | O_CLOEXEC, mode)
        }
        guard number >= 0 else { throw KernelError("open", path, .current) }
        return Descriptor(owning: number)
    }

    /// Opens `path` below `directory` and refuses every symbolic link on the way.
    ///
    /// With an absolute `path` the leading slash is dropped: the directory is the root.
    /// See `openat2(2)`.
    /// - Throws: `ELOOP` where a component is a symbolic link.
    public static func openBeneath(
        _ path: String, _ flags: CInt, at directory: CInt
    ) throws(KernelError) -> Descriptor {
        var how = open_how()
        how.flags = UInt64(UInt32(bitPattern: flags | O_CLOEXEC))
        how.resolve = UInt64(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)
        let trimmed = path.drop { $0 == "/" }
        let relative = trimmed.isEmpty ? "." : String(trimmed)
        let number = retryingInterrupts {
            openat2(directory, relative, &how, MemoryLayout<open_how>.size)
        }
        guard number >= 0 else { throw KernelError("openat2", path, .current) }
        return Descriptor(owning: number)
    }

    /// Opens `path` below the directory `root`; symbolic links are followed as long as they stay
    /// in it. See `openat2(2)`, `RESOLVE_BENEATH`.
    /// - Throws: `EXDEV` where the path leads out.
    public static func openInside(
        _ path: String, _ flags: CInt, root: CInt
    ) throws(KernelError) -> Descriptor {
        var how = open_how()
        how.flags = UInt64(UInt32(bitPattern: flags | O_CLOEXEC))
        // Of /proc's links not even the kernel knows where they lead.
        how.resolve = UInt64(RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS)
        let number = retryingInterrupts {
            openat2(root, path, &how, MemoryLayout<open_how>.size)
        }
        guard number >= 0 else { throw KernelError("openat2", path, .current) }
        return Descriptor(owning: number)
    }

    /// Reads up to `count` bytes; none at the end of the file. See `read(2)`.
    public borrowing func read(upTo count: Int) throws(KernelError) -> [UInt8] {
        var failure: Errno?
        let number = number
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            let got = retryingInterrupts { Glibc.read(number, buffer.baseAddress, count) }
            if got < 0 { failure = .current }
            filled = max(got, 0)
        }
        if let failure { throw KernelError("read", "descriptor \(number)", failure) }
        return bytes
    }

    /// Reads to the end of the file.
    /// - Throws: `EFBIG` where there is more than `limit` bytes of it.
    public borrowing func readAll(limit: Int = 64 << 20) throws(KernelError) -> [UInt8] {
        var all: [UInt8] = []
        while true {
            let chunk = try read(upTo: 1 << 16)
            if chunk.isEmpty { return all }
            all += chunk
            if all.count > limit {
                throw KernelError("read", "descriptor \(number)", Errno(rawValue: EFBIG))
            }
        }
    }

    /// Writes all of `bytes`. See `write(2)`.
    public borrowing func write(_ bytes: some Collection<UInt8>) throws(KernelError) {
        let bytes = ContiguousArray(bytes)
        var done = 0
        while done < bytes.count {
            let number = number
            let put = bytes.withUnsafeBytes { buffer in
                retryingInterrupts {
                    Glibc.write(number, buffer.baseAddress.map { $0 + done }, buffer.count - done)
                }
            }
            guard put >= 0 else { throw KernelError("write", "descriptor \(number)", .current) }
            done += put
        }
    }

    /// Writes `text` as UTF-8.
    public borrowing func write(_ text: String) throws(KernelError) { try write(text.utf8) }

    /// A second descriptor for the same open file. See `fcntl(2)`, `F_DUPFD_CLOEXEC`.
    public borrowing func duplicate() throws(KernelError) -> Descriptor {
        let copy = fcntl(number, F_DUPFD_CLOEXEC, 3)
        guard copy >= 0 else { throw KernelError("dup", "descriptor \(number)", .current) }
        return Descriptor(owning: copy)
    }
}

/// Calls again for as long as a signal is what stopped the call.
@inline(__always)
func retryingInterrupts<Result: SignedInteger>(_ call: () -> Result) -> Result {
    while true {
        let result = call()
        if result == -1 && current_errno() == EINTR { continue }
        return result
    }
}

/// Closes every descriptor of this process but standard input, output and error, those in
/// `kept`, and the narrator's. See `close_range(2)`.
public func closeDescriptors(but kept: [CInt], why: StaticString) throws(KernelError) {
    var first: UInt32 = 3
    for number in (kept + Narrator.descriptors).sorted() where number >= 3 {
        if UInt32(number) > first { try closeDescriptors(first, UInt32(number) - 1, why: why) }
        first = max(first, UInt32(number) + 1)
    }
    try closeDescriptors(first, UInt32.max, why: why)
}

private func closeDescriptors(
    _ first: UInt32, _ last: UInt32, why: StaticString
) throws(KernelError) {
    try systemCall(
        "close_range",
        [
            .number(Int(first)), last == UInt32.max ? .symbol("~0U") : .number(Int(last)),
            .number(0),
        ],
        on: "descriptors from \(first) on", why: why
    ) { close_range(first, last, 0) }
}
