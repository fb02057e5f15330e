import Isolation
import Kernel
import OCISpec

/// What is known of a container beside its files: `container.json` in its directory.
public struct ContainerRecord: Equatable, Sendable {
    /// Twelve hexadecimal digits.
    public let id: String
    /// The image it was made from, or the directory.
    public let image: String
    /// The command with its arguments.
    public let command: [String]
    /// When it was made.
    public let created: Timestamp
    /// The command's exit code; nil while it runs, or where its owner was killed.
    public var exitCode: Int?
    /// The directories of its cgroup, while it runs.
    public var cgroup: [String] = []
    /// Whether the kernel killed in it for lack of memory.
    public var lackedMemory = false
    /// The directories that its root file system was made of, the topmost first: snapshots,
    /// which stay for as long as a record names them.
    public var layers: [String] = []
    /// The manifest of its image; nil where it was made from a directory.
    public var manifest: ContentDescriptor?

    /// A container that is made now.
    public init(id: String, image: String, command: [String]) {
        self.id = id
        self.image = image
        self.command = command
        created = .now
    }

    init(_ json: JSONReader) throws(SpecificationError) {
        id = try json["id"].string()
        image = try json["image"].string()
        command = try json["command"].strings()
        created = Timestamp(try json["created"].string()) ?? Timestamp(seconds: 0)
        exitCode = try json["exitCode"].present?.integer()
        cgroup = try json["cgroup"].present?.strings() ?? []
        lackedMemory = json["outOfMemory"].present != nil
        layers = try json["layers"].present?.strings() ?? []
        if let descriptor = try json["manifest"].present {
            manifest = try ContentDescriptor(descriptor)
        }
    }

    /// The record as it is written.
    public var json: JSON {
        .object(present: [
            ("id", .string(id)), ("image", .string(image)), ("command", .strings(command)),
            ("created", .string("\(created)")), ("exitCode", exitCode.map(JSON.integer)),
            ("cgroup", .strings(cgroup)), ("outOfMemory", lackedMemory ? .bool(true) : nil),
            ("layers", .strings(layers)), ("manifest", manifest?.json),
        ])
    }

    /// Writes it into the container's directory.
    ///
    /// - Parameter durable: false for a container that a power cut ends for good.
    public func write(to directory: String, durable: Bool) throws(KernelError) {
        let text = json.text(indent: 2) + "\n"
        try replaceFile("\(directory)/container.json", with: text.utf8, durable: durable)
    }

    /// Reads it from the container's directory.
    public init(from directory: String) throws(KernelError) {
        let path = "\(directory)/container.json"
        let bytes = try readFile(path)
        do throws(SpecificationError) {
            self = try ContainerRecord(JSONReader(try JSON.parse(bytes)))
        } catch {
            throw KernelError(
                "read", path, .invalidArgument, remedy: "It is damaged (\(error)).")
        }
    }
}
