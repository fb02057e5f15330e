import Glibc
import Isolation
import Kernel
import OCISpec

/// A directory with a `config.json` and usually a root file system. See runtime-spec, `bundle.md`.
struct Bundle {
    /// Its directory, absolute and without symbolic links.
    let directory: String
    let configuration: RuntimeConfiguration
    /// The configuration as it was written, to be kept.
    let bytes: [UInt8]

    /// - Parameters:
    ///   - path: its directory.
    ///   - file: the configuration; `config.json` in that directory where nil.
    /// - Throws: what is wrong with it.
    init(at path: String, file: String?) throws(KernelError) {
        do { directory = try resolvedPath(path) } catch {
            throw error.renamed("open bundle", path).advising(
                "Give the directory of a bundle with --bundle.")
        }
        let file = file ?? directory + "/config.json"
        do { bytes = try readFile(file, limit: 16 << 20) } catch {
            throw error.renamed("open", file).advising(
                "A bundle needs a config.json; `hull-runtime spec` writes one.")
        }
        configuration = try Self.parse(bytes, file)
    }

    static func parse(
        _ bytes: [UInt8], _ file: String
    ) throws(KernelError) -> RuntimeConfiguration {
        do throws(SpecificationError) {
            return try RuntimeConfiguration(JSONReader(try JSON.parse(bytes)))
        } catch {
            throw KernelError("read", file, .invalidArgument, remedy: "\(error)")
        }
    }

    /// The root file system.
    var rootfs: String {
        let path = configuration.rootPath
        return path.hasPrefix("/") ? path : "\(directory)/\(path)"
    }
}
