import Glibc

/// A file's name as the kernel knows it: bytes, of which only NUL and / have a meaning.
///
/// A `String` would not do: it repairs what is not UTF-8, and the file would get another name.
public typealias FileName = [UInt8]

extension FileName {
    /// Calls `body` with the name as C wants it.
    public func withCName<Result>(_ body: (UnsafePointer<CChar>) -> Result) -> Result {
        var bytes = [CChar]()
        bytes.reserveCapacity(count + 1)
        for byte in self { bytes.append(CChar(bitPattern: byte)) }
        bytes.append(0)
        return body(bytes)
    }

    /// The name for an error message; what is not UTF-8 or would upset a terminal shows as `?`.
    public var shown: String {
        let text = String(decoding: self, as: UTF8.self)
        return String(
            text.map { character in
                let isControl = character.unicodeScalars.contains {
                    $0.value < 32 || (127..<160).contains($0.value)
                }
                return isControl || character == "\u{FFFD}" ? "?" : character
            })
    }
}

/// The names in an open directory, without `.` and `..`, in the directory's own order.
/// See `readdir(3)`.
public func directoryEntries(_ directory: borrowing Descriptor) throws(KernelError) -> [FileName] {
    // The stream closes what it is given, so it gets a copy; and a copy reads on from where
    // the original was read to.
    let copy = try directory.duplicate()
    guard let stream = fdopendir(copy.number) else {
        throw KernelError("fdopendir", "descriptor \(directory.number)", .current)
    }
    _ = copy.release()
    rewinddir(stream)
    defer { closedir(stream) }
    let offset = MemoryLayout<dirent>.offset(of: \.d_name) ?? 0
    var names: [FileName] = []
    while let entry = readdir(stream) {
        let name = UnsafeRawPointer(entry) + offset
        let length = strlen(name.assumingMemoryBound(to: CChar.self))
        let bytes = FileName(UnsafeRawBufferPointer(start: name, count: length))
        if bytes != [46] && bytes != [46, 46] { names.append(bytes) }
    }
    return names
}
