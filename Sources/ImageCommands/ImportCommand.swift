import Glibc
import Images
import Isolation
import Kernel
import OCISpec
import Terminal

/// `image import`: makes an image out of a root file system.
enum ImportCommand {
    static let entry = ImageCommand(
        Command(
            "image import", "TAR|DIR|- NAME[:TAG]",
            "Make an image of a root file system: an archive, a directory, or standard input.",
            options: [.change],
            notes: """
                The instructions are CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME
                and WORKDIR. With SOURCE_DATE_EPOCH set, the same directory gives the same image id.
                """)
    ) { call throws(KernelError) in
        try call.expectOperands(2...2)
        let reference = try ImageReference.parse(call.operands[1])
        try OrdinaryUser.becomeRoot()
        let bar = ProgressBar()
        defer { bar.clear() }
        let id = try ImageImporter(stateRoot: call.state.root).import(
            from: try input(call.operands[0]), as: reference,
            changes: call.options.values("change"), created: try date(), progress: bar.show)
        bar.clear()
        Program.write("\(id)\n")
        return 0
    }

    private static func input(_ word: String) throws(KernelError) -> ImageImporter.Input {
        if word != "-" {
            return fileType(word) == .directory ? .directory(word) : .archive(word)
        }
        if isatty(0) == 1 {
            throw KernelError(
                "read", "standard input", .invalidArgument,
                remedy: "It is a terminal; pipe an archive into it, as in `tar c . | …`.")
        }
        return .standardInput
    }
}

extension Option {
    /// `--change`.
    static let change = Option(
        "change", "c", .required("INSTRUCTION"),
        "Set how it is run, as a Dockerfile would: 'CMD [\"/bin/sh\"]'. May be repeated.")
}

/// When an image that is made now was made.
///
/// Reproducible builds fix the date. See https://reproducible-builds.org/specs/source-date-epoch/
func date() throws(KernelError) -> Timestamp {
    guard let text = getenv("SOURCE_DATE_EPOCH").map({ String(cString: $0) }) else {
        return .now
    }
    guard let seconds = Int(text) else {
        throw KernelError(
            "SOURCE_DATE_EPOCH", text, .invalidArgument, remedy: "It is a number of seconds.")
    }
    return Timestamp(seconds: seconds)
}
