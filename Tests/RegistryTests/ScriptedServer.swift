import Foundation
import Synchronization

/// A server on loopback that does to HTTP whatever a test wants done: it is nothing but sockets.
final class ScriptedServer: Sendable {
    /// A request as it came.
    struct Call: Sendable {
        let method: String
        let target: String
        let headers: [String: String]
        let body: [UInt8]

        var path: String { String(target.prefix { $0 != "?" }) }
    }

    /// The way back to whoever asked.
    struct Peer: Sendable {
        fileprivate let socket: Int32

        /// False where nobody listens any more.
        @discardableResult
        func write(_ bytes: some Collection<UInt8>) -> Bool {
            let bytes = Array(bytes)
            var done = 0
            while done < bytes.count {
                let put = bytes.withUnsafeBytes {
                    send(
                        socket, $0.baseAddress?.advanced(by: done), bytes.count - done,
                        Int32(MSG_NOSIGNAL))
                }
                if put <= 0 { return false }
                done += put
            }
            return true
        }

        @discardableResult
        func write(_ text: String) -> Bool { write(Array(text.utf8)) }

        /// An answer as it should be.
        func answer(
            _ status: Int, _ headers: [String: String] = [:], _ body: [UInt8] = [],
            isHead: Bool = false
        ) {
            var text = "HTTP/1.1 \(status) Reason\r\n"
            for (name, value) in headers { text += "\(name): \(value)\r\n" }
            if headers["Content-Length"] == nil { text += "Content-Length: \(body.count)\r\n" }
            write(text + "\r\n")
            if !isHead { write(body) }
        }

        func answer(_ status: Int, _ headers: [String: String] = [:], _ body: String) {
            answer(status, headers, Array(body.utf8))
        }

        /// Says nothing until the other end goes.
        func hang() {
            var byte: UInt8 = 0
            while recv(socket, &byte, 1, 0) > 0 {}
        }

        /// Breaks the connection off.
        func cut() { shutdown(socket, Int32(SHUT_RDWR)) }
    }

    let port: UInt16
    var address: String { "127.0.0.1:\(port)" }
    private let listener: Int32
    private let record = Mutex<[Call]>([])

    /// What was asked so far.
    var calls: [Call] { record.withLock { $0 } }

    /// `answer` is called for each request, on a thread of the connection's.
    init(_ answer: @escaping @Sendable (Call, Peer) -> Void) throws {
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let listening = listener
        let isBound = withUnsafeMutablePointer(to: &name) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                bind(listening, generic, length) == 0 && listen(listening, 64) == 0
                    && getsockname(listening, generic, &length) == 0
            }
        }
        guard isBound else { throw CocoaError(.featureUnsupported) }
        port = UInt16(bigEndian: name.sin_port)
        Thread.detachNewThread { [weak self] in
            while true {
                let connection = accept(listening, nil, nil)
                guard connection >= 0 else { return }
                guard let server = self else {
                    close(connection)
                    return
                }
                Thread.detachNewThread { server.serve(connection, answer) }
            }
        }
    }

    deinit {
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
    }

    private func serve(_ connection: Int32, _ answer: (Call, Peer) -> Void) {
        defer { close(connection) }
        while let call = read(connection) {
            record.withLock { $0.append(call) }
            answer(call, Peer(socket: connection))
        }
    }

    /// nil at the end, and for TLS, which this does not speak.
    private func read(_ connection: Int32) -> Call? {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        func more() -> Bool {
            let count = recv(connection, &buffer, buffer.count, 0)
            if count > 0 { bytes += buffer[..<count] }
            return count > 0
        }
        let blank = Array("\r\n\r\n".utf8)
        while true {
            if bytes.first == 0x16 { return nil }
            if let end = bytes.firstRange(of: blank) {
                let lines = String(decoding: bytes[..<end.lowerBound], as: UTF8.self)
                    .components(separatedBy: "\r\n")
                let words = lines[0].split(separator: " ")
                guard words.count == 3 else { return nil }
                var headers: [String: String] = [:]
                for line in lines.dropFirst() {
                    let parts = line.split(separator: ":", maxSplits: 1)
                    headers[parts[0].lowercased()] = parts[1].trimmingCharacters(in: .whitespaces)
                }
                let length = headers["content-length"].flatMap { Int($0) } ?? 0
                while bytes.count < end.upperBound + length { if !more() { return nil } }
                return Call(
                    method: String(words[0]), target: String(words[1]), headers: headers,
                    body: Array(bytes[end.upperBound..<(end.upperBound + length)]))
            }
            if !more() { return nil }
        }
    }
}
