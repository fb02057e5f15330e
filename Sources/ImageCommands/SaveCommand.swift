import Glibc
import Images
import Isolation
import Kernel
import Terminal

/// `save`: writes images as an archive.
enum SaveCommand {
    static let entry = ImageCommand(
        Command(
            "save", "IMAGE...", "Write images as an archive that other programs can load.",
            options: [
                Option("output", "o", .required("FILE"), "Write it there, not to standard output."),
                Option("format", nil, .required("FORMAT"), "docker, which is the default, or oci."),
            ],
            notes: """
                docker is for Docker, podman, skopeo and all others: an OCI image layout with a
                manifest.json beside it. oci is the layout alone. FILE is there when all of it is
                written, and not before.
                """)
    ) { call throws(KernelError) in
        try call.expectOperands()
        let format = try format(call)
        try OrdinaryUser.becomeRoot()
        let bar = ProgressBar()
        defer { bar.clear() }
        let saver = ImageSaver(from: call.store, as: format)
        if let path = call.options.value("output"), path != "-" {
            let file = try OutputFile(path)
            try saver.save(call.operands, to: file, progress: bar.show)
            try file.commit()
        } else {
            try saver.save(call.operands, to: try standardOutput(), progress: bar.show)
        }
        return 0
    }

    private static func format(_ call: ImageCall) throws(KernelError) -> ImageSaver.Format {
        guard let text = call.options.value("format") else { return .docker }
        guard let format = ImageSaver.Format(rawValue: text) else {
            throw KernelError(
                "--format", text, .invalidArgument, remedy: "The formats are docker and oci.")
        }
        return format
    }

    private static func standardOutput() throws(KernelError) -> FileSink {
        if isatty(1) == 1 {
            throw KernelError(
                "write", "standard output", .invalidArgument,
                remedy: "It is a terminal; give a file by -o, or pipe it on.")
        }
        let own = fcntl(1, F_DUPFD_CLOEXEC, 3)
        guard own >= 0 else { throw KernelError("write", "standard output", .current) }
        return FileSink(Descriptor(owning: own), named: "standard output")
    }
}
