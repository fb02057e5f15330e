import CLinux
import Foundation

@testable import TestSupport

/// A Unix socket that a runtime sends descriptors to: a console's or a seccomp listener's.
final class SocketServer {
    let path: String
    private let listener: Int32

    /// What came with one connection.
    struct Message {
        var text: String
        var descriptors: [Int32]
    }

    init(_ path: String) throws {
        self.path = path
        listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | 0o2000000, 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let room = MemoryLayout.size(ofValue: address.sun_path)
        guard path.utf8.count < room else {
            throw ProgramFailure(description: "too long for a socket: \(path)")
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let isBound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
            }
        }
        guard isBound, listen(listener, 8) == 0 else {
            throw ProgramFailure(description: "cannot listen at \(path)")
        }
    }

    deinit {
        close(listener)
        unlink(path)
    }

    /// Waits for a connection and reads it to its end.
    func receive() throws -> Message {
        try wait(for: listener)
        let connection = accept(listener, nil, nil)
        defer { close(connection) }
        var message = Message(text: "", descriptors: [])
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            try wait(for: connection)
            var descriptor: Int32 = -1
            let count = receive_with_descriptor(connection, &buffer, buffer.count, &descriptor)
            if descriptor >= 0 {
                _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
                message.descriptors.append(descriptor)
            }
            guard count > 0 else { return message }
            message.text += String(decoding: buffer[..<count], as: UTF8.self)
        }
    }

    private func wait(for descriptor: Int32) throws {
        var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&waiting, 1, 5000) == 1 else {
            throw ProgramFailure(description: "nothing more came to \(path)")
        }
    }
}
