import Foundation
import Glibc
import Isolation
import Kernel
import Testing

/// A lock tells whose directories are still in use.
@Suite struct OwnedDirectoryTests {
    private let parent = NSTemporaryDirectory() + "hull-core-" + randomName()

    @Test("A directory without an owner is swept, one with an owner is not")
    func sweep() throws {
        let owned = try OwnedDirectory(in: parent, why: "test")
        let path = owned.path
        let abandoned = parent + "/abandoned"
        #expect(mkdir(abandoned, 0o755) == 0)
        OwnedDirectory.sweep(parent)
        #expect(fileType(abandoned) == nil)
        #expect(fileType(path) == .directory)
        #expect(OwnedDirectory.isOwned(path))
        try owned.release()
        #expect(fileType(path) == nil)
        try removeTree(parent)
    }

    @Test("A directory that is in use cannot be claimed")
    func claim() throws {
        let owned = try OwnedDirectory(in: parent, why: "test")
        let path = owned.path
        let error = #expect(throws: KernelError.self) {
            let second = try OwnedDirectory(claiming: path)
            try second.release()
        }
        #expect(error?.errno == .busy)
        try owned.release()
        try removeTree(parent)
    }

    @Test("Claiming and giving back leaves a directory as it was")
    func keep() throws {
        #expect(mkdir(parent, 0o755) == 0)
        let owned = try OwnedDirectory(claiming: parent)
        try owned.release()
        #expect(fileType(parent) == .directory)
        #expect(!OwnedDirectory.isOwned(parent))
        try removeTree(parent)
    }
}
