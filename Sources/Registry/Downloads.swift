import Images
import Kernel
import OCISpec

/// Several downloads, a few at a time.
struct Downloads: Sendable {
    let wanted: [ContentDescriptor]
    let growing: [Digest: GrowingFile]
    let sources: Sources
    let store: ContentStore
    let limit: Int
    let observer: TransferObserver

    /// Runs them in order. The first failure stops the others; what they have stays for later.
    func run() async -> Result<Void, TransferFailure> {
        await inParallel(wanted, limit: limit) { descriptor async throws(TransferFailure) in
            guard let growth = growing[descriptor.digest] else { return }
            try await sources.download(descriptor, into: store, growth)
        }
    }
}

/// Does `work` for each of `items`, `limit` of them at once, until one fails.
func inParallel<Item: Sendable>(
    _ items: [Item], limit: Int,
    _ work: @escaping @Sendable (Item) async throws(TransferFailure) -> Void
) async -> Result<Void, TransferFailure> {
    await withTaskGroup(of: TransferFailure?.self) { group in
        var rest = items[...]
        func startNext() {
            guard let item = rest.popFirst() else { return }
            group.addTask {
                do throws(TransferFailure) {
                    try await work(item)
                    return nil
                } catch { return error }
            }
        }
        for _ in 0..<max(1, limit) { startNext() }
        while let failure = await group.next() {
            if let failure {
                group.cancelAll()
                return .failure(failure)
            }
            startNext()
        }
        return .success(())
    }
}
