import Kernel
import OCISpec

/// Which other registries to ask before one of them itself: a cache nearby, say.
///
///     {"mirrors": {"docker.io": ["cache.example:5000", "http://localhost:5001"]}}
///
/// It stands in `$HULL_REGISTRIES`, in `$XDG_CONFIG_HOME/hull/registries.json` (or `~/.config`),
/// or in `/etc/hull/registries.json`; the first of those that is there. Only pulls ask mirrors.
public struct Mirrors: Sendable {
    /// The mirrors of each registry, in order.
    public var byRegistry: [String: [String]] = [:]

    /// None.
    public init() {}

    /// Reads the file.
    public init(fromFile: Void) throws(KernelError) {
        let home = variable("XDG_CONFIG_HOME") ?? (variable("HOME") ?? "/") + "/.config"
        let places =
            variable("HULL_REGISTRIES").map { [$0] }
            ?? [home + "/hull/registries.json", "/etc/hull/registries.json"]
        guard let path = places.first(where: { fileType($0) != nil }) else { return }
        let bytes = try readFile(path, limit: 1 << 20)
        do {
            let json = try JSONReader(try JSON.parse(bytes)).object()
            let mirrors = json["mirrors"]
            for registry in try mirrors.names() {
                byRegistry[registry] = try mirrors[registry].strings()
            }
        } catch {
            throw KernelError("read", path, .badMessage, remedy: "\(error).")
        }
    }

    /// The mirrors of `registry`.
    func of(_ registry: String) -> [String] { byRegistry[registry] ?? [] }
}
