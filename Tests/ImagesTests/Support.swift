import Foundation
import Kernel
import OCISpec
import Testing

@testable import Images

/// A directory that goes with the test.
final class TemporaryDirectory {
    let path: String

    init() throws {
        path = "/var/tmp/hull-images-\(randomName())"
        try makeDirectory(path, mode: 0o700, why: "a test")
    }

    deinit { try? removeTree(path) }

    static func / (directory: TemporaryDirectory, name: String) -> String {
        directory.path + "/" + name
    }
}

/// Runs a script and returns what it printed; a failing one is a failing test.
@discardableResult
func shell(_ script: String, _ location: SourceLocation = #_sourceLocation) throws -> Data {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/bash")
    process.arguments = ["-euo", "pipefail", "-c", script]
    process.environment = [
        "LC_ALL": "C", "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
    ]
    let output = Pipe()
    process.standardOutput = output
    process.standardError = output
    try process.run()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    #expect(
        process.terminationStatus == 0, "\(script)\n\(String(decoding: data, as: UTF8.self))",
        sourceLocation: location)
    return data
}

/// Everything about every file below `path`, one line each: type, mode, owner, size, time to
/// the nanosecond, link target and count, device, content, extended attributes, and which
/// names are the same file.
func listing(_ path: String) throws -> Data {
    try shell(
        """
        cd '\(path)'
        find . ! -type d -printf '%p %y %m %U %G %s %T@ %l %n\\n' | sort
        find . -type d -printf '%p %y %m %U %G %T@ %l\\n' | sort
        find . -type b,c -print0 | sort -z | xargs -0r stat -c '%n %t %T'
        find . -type f -print0 | sort -z | xargs -0r sha256sum
        find . -print0 | sort -z | xargs -0r getfattr -h -d -m - -e hex 2>/dev/null
        find . -type f -links +1 -printf '%i %p\\n' | sort -k2 \
            | awk '{ if (!($1 in first)) first[$1] = $2; print $2, first[$1] }'
        """)
}

/// Unpacks an archive as a layer into a new directory.
func unpack(_ archive: String, into directory: String) throws(KernelError) {
    try makeDirectory(directory, why: "a test")
    let root = try Descriptor.open(directory, O_RDONLY | O_DIRECTORY)
    let file = FileSource(try Descriptor.open(archive, O_RDONLY), named: archive)
    var unpacker = try LayerUnpacker(into: root, named: archive)
    try unpacker.unpack(TarReader(try unpacked(file, named: archive), named: archive))
}

/// An archive of exactly these entries; regular ones get as many `x` as their size says.
func writeArchive(_ path: String, _ entries: [TarEntry]) throws(KernelError) {
    let file = try Descriptor.open(path, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
    let writer = TarWriter(FileSink(file, named: path))
    for entry in entries {
        try writer.append(entry)
        guard case .regular(let size) = entry.kind else { continue }
        let content = [UInt8](repeating: UInt8(ascii: "x"), count: size)
        try content.withUnsafeBufferPointer { bytes throws(KernelError) in
            try writer.writeContent(UnsafeRawBufferPointer(bytes))
        }
        try writer.endContent(size: size)
    }
    try writer.finish()
}

func entry(_ path: String, _ kind: TarEntry.Kind) -> TarEntry {
    TarEntry(
        path: FileName(path.utf8), kind: kind, mode: 0o755, owner: 0, group: 0,
        modified: TarTime(seconds: 1_000_000_000))
}

func file(_ path: String) -> TarEntry { entry(path, .regular(size: 4)) }

/// A small tree with one of everything that an archive can hold.
func makeTree(_ path: String) throws {
    let long = String(repeating: "n", count: 200)
    try shell(
        """
        mkdir -p '\(path)'; cd '\(path)'
        mkdir -p dir/sub empty '\(long)/\(long)'
        head -c 100000 /dev/urandom > dir/random; : > empty-file; echo text > dir/sub/text
        ln dir/random dir/sub/hard; ln dir/random another-hard
        ln -s sub/text dir/soft; ln -s /nowhere/'\(long)' dangling; ln -s . dir/sub/loop
        echo deep > '\(long)/\(long)/\(long)'
        ln '\(long)/\(long)/\(long)' long-hard
        mknod dir/char c 1 3; mknod dir/block b 7 200; mkfifo dir/fifo
        chown 12345:54321 dir/random; chown -h 3000000:3000000 dir/soft; chown 7:8 empty
        chmod 4755 dir/random; chmod 2711 dir/sub; chmod 1777 empty; chmod 0 empty-file
        printf odd > $'dir/\\xff\\xfe\\n\\t name'; echo ü > 'dir/grüße'
        setfattr -n user.colour -v 'b=l\nue' dir/random; setfattr -n user.dir -v 1 dir/sub
        setfattr -n trusted.hull -v 0x0001ff dir/sub/text
        touch -h -d '2001-02-03 04:05:06.123456789' dir/random dir/soft empty-file
        touch -d '1960-01-01 00:00:00.25 UTC' dir/sub/text
        touch -d '2030-01-01 00:00:00.5' dir/sub dir empty .
        """)
}
