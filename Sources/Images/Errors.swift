import Glibc
import Kernel
import OCISpec

/// An archive, a blob or an index that is not what it should be.
func corrupt(_ name: String, _ problem: String) -> KernelError {
    KernelError("read", name, Errno(rawValue: EBADMSG), remedy: problem)
}

extension SpecificationError {
    /// The same, said of the file `name`.
    func asKernelError(reading name: String) -> KernelError {
        corrupt(name, "\(self).")
    }
}

extension ImageReference {
    /// Reads a name that somebody typed.
    public static func parse(_ text: String) throws(KernelError) -> ImageReference {
        do { return try ImageReference(text) } catch {
            throw KernelError(
                "image name", "'\(text.prefix(300))'", .invalidArgument,
                remedy: "Its form is [REGISTRY/]NAME[:TAG][@DIGEST]: \(error.problem).")
        }
    }
}
