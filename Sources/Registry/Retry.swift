import Kernel

/// Does `work` until it comes to something, or has failed too often.
///
/// Each pause is twice as long as the one before, and a random part longer or shorter: clients
/// that were cut off together shall not come back together.
func retrying<Result: Sendable>(
    _ settings: TransferSettings, _ work: () async throws(TransferFailure) -> Result
) async throws(TransferFailure) -> Result {
    var attempt = 0
    while true {
        do { return try await work() } catch {
            guard case .transient(let after) = error.kind, attempt < settings.retries else {
                throw error
            }
            try await pause(before: attempt, settings, atLeast: after)
            attempt += 1
        }
    }
}

/// Waits before the next attempt, the first of which is 0.
func pause(
    before attempt: Int, _ settings: TransferSettings, atLeast least: Double? = nil
) async throws(TransferFailure) {
    let length = settings.retryPause * Double(1 << min(attempt, 6)) * Double.random(in: 0.5...1.5)
    let seconds = max(length, least ?? 0)
    do { try await Task.sleep(for: .seconds(seconds)) } catch {
        throw TransferFailure(KernelError("wait", "", .interrupted, remedy: ""))
    }
}

/// The failure that a status stands for, where it may be over soon. See RFC 9110, 10.2.3.
func transientFailure(_ answer: Answer) -> TransferFailure? {
    guard [408, 425, 429, 500, 502, 503, 504].contains(answer.status) else { return nil }
    let after = answer.header("Retry-After").flatMap { Double($0) }
    let wait = after.map { $0.isFinite && $0 > 0 ? $0 : 0 }
    let reason =
        answer.status == 429
        ? "Too many requests: the registry wants us to wait" : "The registry is not well"
    let error = KernelError(
        "ask", answer.address.shown, .again,
        remedy: "\(reason) (status \(answer.status)).")
    if let wait, wait > Limits.pause {
        return TransferFailure(
            error.advising("\(reason) for \(Int(min(wait, 1e9))) seconds; come back then."))
    }
    return TransferFailure(error, .transient(after: wait))
}

extension Errno {
    static let again = Errno.wouldBlock
}
