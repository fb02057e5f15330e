import CCrypt
import Crypto
import Glibc
import Kernel
import Synchronization

/// Names and passwords, as `htpasswd -B` writes them: `name:$2y$…`, one a line.
///
/// bcrypt is slow on purpose, for whoever has stolen the file. A client sends its password with
/// every request, so a pair that was right is remembered, as a keyed hash and only in memory.
final class PasswordFile: Sendable {
    private let hashes: [String: String]
    private let remembered = Mutex<Set<[UInt8]>>([])
    private let key = SymmetricKey(size: .bits256)

    /// Reads the file.
    /// - Throws: where a line is not a name and a bcrypt hash; weaker ones are refused.
    init(_ path: String) throws(KernelError) {
        var hashes: [String: String] = [:]
        for (index, line) in try readText(path).split(whereSeparator: \.isNewline).enumerated() {
            if line.first == "#" { continue }
            let halves = line.split(separator: ":", maxSplits: 1)
            guard halves.count == 2, PasswordFile.isBcrypt(halves[1]) else {
                throw KernelError(
                    "read", "\(path), line \(index + 1)", .invalidArgument,
                    remedy: "It has to be NAME:$2y$…, as `htpasswd -B` writes it.")
            }
            hashes[String(halves[0])] = String(halves[1])
        }
        self.hashes = hashes
    }

    private static func isBcrypt(_ text: Substring) -> Bool {
        text.utf8.count == 60 && ["$2y$", "$2b$", "$2a$"].contains(String(text.prefix(4)))
    }

    /// Whether this is the user's password. It takes as long for a user that there is not.
    func accepts(_ user: String, _ password: String) -> Bool {
        let pair = fingerprint(user, password)
        if remembered.withLock({ $0.contains(pair) }) { return true }
        let hash = hashes[user] ?? PasswordFile.nobody
        guard bcrypt(password, as: hash) == hash, hashes[user] != nil else { return false }
        remembered.withLock { pairs in
            if pairs.count >= 1024 { pairs = [] }
            pairs.insert(pair)
        }
        return true
    }

    private func fingerprint(_ user: String, _ password: String) -> [UInt8] {
        Array(
            HMAC<SHA256>.authenticationCode(
                for: Array("\(user)\0\(password)".utf8), using: key))
    }

    /// A hash that is nobody's.
    private static let nobody = "$2y$05$abcdefghijklmnopqrstuuZ3bYwJ0fVvJ3mYh1rJm0y1b0mJ8mQ1G"
}

/// The password's bcrypt hash, with the salt and the cost of `setting`. See `crypt(3)`.
///
/// It is libxcrypt's, which also checks the logins of this machine.
private func bcrypt(_ password: String, as setting: String) -> String? {
    // 32 KiB, too much for the stack of a pool's thread to be sure of.
    let data = UnsafeMutablePointer<crypt_data>.allocate(capacity: 1)
    data.initialize(to: crypt_data())
    defer { data.deallocate() }
    let size = CInt(MemoryLayout<crypt_data>.size)
    return crypt_rn(password, setting, data, size).map { String(cString: $0) }
}
