import Glibc
import Kernel
import OCISpec
import Synchronization

/// The uploads that are under way.
final class Uploads: Sendable {
    /// More than any honest crowd needs; each costs a file.
    static let limit = 4096

    private let store: RegistryStore
    private let active = Mutex<[UploadID: Upload]>([:])

    init(in store: RegistryStore) { self.store = store }

    /// Starts one.
    func start(
        in name: RepositoryName, hashing algorithm: Digest.Algorithm
    ) throws -> Upload {
        guard active.withLock({ $0.count }) < Uploads.limit else {
            var error = RegistryError(
                .tooManyRequests, .denied, "Too many uploads are under way; try again later.")
            error.headers[.retryAfter] = "60"
            throw error
        }
        let upload = try Upload(UploadID(), name, in: store, hashing: algorithm)
        active.withLock { $0[upload.id] = upload }
        return upload
    }

    /// The upload with this id: one of this process's, or one that an earlier process left.
    func find(_ id: UploadID, in name: RepositoryName) throws -> Upload {
        if let upload = active.withLock({ $0[id] }) {
            guard upload.name == name else { throw RegistryError.uploadUnknown }
            return upload
        }
        return try active.withLock { active in
            if let upload = active[id], upload.name == name { return upload }
            do throws(KernelError) {
                let upload = try Upload(id, name, in: store, hashing: nil)
                active[id] = upload
                return upload
            } catch  where error.errno == .noSuchFile {
                throw RegistryError.uploadUnknown
            }
        }
    }

    /// Forgets one that has ended.
    func forget(_ upload: Upload) { active.withLock { _ = $0.removeValue(forKey: upload.id) } }

    /// Removes those that nobody has written to for so many seconds.
    func expire(after seconds: Int) throws(KernelError) {
        let root = store.root + "/uploads"
        for directory in try namesInDirectory(root) {
            guard let name = RepositoryName(directoryName: directory) else { continue }
            for file in try namesInDirectory(root + "/" + directory) {
                let status = FileStatus("\(root)/\(directory)/\(file)")
                guard status?.isOlder(than: seconds) ?? false, let id = UploadID(file),
                    let upload = try? find(id, in: name), upload.isIdle
                else { continue }
                upload.discard()
                forget(upload)
            }
            // Refused where something is in it.
            rmdir(root + "/" + directory)
        }
    }
}
