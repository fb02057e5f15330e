/// For which machine an image is, in the words of the Go language.
public struct Platform: Equatable, Sendable {
    /// The processor, such as `amd64`.
    public var architecture: String
    /// The system, such as `linux`.
    public var os: String
    /// The processor's version, such as `v8`.
    public var variant: String?

    /// A platform.
    public init(architecture: String, os: String, variant: String? = nil) {
        self.architecture = architecture
        self.os = os
        self.variant = variant
    }

    /// Reads a platform.
    public init(_ json: JSONReader) throws(SpecificationError) {
        let json = try json.object()
        architecture = try json["architecture"].string()
        os = try json["os"].string()
        variant = try json["variant"].optionalString()
    }

    /// Reads what a user typed: `OS/ARCHITECTURE[/VARIANT]`, or the architecture alone.
    public init(_ text: String) throws(SpecificationError) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        let isWord = parts.allSatisfy { part in
            !part.isEmpty && part.utf8.count <= 32
                && part.utf8.allSatisfy {
                    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0 | 0x20)
                        || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
                        || $0 == UInt8(ascii: "_")
                }
        }
        guard isWord, parts.count <= 3 else {
            throw SpecificationError(
                text, "a platform is OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT"
            )
        }
        os = parts.count > 1 ? parts[0].lowercased() : "linux"
        architecture = parts[parts.count > 1 ? 1 : 0].lowercased()
        variant = parts.count > 2 ? parts[2].lowercased() : nil
        switch architecture {
        case "x86_64", "x64": architecture = "amd64"
        case "aarch64": architecture = "arm64"
        case "i386", "i686": architecture = "386"
        case "armhf": architecture = "arm"
        case "armel": (architecture, variant) = ("arm", variant ?? "v6")
        default: break
        }
    }

    /// The platform as its specification writes it.
    public var json: JSON {
        .object(present: [
            ("architecture", .string(architecture)), ("os", .string(os)),
            ("variant", variant.map(JSON.string)),
        ])
    }

    #if arch(x86_64)
        /// The platform of this program.
        public static let host = Platform(architecture: "amd64", os: "linux")
    #elseif arch(arm64)
        /// The platform of this program.
        public static let host = Platform(architecture: "arm64", os: "linux")
    #elseif arch(riscv64)
        /// The platform of this program.
        public static let host = Platform(architecture: "riscv64", os: "linux")
    #endif

    /// Whether what is made for `self` runs on `other`.
    public func matches(_ other: Platform) -> Bool { fitness(on: other) != nil }

    /// How well what is made for `self` suits `other`, the higher the better; nil where it does
    /// not run there.
    ///
    /// A newer processor runs what is made for an older one of its kind.
    public func fitness(on other: Platform) -> Int? {
        guard architecture == other.architecture, os == other.os else { return nil }
        if variant == other.variant { return .max }
        guard let own = version, let theirs = other.version, own <= theirs else { return nil }
        return own
    }

    /// The number in the variant; where there is none, that of the first that had none.
    private var version: Int? {
        guard let variant, !variant.isEmpty else {
            return ["arm": 7, "arm64": 8][architecture] ?? 1
        }
        return variant.first == "v" ? Int(variant.dropFirst()) : nil
    }
}

extension Platform: CustomStringConvertible {
    /// `OS/ARCHITECTURE[/VARIANT]`.
    public var description: String {
        "\(os)/\(architecture)" + (variant.map { "/" + $0 } ?? "")
    }
}
