import CLinux
import Glibc
import Kernel

/// A network for an ordinary user's sandbox: pasta carries it.
///
/// A bridge takes root on the host. What anyone may do is open sockets. So a program, pasta, has
/// a link in the sandbox (a *tap*: frames come out of a descriptor), and does on the host with
/// sockets what the packets ask for. The sandbox gets a copy of the host's address and routes.
///
///     sandbox                pasta (the user's)          host
///     eth0 ── frames ──▶ tap ── connect(), sendto() ──▶ eth0
///
/// See `pasta(1)`.
public final class UserModeNetwork: Mechanism {
    /// As the narrator calls it.
    public let name = "user-mode network"
    /// A new network namespace.
    public let namespaces: Namespaces = .network
    private let ports: [PublishedPort]
    private var pasta: RunningHelper?

    /// The address in the sandbox at which pasta answers for the host's name server.
    static let nameServer = "169.254.1.1"

    /// A network in which `ports` of the host's lead to the sandbox.
    init(publishing ports: [PublishedPort]) { self.ports = ports }

    /// Whether this machine has what it takes, and a network to share.
    public static var isAvailable: Bool {
        HelperProgram("pasta") != nil && access("/dev/net/tun", R_OK | W_OK) == 0
            && hasDefaultRoute
    }

    /// Pasta copies the link that leads out, and does nothing without one. See `proc_pid_net(5)`.
    private static var hasDefaultRoute: Bool {
        let text: String
        do { text = try readText("/proc/net/route") } catch { return false }
        return split(text, at: "\n").contains { line in
            let fields = split(line, at: "\t")
            return fields.count > 1 && fields[1] == "00000000"
        }
    }

    /// Refuses before anything is built.
    public func prepare() throws(KernelError) {
        guard OrdinaryUser.isRootOfItsOwn else {
            throw KernelError(
                "network", "pasta", .invalidArgument,
                remedy: "It is for ordinary users; root has bridges: leave --network out.")
        }
        guard HelperProgram("pasta") != nil else {
            throw KernelError(
                "run", "pasta", .noSuchFile,
                remedy: "Install it (`sudo apt-get install passt`), or use --network none or host.")
        }
        guard access("/dev/net/tun", R_OK | W_OK) == 0 else {
            throw KernelError(
                "open", "/dev/net/tun", .current,
                remedy: "pasta makes its link with it: `sudo chmod 0666 /dev/net/tun`, or use"
                    + " --network none or host.")
        }
    }

    // book: begin pasta-adopt
    /// Starts pasta and waits until the link is there.
    ///
    /// Pasta gives its privileges away before it looks for the namespace in /proc/PID, and then
    /// may not. A file with the namespace mounted on it needs no privileges; the mount is in our
    /// own mount namespace, and goes with us.
    public func adopt(_ child: ProcessID) throws(KernelError) {
        let directory = try OwnedDirectory(
            in: StateDirectories().scratch, why: "a place to meet pasta")
        let path = directory.path
        do throws(KernelError) {
            try makeEmptyFile(path + "/net", why: "a place to mount the namespace on")
            try mount(
                "/proc/\(child.rawValue)/ns/net", on: path + "/net", .bind,
                why: "a way to the sandbox's network")
            try start(path)
            try unmount(path + "/net", lazily: true, why: "pasta is in: no more of use")
        } catch {
            umount2(path + "/net", CInt(MNT_DETACH))
            try? directory.release()
            throw error
        }
        try directory.release()
    }
    // book: end pasta-adopt

    private func start(_ directory: String) throws(KernelError) {
        guard let program = HelperProgram("pasta") else { return }
        // It writes its number into this once it is ready.
        let note = directory + "/ready"
        guard mkfifo(note, 0o600) == 0 else { throw KernelError("mkfifo", note, .current) }
        let ready = try Descriptor.open(note, O_RDONLY | O_NONBLOCK)
        // A file and no pipe: nobody reads it later, and pasta must not be stopped by that.
        let said = Descriptor(owning: memfd_create("pasta", 0))
        let pasta = try program.start(
            [
                "--foreground", "--quiet", "--config-net", "--netns", directory + "/net",
                "--no-netns-quit", "--ns-ifname", "eth0", "--no-map-gw",
                "--dns-forward", UserModeNetwork.nameServer, "-T", "none", "-U", "none",
                "--pid", note,
            ] + portOptions, errors: said.number, why: "it carries what the sandbox sends and gets")
        self.pasta = pasta
        if pasta.waits(for: ready.number) { return }
        lseek(said.number, 0, SEEK_SET)
        throw refusal(String(decoding: try said.readAll(), as: UTF8.self))
    }

    /// Without any it would publish whatever the sandbox listens on.
    private var portOptions: [String] {
        var options: [String] = []
        for (option, isUDP) in [("-t", false), ("-u", true)] {
            let own = ports.filter { $0.isUDP == isUDP }
            if own.isEmpty { options += [option, "none"] }
            for port in own {
                let address = port.address.map { "\($0)/" } ?? ""
                options += [option, "\(address)\(port.hostPort):\(port.containerPort)"]
            }
        }
        return options
    }

    private func refusal(_ text: String) -> KernelError {
        let lines = split(text, at: "\n").filter { !$0.isEmpty && !$0.hasPrefix("Failed to send") }
        return KernelError(
            "run", "pasta", .inputOutput,
            remedy: "It says: \(lines.last ?? "nothing"). Ports below 1024 are not an ordinary"
                + " user's; --network none or host does without it.")
    }

    /// Brings loopback up: pasta looks after its own link only.
    public func enter() throws(KernelError) {
        try NetlinkSocket().send(
            [.bringUp("lo")], why: "127.0.0.1 is there once its link is up")
    }

    /// Ends pasta.
    public func release() throws(KernelError) {
        try pasta.take()?.stop()
    }
}
