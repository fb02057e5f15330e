import Kernel

/// File systems in memory, gone with the sandbox (`--tmpfs DST[:OPTIONS]`). See `tmpfs(5)`.
public struct TemporaryFilesystems: Mechanism {
    /// As the narrator calls it.
    public let name = "tmpfs"
    private let requests: [(target: String, options: String?)]

    /// Reads each `DST` or `DST:OPTIONS`, such as `/tmp:size=16m,mode=1777`.
    /// - Throws: `EINVAL` where the target is no absolute path.
    public init(parsing texts: [String]) throws(KernelError) {
        var requests: [(String, String?)] = []
        for text in texts {
            let parts = text.split(separator: ":", maxSplits: 1).map(String.init)
            guard let target = parts.first, target.hasPrefix("/"),
                target.contains(where: { $0 != "/" })
            else {
                throw KernelError(
                    "tmpfs", text.isEmpty ? "\"\"" : text, .invalidArgument,
                    remedy: "Write DST or DST:OPTIONS, with DST an absolute path other than /.")
            }
            requests.append((target, parts.count == 2 ? parts[1] : nil))
        }
        self.requests = requests
    }

    /// Mounts each, making the place where it is missing.
    public func enter() throws(KernelError) {
        for request in requests {
            try makeDirectories(request.target, why: "a place to mount on")
            do {
                try mount(
                    "tmpfs", on: request.target, type: "tmpfs",
                    [.noSetUID, .noDevices, .noExecution], options: request.options,
                    why: "a file system in memory, gone with the sandbox")
            } catch {
                guard error.errno == .invalidArgument else { throw error }
                throw error.advising(
                    "Options are those of tmpfs(5), such as size=16m,mode=1777: got"
                        + " \(request.options ?? "none").")
            }
        }
    }
}
