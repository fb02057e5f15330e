import Glibc
import Images
import Isolation
import Kernel
import OCISpec
import Terminal

/// `load`: takes images out of an archive.
enum LoadCommand {
    static let entry = ImageCommand(
        Command(
            "load", "", "Take images out of an archive, as save and other programs write them.",
            options: [
                Option("input", "i", .required("FILE"), "Read it, not standard input."),
                Option("quiet", "q", .none, "Print nothing but the images' ids."),
            ],
            notes: """
                FILE is an archive of docker save, podman save or skopeo, compressed or not, or a
                directory: an OCI image layout. Whatever is wrong with it, none of it is loaded.
                """)
    ) { call throws(KernelError) in
        try call.expectOperands(0...0)
        try OrdinaryUser.becomeRoot()
        let bar = ProgressBar()
        defer { bar.clear() }
        let images = try ImageLoader(into: call.store).load(
            from: try input(call), progress: bar.show)
        bar.clear()
        let isQuiet = call.options.has("quiet")
        Program.write(images.map { isQuiet ? "\($0.id)\n" : lines($0) }.joined())
        return 0
    }

    private static func lines(_ image: ImageLoader.Loaded) -> String {
        if image.references.isEmpty { return "Loaded image ID: \(image.id)\n" }
        return image.references.map { "Loaded image: \($0.familiar)\n" }.joined()
    }

    private static func input(_ call: ImageCall) throws(KernelError) -> ImageLoader.Input {
        if let path = call.options.value("input"), path != "-" {
            return fileType(path) == .directory ? .directory(path) : .file(path)
        }
        if isatty(0) == 1 {
            throw KernelError(
                "read", "standard input", .invalidArgument,
                remedy: "It is a terminal; give a file by -i, or pipe an archive into it.")
        }
        return .standardInput
    }
}
