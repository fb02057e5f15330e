import Glibc
import Kernel

/// Where Hull keeps its things.
///
/// `/var/lib/hull` for what stays and `/run/hull` for what a reboot may take; below
/// `$XDG_DATA_HOME` and `$XDG_RUNTIME_DIR` for an ordinary user. `HULL_ROOT=DIR` puts
/// both in one place.
public struct StateDirectories: Sendable {
    /// Images, snapshots, containers.
    public let root: String
    /// Scratch space and locks of running sandboxes.
    public let run: String

    /// The places for this process.
    public init() {
        if let chosen = Self.variable("HULL_ROOT") {
            root = chosen
            run = chosen + "/run"
        } else if geteuid() == 0 && !OrdinaryUser.isRootOfItsOwn {
            root = "/var/lib/hull"
            run = "/run/hull"
        } else {
            let home = Self.variable("HOME") ?? "/tmp"
            root = (Self.variable("XDG_DATA_HOME") ?? home + "/.local/share") + "/hull"
            // Never in /tmp, where anyone could have made the directory first.
            run = Self.variable("XDG_RUNTIME_DIR").map { $0 + "/hull" } ?? root + "/run"
        }
    }

    /// What sandboxes write that nobody keeps.
    public var scratch: String { run + "/scratch" }
    /// Containers that stay when they have ended.
    public var containers: String { root + "/containers" }
    /// Containers that go when they have ended (`--rm`).
    ///
    /// Beside the others and not in ``run``, which is memory on most systems.
    public var throwAwayContainers: String { root + "/throwaway" }
    /// Compiled seccomp filters; they can be made again at any time.
    public var seccompFilters: String { root + "/seccomp" }
    /// Notes of mounts that the host has to take away.
    public var hostMounts: String { run + "/mounts" }

    private static func variable(_ name: String) -> String? {
        guard let value = getenv(name) else { return nil }
        let text = String(cString: value)
        return text.isEmpty ? nil : text
    }
}
