import Images
import Isolation
import Kernel
import Terminal

extension Option {
    /// `--storage-driver`.
    public static let storageDriver = Option(
        "storage-driver", nil, .required("NAME"),
        "overlay, or copy where the file system takes none; see `hull doctor`.")
}

extension StorageDriver {
    /// The driver that the options, the environment or the file system ask for.
    public init(_ options: Arguments, _ state: StateDirectories) throws(KernelError) {
        try self.init(options.value("storage-driver"), stateRoot: state.root)
    }
}
