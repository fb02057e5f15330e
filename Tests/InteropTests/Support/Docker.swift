import Foundation

/// Docker: a daemon on a socket of its own, with all its state in one directory.
final class Docker: Client, Sendable {
    private let directory: String
    private let daemon: Daemon
    private var socket: String { "unix://\(directory)/socket" }

    init(in directory: String) throws {
        self.directory = directory
        try FileManager.default.createDirectory(
            atPath: directory + "/tmp", withIntermediateDirectories: true)
        daemon = try Daemon(
            Daemon.contained([
                "sh", "-c", "mount -t tmpfs -o mode=755 tmpfs /run && exec \"$@\"", "dockerd",
                "/usr/sbin/dockerd", "--host", "unix://\(directory)/socket",
                "--data-root", directory + "/data", "--exec-root", "/run/docker",
                "--pidfile", "/run/docker.pid", "--storage-driver", "vfs",
                "--bridge", "none", "--iptables=false", "--ip6tables=false",
                "--ip-forward=false", "--ip-masq=false",
                "--exec-opt", "native.cgroupdriver=cgroupfs",
            ]), environment: ["TMPDIR": directory + "/tmp"], log: directory + "/log")
        try daemon.wait { try outcome(of: "version").code == 0 }
    }

    var client: [String] { ["docker", "--host", socket, "--config", directory + "/config"] }

    /// What an image unpacks to, as Docker's simplest storage driver has it: a directory.
    func tree(of image: String) throws -> String {
        let layers = try self("image", "inspect", "-f", "{{join .RootFS.Layers \" \"}}", image)
        let chain = try chainIDs(layers.split(separator: " ").map(String.init)).last ?? ""
        let name = try String(
            contentsOfFile:
                "\(directory)/data/image/vfs/layerdb/sha256/\(chain.dropFirst(7))/cache-id",
            encoding: .utf8)
        return "\(directory)/data/vfs/dir/\(name)"
    }
}
