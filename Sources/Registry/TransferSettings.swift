import Kernel
import OCISpec

/// How patient and how trusting the client is.
public struct TransferSettings: Sendable {
    /// How long a connection may take, TLS included, in seconds.
    public var connectTimeout = 15.0
    /// How long a registry may say nothing, in seconds: before the first byte, or between two.
    public var silenceTimeout = 30.0
    /// How often an exchange that broke off is tried anew.
    public var retries = 5
    /// The pause before the first retry, in seconds; each later one is twice as long.
    public var retryPause = 0.3
    /// Allows plain HTTP, and certificates that nobody vouches for.
    public var isInsecure = false
    /// A directory with `ca.crt`, `client.cert`, `client.key`, in place of the machine's.
    public var certificateDirectory: String?
    /// Who one is.
    public var credentials = CredentialFiles()
    /// Where to ask before the registry itself.
    public var mirrors = Mirrors()
    /// How many layers travel at once.
    public var parallelLayers = 3
    /// In pieces of how many bytes blobs are sent; nil for all in one.
    public var chunkSize: Int?

    /// What suits most.
    public init() {}

    /// The longest that an answer of a few kilobytes may take, in seconds.
    var smallAnswerTimeout: Double { 2 * silenceTimeout }
}

/// Nothing from outside is read without an end.
enum Limits {
    /// What registries have to take, and so the most they can hold. See the distribution-spec.
    static let manifest = 4 << 20
    /// An image's configuration.
    static let configuration = 8 << 20
    /// A token, a list of errors, a page of tags.
    static let answer = 1 << 20
    /// Redirects after each other.
    static let redirects = 8
    /// The longest pause that a registry may ask for, in seconds.
    static let pause = 60.0
    /// Manifests in an index that are pulled.
    static let manifests = 256
    /// Layers of an image.
    static let layers = 1024
    /// Tags of a repository.
    static let tags = 100_000
}
