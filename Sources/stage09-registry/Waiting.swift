import Dispatch
import Kernel
import Synchronization

/// Runs `body`, which may wait without holding a thread, and holds this thread until it is done.
func waiting<Value: Sendable>(
    _ body: @escaping @Sendable () async throws(KernelError) -> Value
) throws(KernelError) -> Value {
    let outcome = Outcome<Value>()
    Task {
        do throws(KernelError) {
            outcome.set(.success(try await body()))
        } catch {
            outcome.set(.failure(error))
        }
    }
    return try outcome.wait().get()
}

private final class Outcome<Value: Sendable>: Sendable {
    private let result = Mutex<Result<Value, KernelError>?>(nil)
    private let done = DispatchSemaphore(value: 0)

    func set(_ value: Result<Value, KernelError>) {
        result.withLock { $0 = value }
        done.signal()
    }

    func wait() -> Result<Value, KernelError> {
        while true {
            if let value = result.withLock({ $0 }) { return value }
            done.wait()
        }
    }
}
