import Foundation
import Testing

/// containerd as a kubelet has it: with a runtime handler `hull`, asked over the Container Runtime
/// Interface. There is no package of a client for that, so this speaks it itself, over gRPC.
final class CRINode: Sendable {
    static let image = "localhost/pause:1"

    let node: Node
    private let place: Place

    init() throws {
        let place = try Place("kubelet")
        self.place = place
        let configuration = try place.makeFile("config.toml", CRINode.configuration(in: place))
        try place.makeFile("cni/10-pods.conflist", CRINode.network(in: place))
        node = try Node(
            "kubelet", in: place, running: ["containerd", "--config", configuration])
        try node.wait("containerd") { (try? call("Version", Message())) != nil }
        let archive = try makeImageArchive(in: place, command: ["sleep", "100000"])
        try node(
            "ctr", "--namespace", "k8s.io", "images", "import", "--snapshotter", "native",
            "--base-name", "localhost/pause", archive)
    }

    /// What makes `runtimeClassName: hull` of a pod our runtime.
    private static func configuration(in place: Place) -> String {
        """
        version = 2
        root = "\(place / "root")"
        state = "/run/containerd"
        [plugins."io.containerd.internal.v1.opt"]
          path = "\(place / "opt")"
        [plugins."io.containerd.grpc.v1.cri"]
          sandbox_image = "\(image)"
          # Less than our own takes a capability that the machine may not have.
          restrict_oom_score_adj = true
        [plugins."io.containerd.grpc.v1.cri".cni]
          bin_dir = "/usr/lib/cni"
          conf_dir = "\(place / "cni")"
        [plugins."io.containerd.grpc.v1.cri".containerd]
          snapshotter = "native"
        [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
          runtime_type = "io.containerd.runc.v2"
        [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.hull]
          runtime_type = "io.containerd.runc.v2"
        [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.hull.options]
          BinaryName = "\(runtimeUnderTest)"
          SystemdCgroup = false
        """
    }

    private static func network(in place: Place) -> String {
        """
        {"cniVersion": "1.0.0", "name": "pods", "plugins": [
          {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true,
           "ipam": {"type": "host-local", "dataDir": "\(place / "addresses")",
                    "subnet": "10.88.0.0/16", "routes": [{"dst": "0.0.0.0/0"}]}}]}
        """
    }

    /// One call of the service for containers, or of another.
    @discardableResult
    func call(
        _ method: String, _ request: Message, service: String = "RuntimeService"
    ) throws -> Message {
        let reply = try node(
            "python3", "-c", CRINode.client, "/runtime.v1.\(service)/\(method)", request.hexadecimal
        )
        return try #require(Message(hexadecimal: reply))
    }

    private static let client = """
        import grpc, sys
        channel = grpc.insecure_channel("unix:///run/containerd/containerd.sock")
        request = bytes.fromhex(sys.argv[2])
        print(channel.unary_unary(sys.argv[1])(request, timeout=50).hex())
        """
}

/// A message of Protocol Buffers: bytes, in which each field follows its number.
struct Message {
    private(set) var bytes: [UInt8] = []

    var hexadecimal: String { bytes.map { String(format: "%02x", $0) }.joined() }

    init() {}

    init?(hexadecimal: String) {
        let digits = Array(hexadecimal.utf8)
        guard digits.count.isMultiple(of: 2) else { return nil }
        for start in stride(from: 0, to: digits.count, by: 2) {
            let text = String(decoding: digits[start..<start + 2], as: UTF8.self)
            guard let byte = UInt8(text, radix: 16) else { return nil }
            bytes.append(byte)
        }
    }

    func with(_ field: Int, _ number: Int) -> Message {
        var message = self
        message.append(field << 3)
        message.append(number)
        return message
    }

    func with(_ field: Int, _ text: String) -> Message { with(field, Array(text.utf8)) }

    func with(_ field: Int, _ inner: Message) -> Message { with(field, inner.bytes) }

    private func with(_ field: Int, _ content: [UInt8]) -> Message {
        var message = self
        message.append(field << 3 | 2)
        message.append(content.count)
        message.bytes += content
        return message
    }

    /// Seven bits a byte, the lowest first.
    private mutating func append(_ number: Int) {
        var rest = number
        while rest > 127 {
            bytes.append(UInt8(rest & 127 | 128))
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    /// What a field holds: bytes, or a number's.
    func values(of field: Int) -> [[UInt8]] {
        var (values, position): ([[UInt8]], Int) = ([], 0)
        while position < bytes.count {
            let key = number(at: &position)
            guard key & 7 == 2 else {
                let value = number(at: &position)
                if key >> 3 == field { values.append(Array(String(value).utf8)) }
                continue
            }
            let length = number(at: &position)
            let end = min(position + length, bytes.count)
            if key >> 3 == field { values.append(Array(bytes[position..<end])) }
            position = end
        }
        return values
    }

    private func number(at position: inout Int) -> Int {
        var (number, shift) = (0, 0)
        while position < bytes.count {
            let byte = Int(bytes[position])
            position += 1
            number |= (byte & 127) << shift
            shift += 7
            if byte < 128 { break }
        }
        return number
    }

    /// The first value of a field as text; a number in digits.
    func text(_ field: Int) -> String {
        String(decoding: values(of: field).first ?? [], as: UTF8.self)
    }

    /// The first value of a field as a message of its own.
    func message(_ field: Int) -> Message {
        var inner = Message()
        inner.bytes = values(of: field).first ?? []
        return inner
    }
}
