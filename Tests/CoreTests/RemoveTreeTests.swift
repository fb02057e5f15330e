import Foundation
import Glibc
import Kernel
import Testing

/// What a sandbox leaves may be anything; removing it must neither fail nor reach outside.
@Suite struct RemoveTreeTests {
    private let top = NSTemporaryDirectory() + "hull-core-" + randomName()

    @Test("A directory tree deeper than any path is removed")
    func deep() throws {
        #expect(mkdir(top, 0o755) == 0)
        var parent = open(top, O_RDONLY | O_DIRECTORY)
        for _ in 0..<5000 {
            #expect(mkdirat(parent, "d", 0o755) == 0)
            close(openat(parent, "f", O_CREAT | O_WRONLY, 0o600))
            let next = openat(parent, "d", O_RDONLY | O_DIRECTORY)
            close(parent)
            parent = next
        }
        close(parent)
        try removeTree(top)
        #expect(fileType(top) == nil)
    }

    @Test("A symbolic link is removed, and what it points to is not")
    func links() throws {
        let outside = top + "-outside"
        try FileManager.default.createDirectory(
            atPath: outside, withIntermediateDirectories: true)
        try replaceFile(outside + "/kept", with: "kept".utf8, durable: false)
        #expect(mkdir(top, 0o755) == 0)
        #expect(symlink(outside, top + "/link") == 0)
        try removeTree(top)
        #expect(try readText(outside + "/kept") == "kept")
        try removeTree(outside)
    }

    @Test("A name that is no text is removed like any other")
    func bytes() throws {
        #expect(mkdir(top, 0o755) == 0)
        let directory = open(top, O_RDONLY | O_DIRECTORY)
        defer { close(directory) }
        let name: FileName = [0xFF, 0xFE, 10, 0x80]
        #expect(name.withCName { mkdirat(directory, $0, 0o700) } == 0)
        try removeTree(top)
        #expect(fileType(top) == nil)
    }

    @Test("What is not there is no error")
    func missing() throws { try removeTree(top) }
}
