import Glibc
import HTTPTypes
import HummingbirdCore
import Kernel
import Synchronization

/// One line for each request: when, who, what, and how it went.
///
///     2026-11-21T09:00:00Z 127.0.0.1 alice "PUT /v2/app/manifests/latest" 201 0 3.2ms
final class AccessLog: Sendable {
    private let descriptor: CInt
    private let isOn: Bool
    /// The second it is, as text: it is asked for with every request.
    private let clock = Mutex<(second: Int, text: String)>((0, ""))

    /// A log to an open descriptor, which has to stay open; nil for none.
    init(to descriptor: CInt?) {
        self.descriptor = descriptor ?? -1
        isOn = descriptor != nil
    }

    func note(
        _ request: Request, from address: String, user: String?, _ answer: Answer,
        took duration: Duration
    ) {
        guard isOn else { return }
        let tenths = duration / .microseconds(100)
        write(
            "\(now()) \(address) \(user.map(quoted) ?? "-") "
                + "\"\(request.method.rawValue) \(quoted(request.head.path ?? "-"))\" "
                + "\(answer.status.code) \(answer.length) \(Int(tenths) / 10).\(Int(tenths) % 10)ms\n"
        )
    }

    /// What went wrong inside, in full.
    func note(_ error: any Error) {
        guard !(error is ConnectionLost) else { return }
        write("\(now()) error \(quoted("\(error)"))\n", to: 2)
    }

    private func write(_ line: String, to other: CInt? = nil) {
        var line = line
        // One write, so that lines never mix; a log that cannot be written stops no request.
        line.withUTF8 { _ = Glibc.write(other ?? descriptor, $0.baseAddress, $0.count) }
    }

    private func now() -> String {
        let second = time(nil)
        return clock.withLock { clock in
            if clock.second != second { clock = (second, AccessLog.text(second)) }
            return clock.text
        }
    }

    private static func text(_ second: Int) -> String {
        var second = second
        var fields = tm()
        gmtime_r(&second, &fields)
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 32) { buffer in
            strftime(buffer.baseAddress, 32, "%Y-%m-%dT%H:%M:%SZ", &fields)
            return buffer.baseAddress.map { String(cString: $0) } ?? "-"
        }
    }

    /// A client's words, without what would break the line or a terminal.
    private func quoted(_ text: String) -> String {
        let isClean = text.utf8.allSatisfy { $0 > 32 && $0 < 127 && $0 != UInt8(ascii: "\"") }
        if isClean && text.utf8.count <= 512 { return text }
        var clean = ""
        for scalar in text.unicodeScalars.prefix(512) {
            let isPlain = scalar.value >= 32 && scalar.value < 127 && scalar != "\""
            clean.unicodeScalars.append(isPlain ? scalar : "?")
        }
        return clean
    }
}
