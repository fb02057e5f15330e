import HTTPTypes
import Synchronization

/// How full the store is, and how full it may get.
final class StoreUsage: Sendable {
    private let limit: Int
    private let used: Atomic<Int>

    init(limit: Int, used: Int) {
        self.limit = limit
        self.used = Atomic(used)
    }

    /// How many bytes there are.
    var bytes: Int { used.load(ordering: .relaxed) }

    /// Sets `count` bytes apart before they are written.
    func reserve(_ count: Int) throws(RegistryError) {
        let sum = used.add(count, ordering: .relaxed).newValue
        if sum <= limit { return }
        release(count)
        throw RegistryError(
            .forbidden, .denied, "The registry is full: it may hold \(limit) bytes.")
    }

    /// Gives `count` bytes back.
    func release(_ count: Int) { used.subtract(count, ordering: .relaxed) }
}

/// One lock for each repository, near enough: names share a fixed number of them.
final class RepositoryLocks: Sendable {
    private final class Lock: Sendable { let mutex = Mutex(()) }
    private let locks = (0..<64).map { _ in Lock() }

    func withLock<Result: Sendable, Failure: Error>(
        of name: RepositoryName, _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let lock = locks[Int(UInt(bitPattern: name.hashValue) % 64)]
        return try lock.mutex.withLock { _ throws(Failure) in try body() }
    }
}
