import Foundation
import Kernel
import OCISpec
import Testing

@testable import Images

@Suite struct StoreTests {
    let scratch: TemporaryDirectory
    let store: ContentStore

    init() throws {
        scratch = try TemporaryDirectory()
        store = ContentStore(stateRoot: scratch.path)
    }

    private func random(_ count: Int) -> [UInt8] { (0..<count).map { _ in .random(in: 0...255) } }

    private func append(_ bytes: some Collection<UInt8>, to blob: BlobWriter) throws(KernelError) {
        try Array(bytes).withUnsafeBufferPointer { buffer throws(KernelError) in
            try blob.write(UnsafeRawBufferPointer(buffer))
        }
    }

    private func ingest() throws -> [String] {
        try namesInDirectory(store.path + "/ingest").filter { $0 != "lock" }
    }

    @Test(arguments: Digest.Algorithm.allCases)
    func `A blob is found by its digest, and is what it was`(_ algorithm: Digest.Algorithm) throws {
        let bytes = random(300_000)
        let blob = try store.makeBlob(algorithm)
        try append(bytes, to: blob)
        let digest = try blob.commit()
        let sum = try shell("\(algorithm.name)sum < '\(store.blobPath(digest))' | cut -d' ' -f1")
        #expect(String(decoding: sum, as: UTF8.self) == digest.hex + "\n")
        #expect(store.path + "/blobs/\(algorithm.name)/\(digest.hex)" == store.blobPath(digest))
        #expect(try Digest(digest.description) == digest)
        #expect(store.has(digest) && store.size(of: digest) == bytes.count)
        #expect(try store.open(digest).readAll() == bytes)
        try store.verify(digest, size: bytes.count)
    }

    @Test func `A blob that is not what was expected does not get its name`() throws {
        let right = Images.digest(of: [1, 2, 3])
        let wide = Images.digest(of: [1, 2, 3], .sha512)
        for (expected, size) in [(right, 4), (right, 2), (wide, nil), (right, nil)] {
            let blob = try store.makeBlob()
            try append(size == nil ? [1, 2, 4] : [1, 2, 3], to: blob)
            let error = #expect(throws: KernelError.self) {
                try blob.commit(expecting: expected, size: size)
            }
            #expect(
                error?.errno.rawValue == EBADMSG && error?.object.contains("\(expected)") == true)
            #expect(!store.has(expected))
            #expect(try ingest().isEmpty)
        }
        for expected in [right, wide] {
            let blob = try store.makeBlob()
            try append([1, 2, 3], to: blob)
            #expect(try blob.commit(expecting: expected, size: 3) == expected)
            #expect(store.has(expected))
        }
    }

    @Test func `A blob that was changed on the disk is found out`() throws {
        let descriptor = try store.write(random(1000), as: "text/plain")
        let path = store.blobPath(descriptor.digest)
        try store.verify(descriptor.digest, size: 1000)
        #expect(throws: KernelError.self) { try store.verify(descriptor.digest, size: 999) }
        var bytes = try readFile(path)
        bytes[500] ^= 1
        try replaceFile(path, with: bytes)
        let error = #expect(throws: KernelError.self) { try store.verify(descriptor.digest) }
        #expect(error?.errno.rawValue == EBADMSG && error?.object == path)
        try replaceFile(path, with: bytes.dropLast())
        #expect(throws: KernelError.self) { try store.verify(descriptor.digest) }
        // Written again, it is right again.
        bytes[500] ^= 1
        _ = try store.write(bytes, as: "text/plain")
        try store.verify(descriptor.digest)
    }

    @Test func `A download that was broken off goes on where it was`() throws {
        let bytes = random(400_000)
        let digest = Images.digest(of: bytes)
        for end in [100_000, 250_000] {
            let blob = try #require(try store.resumeBlob(digest))
            try append(bytes[blob.size..<end], to: blob)
        }
        // Other writers sweep what dead ones left; this is not theirs.
        _ = try store.write([1], as: "text/plain")
        let blob = try #require(try store.resumeBlob(digest))
        #expect(blob.size == 250_000)
        #expect(try store.resumeBlob(digest) == nil, "two write to one file")
        try append(bytes[250_000...], to: blob)
        try blob.commit(expecting: digest, size: bytes.count)
        #expect(try store.open(digest).readAll() == bytes)
        #expect(try ingest().isEmpty)
    }

    @Test func `A download that lied is forgotten, and one can begin again`() throws {
        let bytes = random(1000)
        let digest = Images.digest(of: bytes)
        var blob = try store.resumeBlob(digest)
        try append(random(10), to: try #require(blob))
        #expect(throws: KernelError.self) { try blob?.commit(expecting: digest) }
        blob = nil
        #expect(try ingest().isEmpty)
        blob = try store.resumeBlob(digest)
        try append(random(10), to: try #require(blob))
        try blob?.restart()
        try append(bytes, to: try #require(blob))
        try blob?.commit(expecting: digest)
        try store.verify(digest, size: 1000)
    }

    @Test func `Many at once write the same blob`() async throws {
        let bytes = random(50_000)
        let digest = Images.digest(of: bytes)
        let store = store
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask { _ = try? store.write(bytes, as: "x", expecting: digest) }
            }
        }
        try store.verify(digest, size: bytes.count)
        #expect(try ingest().isEmpty)
    }

    @Test func `A name means one image, and what it meant before is kept to a limit`() throws {
        let reference = try ImageReference("app")
        let descriptors = try (0..<9).map { try store.write([$0], as: MediaType.manifest) }
        for descriptor in descriptors { try store.tag(descriptor, as: reference) }
        let entries = try store.index().manifests
        #expect(entries.filter { $0.tag != nil }.map(\.digest) == [descriptors[8].digest])
        let versions = entries.filter { $0.isVersion(of: reference) }.map(\.digest)
        #expect(versions == descriptors[3..<8].map(\.digest))
        // Back to an earlier one: it is not its own earlier version.
        try store.tag(descriptors[5], as: reference)
        #expect(
            try store.index().manifests.filter { $0.isVersion(of: reference) }.map(\.digest)
                == [3, 4, 6, 7, 8].map { descriptors[$0].digest })
        #expect(try store.untag(reference)?.digest == descriptors[5].digest)
        #expect(try store.index().manifests.isEmpty)
        #expect(try store.untag(reference) == nil)
    }

    @Test func `Many at once tag, and no name is lost`() async throws {
        let store = store
        let descriptor = try store.write([1], as: MediaType.manifest)
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<40 {
                group.addTask {
                    try? store.tag(descriptor, as: try? ImageReference("name-\(number)"))
                }
            }
        }
        #expect(Set(try store.index().manifests.compactMap(\.tag)).count == 40)
    }
}
