import CLinux
import Crypto
import Foundation
import Kernel
import OCISpec
import Testing

/// A directory that goes with the test.
final class Scratch: Sendable {
    let path: String

    init() throws {
        path = "/var/tmp/hull-registry-\(randomName())"
        try makeDirectory(path, mode: 0o700, why: "a test")
    }

    deinit { try? removeTree(path) }

    static func / (scratch: Scratch, name: String) -> String { scratch.path + "/" + name }

    func write(_ name: String, _ text: String) throws -> String {
        try Data(text.utf8).write(to: URL(fileURLWithPath: self / name))
        return self / name
    }
}

struct Failure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// `hull-registry` on a port of its own, which cannot outlive the tests.
final class RegistryProcess: Sendable {
    let root: String
    let port: UInt16
    let process: pid_t
    private let shell: Process
    private let lifeline: Int32
    private let scratch: Scratch

    /// - Parameter root: its store; without one, a new one.
    init(_ options: String..., root: String? = nil) throws {
        scratch = try Scratch()
        self.root = root ?? scratch / "store"
        var ends: [Int32] = [-1, -1]
        try #require(pipe2(&ends, O_CLOEXEC) == 0)
        lifeline = ends[1]
        shell = Process()
        shell.executableURL = URL(fileURLWithPath: "/bin/sh")
        shell.arguments =
            ["-c", RegistryProcess.script, scratch.path, products + "/hull-registry"]
            + ["--root", self.root, "--listen", "127.0.0.1:0"] + options
        shell.standardInput = FileHandle(fileDescriptor: ends[0], closeOnDealloc: true)
        shell.standardOutput = FileHandle.nullDevice
        shell.standardError = FileHandle.nullDevice
        try shell.run()
        let output = scratch / "output"
        try waitUntil("a registry: \((try? readText(output)) ?? "")") {
            ((try? readText(output)) ?? "").contains("Listening on")
        }
        let line = try readText(output).split(separator: "\n").first { $0.contains("Listening") }
        port = try #require(line?.split(separator: ":").last.flatMap { UInt16($0) })
        process = try #require(pid_t(try readText(scratch / "pid").filter(\.isNumber)))
    }

    deinit {
        close(lifeline)
        shell.waitUntilExit()
    }

    /// The shell kills it when the test process has gone, however it went.
    private static let script = """
        trap '' INT TERM HUP
        "$@" </dev/null >"$0/output" 2>&1 &
        echo $! >"$0/pid"
        cat >/dev/null
        kill -KILL $! 2>/dev/null; wait $!; echo $? >"$0/code"
        """

    var log: String { (try? readText(scratch / "output")) ?? "" }

    /// Kills it like a power cut and waits until it is gone.
    func crash() throws {
        _ = kill(process, SIGKILL)
        try waitUntil("a killed registry") { self.isGone }
    }

    /// Whether it has ended; its shell may not have taken note of it.
    var isGone: Bool {
        guard let status = try? readText("/proc/\(process)/stat") else { return true }
        return status.contains(") Z ")
    }

    /// The most memory it ever had, in bytes.
    var peakMemory: Int {
        let status = (try? readText("/proc/\(process)/status")) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
        return (line.flatMap { Int($0.filter(\.isNumber)) } ?? 0) << 10
    }
}

/// Where the programs are: beside the test bundle.
let products: String = {
    let test = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    return ((test ?? CommandLine.arguments[0]) as NSString).deletingLastPathComponent
}()

func waitUntil(
    _ what: @autoclosure () -> String, _ seconds: Double = 30, _ condition: () throws -> Bool
) throws {
    let deadline = Date(timeIntervalSinceNow: seconds)
    while try !condition() {
        if Date() > deadline { throw Failure("waited \(seconds) s for \(what())") }
        usleep(20_000)
    }
}

/// Runs a program that has to work and returns what it printed.
@discardableResult
func shell(_ script: String) throws -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/bash")
    process.arguments = ["-euo", "pipefail", "-c", script]
    let output = Pipe()
    process.standardOutput = output
    process.standardError = output
    try process.run()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    let text = String(decoding: data, as: UTF8.self)
    guard process.terminationStatus == 0 else { throw Failure("\(script)\n\(text)") }
    return text
}

/// A connection on which a test may say whatever it likes.
final class Connection {
    private let socket: Int32
    private var received: [UInt8] = []

    init(to port: UInt16, seconds: Int = 20) throws {
        socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue) | O_CLOEXEC, 0)
        var limit = timeval(tv_sec: seconds, tv_usec: 0)
        setsockopt(
            socket, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(
            socket, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                connect(socket, generic, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        if result < 0 { throw Failure("connect: \(String(cString: strerror(errno)))") }
    }

    deinit { close(socket) }

    /// - Returns: false where the other end takes no more.
    @discardableResult
    func send(_ bytes: some Sequence<UInt8>) -> Bool {
        var rest = Array(bytes)[...]
        while !rest.isEmpty {
            let put = rest.withUnsafeBytes {
                Glibc.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if put <= 0 { return false }
            rest = rest.dropFirst(put)
        }
        return true
    }

    @discardableResult
    func send(_ text: String) -> Bool { send(text.utf8) }

    /// One more piece; false at the end.
    private func receive() throws -> Bool {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        let count = recv(socket, &buffer, buffer.count, 0)
        if count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) {
            throw Failure("the registry says nothing")
        }
        if count <= 0 { return false }
        received += buffer[..<count]
        return true
    }

    /// Whether the other end closes without another word.
    func isClosed() throws -> Bool {
        while try receive() {}
        return received.isEmpty
    }

    /// The next answer. Informational ones are passed over.
    func reply(withoutBody: Bool = false) throws -> Reply {
        while true {
            while !received.contains(end) { if try !receive() { throw Failure("no answer") } }
            let split = try #require(received.firstRange(of: end))
            var reply = Reply(head: String(decoding: received[..<split.lowerBound], as: UTF8.self))
            received = Array(received[split.upperBound...])
            if reply.status == 100 { continue }
            let length = withoutBody ? 0 : Int(reply["Content-Length"] ?? "0") ?? 0
            while received.count < length { if try !receive() { throw Failure("half an answer") } }
            reply.body = Array(received[..<length])
            received = Array(received[length...])
            return reply
        }
    }

    private let end = Array("\r\n\r\n".utf8)
}

/// What a registry answered.
struct Reply {
    let status: Int
    private let headers: [(name: String, value: String)]
    var body: [UInt8] = []

    init(head: String) {
        let lines = head.components(separatedBy: "\r\n")
        status = Int(lines[0].split(separator: " ").dropFirst().first ?? "") ?? 0
        headers = lines.dropFirst().compactMap { line in
            guard let colon = line.firstIndex(of: ":") else { return nil }
            let value = line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
            return (line[..<colon].lowercased(), value)
        }
    }

    subscript(name: String) -> String? { headers.first { $0.name == name.lowercased() }?.value }

    func all(_ name: String) -> [String] {
        headers.filter { $0.name == name.lowercased() }.map(\.value)
    }

    var text: String { String(decoding: body, as: UTF8.self) }
    var json: JSON { (try? JSON.parse(body)) ?? .null }
    /// The code of the error in the body.
    var code: String? { (try? JSONReader(json)["errors"].array()[0]["code"].string()) ?? nil }
}

extension RegistryProcess {
    func connect(seconds: Int = 20) throws -> Connection {
        try Connection(to: port, seconds: seconds)
    }

    /// One request on a connection of its own.
    @discardableResult
    func send(
        _ method: String, _ path: String, _ headers: [String: String] = [:], _ body: [UInt8] = []
    ) throws -> Reply {
        let connection = try connect()
        var head = "\(method) \(path) HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\n"
        for (name, value) in headers { head += "\(name): \(value)\r\n" }
        if headers["Content-Length"] == nil { head += "Content-Length: \(body.count)\r\n" }
        connection.send(head + "\r\n")
        connection.send(body)
        return try connection.reply(withoutBody: method == "HEAD")
    }

    /// Whether a request has the upload at `location`. Asks from the wrong place: a request from
    /// the right one would have the upload itself while the other one comes.
    func isTaken(_ location: String) throws -> Bool {
        let farOff = ["Content-Range": "999999999-999999999"]
        return try send("PATCH", location, farOff, [0]).status == 409
    }

    /// Pushes a blob in one request and returns its digest.
    @discardableResult
    func push(blob: [UInt8], to name: String) throws -> String {
        let digest = sha256(blob)
        let reply = try send("POST", "/v2/\(name)/blobs/uploads/?digest=\(digest)", [:], blob)
        try #require(reply.status == 201, "\(reply)")
        return digest
    }

    /// Pushes an image of one random layer.
    func pushImage(
        to name: String, tag: String, more: String = ""
    ) throws -> (digest: String, bytes: [UInt8], layer: String) {
        let layer = try push(blob: randomBytes(1000), to: name)
        let config = try push(blob: Array("{}".utf8), to: name)
        let bytes = Array(manifest(config: config, layer: layer, more: more).utf8)
        let reply = try send(
            "PUT", "/v2/\(name)/manifests/\(tag)", ["Content-Type": imageType], bytes)
        try #require(reply.status == 201, "\(reply)")
        return (sha256(bytes), bytes, layer)
    }
}

let imageType = "application/vnd.oci.image.manifest.v1+json"

/// A manifest of one layer.
func manifest(config: String, layer: String, more: String = "") -> String {
    """
    {"schemaVersion":2,"mediaType":"\(imageType)",\
    "config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"\(config)","size":2},\
    "layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"\(layer)","size":1000}]\
    \(more)}
    """
}

func randomBytes(_ count: Int) -> [UInt8] {
    var generator = SystemRandomNumberGenerator()
    return (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
}

func sha256(_ bytes: [UInt8]) -> String {
    "sha256:" + SHA256.hash(data: bytes).map { String(format: "%02x", $0) }.joined()
}

func sha512(_ bytes: [UInt8]) -> String {
    "sha512:" + SHA512.hash(data: bytes).map { String(format: "%02x", $0) }.joined()
}
