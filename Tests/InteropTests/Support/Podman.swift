import Foundation

/// podman and skopeo on a storage of a test's own: nothing of theirs on the machine is touched.
final class Podman: Client, Sendable {
    let place: Place
    private let node: Node?

    /// - Parameters:
    ///   - node: where it runs, if not here.
    ///   - runtime: what starts its containers: a name that podman knows, or a path.
    init(on node: Node? = nil, runtime: String = "crun") throws {
        self.node = node
        place = try Place("podman")
        // Locks in memory and what is in /run would stay on this machine; on a node they go with it.
        // podman's clean-up behind a container refuses a longer path for `runroot`.
        try place.makeFile(
            "containers.conf",
            """
            [engine]
            cgroup_manager = "cgroupfs"
            events_logger = "\(node == nil ? "none" : "file")"
            lock_type = "\(node == nil ? "file" : "shm")"
            num_locks = 64
            runtime = "\(runtime)"
            tmp_dir = "\(place / "tmp")"
            volume_path = "\(place / "volumes")"
            [network]
            network_config_dir = "\(place / "networks")"
            """)
        try place.makeFile(
            "storage.conf",
            """
            [storage]
            driver = "vfs"
            graphroot = "\(place / "root")"
            runroot = "\(node == nil ? place / "run" : "/run/containers")"
            """)
        try place.makeFile("registries.conf", "unqualified-search-registries = []\n")
        try place.makeFile(
            ".config/containers/policy.json",
            #"{"default": [{"type": "insecureAcceptAnything"}]}"#)
        try place.makeFile("auth.json", "{}")
        _ = try place.makeDirectory("tmp")
    }

    var environment: [String: String] {
        [
            "HOME": place.path, "TMPDIR": place / "tmp", "XDG_RUNTIME_DIR": place / "tmp",
            "CONTAINERS_CONF": place / "containers.conf",
            "CONTAINERS_STORAGE_CONF": place / "storage.conf",
            "CONTAINERS_REGISTRIES_CONF": place / "registries.conf",
            "REGISTRY_AUTH_FILE": place / "auth.json",
        ]
    }

    var client: [String] { (node?.entrance ?? []) + ["podman"] }

    /// Runs `skopeo WORDS…` on the same storage.
    @discardableResult
    func skopeo(_ words: String...) throws -> String {
        try InteropTests.run(["skopeo"] + words, environment: environment)
    }

    /// What a skopeo that may be refused has to say.
    func skopeoOutcome(_ words: [String]) throws -> Outcome {
        try InteropTests.outcome(of: ["skopeo"] + words, environment: environment)
    }

    /// Runs a container, where podman may: it wants one version of cgroups and leaves files in /run.
    func runContainer(_ words: String...) throws -> String {
        let script = """
            if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi
            mount -t tmpfs -o mode=755 tmpfs /run
            exec podman run --rm --network none --cgroups disabled "$@"
            """
        return try InteropTests.run(
            Daemon.contained(["sh", "-ec", script, "podman"] + words), environment: environment)
    }

    /// What an image unpacks to: podman's simplest storage driver has it in a directory.
    func tree(of image: String) throws -> String { try self("image", "mount", image) }
}

/// Unpacks an image of an OCI layout with umoci and returns the directory.
func umociTree(of layout: String, tag: String, in place: Place) throws -> String {
    let bundle = place / "umoci-\(randomWord())"
    try run(["umoci", "unpack", "--image", "\(layout):\(tag)", bundle])
    return bundle + "/rootfs"
}
