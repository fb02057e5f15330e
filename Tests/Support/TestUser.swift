import Foundation

/// An ordinary user whom only one command sees: no account is made on this machine.
///
/// The command runs in a mount namespace in which files of the test's lie over /etc/passwd,
/// /etc/subuid and /etc/subgid, under a random id and a random name, without privileges.
struct TestUser {
    let name = Place.randomWord()
    let id = uid_t.random(in: 20_000..<60_000)
    /// The first of 65536 ids that are the user's by /etc/subuid; nil where there are none.
    let range: uid_t?
    /// Owned by the user.
    let home: String
    /// Groups that the user is in beside its own.
    var groups: [gid_t] = []
    /// Whether the machine is one with a network of its own, set up by ``preparation``.
    var hasOwnNetwork = false
    /// Shell commands that are run by root before, in the same mount namespace.
    var preparation = ""

    var state: String { home + "/state" }

    /// - Parameter lines: what else stands in /etc/subuid and /etc/subgid.
    init(hasRange: Bool = false, lines: String = "") throws {
        range = hasRange ? uid_t.random(in: 100_000..<1_000_000) : nil
        home = try place().makeDirectory("home-" + name)
        chown(home, id, id)
        let own = range.map { "\(name):\($0):65536\n" } ?? ""
        let passwd = try Observed.read("/etc/passwd") + "\(name):x:\(id):\(id)::\(home):/bin/sh\n"
        for (file, text) in [("passwd", passwd), ("subuid", lines + own), ("subgid", lines + own)] {
            try place().write(text, to: "etc-\(name)/\(file)")
        }
    }

    /// Runs a command as this user, to its end.
    func run(_ command: [String], environment: [String: String] = [:]) throws -> Outcome {
        try start(command, environment: environment).wait(30)
    }

    /// Starts a command as this user; the process is the command's own.
    func start(
        _ command: [String], environment: [String: String] = [:], input: Input = .null
    ) throws -> Program {
        var variables = ["HULL_ROOT": state, "HOME": home, "XDG_RUNTIME_DIR": ""]
        variables.merge(environment) { $1 }
        let files = try place().directory
        let script = """
            mount -t overlay -o lowerdir=\(files)/etc-\(name):/etc overlay /etc
            \(preparation)
            exec setpriv --reuid \(id) --regid \(id) \(groupOption) --inh-caps=-all -- "$@"
            """
        let network = hasOwnNetwork ? ["--net"] : []
        return try Program(
            ["unshare", "--mount", "--propagation", "private"] + network
                + ["sh", "-ec", script, "sh"] + reachable(command), environment: variables,
            input: input)
    }

    private var groupOption: String {
        groups.isEmpty
            ? "--clear-groups" : "--groups " + groups.map(String.init).joined(separator: ",")
    }

    /// The build's directory may be one that nobody else can enter.
    private func reachable(_ command: [String]) throws -> [String] {
        let program = command[0]
        guard program.hasPrefix(Products.directory) else { return command }
        let copy = try place().directory + "/" + (program as NSString).lastPathComponent
        if access(copy, X_OK) < 0 {
            try FileManager.default.copyItem(atPath: program, toPath: copy)
            chmod(copy, 0o755)
        }
        return [copy] + command.dropFirst()
    }

    /// A root file system that belongs to the user.
    func rootfs() throws -> String {
        let path = try place().rootfs()
        try TestSupport.run(["chown", "-R", "\(id):\(id)", path])
        return path
    }

    /// The owner of a file, as the host sees it.
    static func owner(of path: String) throws -> uid_t {
        var status = stat()
        guard lstat(path, &status) == 0 else {
            throw ProgramFailure(description: "there is no \(path)")
        }
        return status.st_uid
    }
}
