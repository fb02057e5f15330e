import Glibc
import Kernel

/// Where else than at the usual place sandboxes have cgroups (`--cgroup-parent`).
///
/// Whoever sweeps has to know where to look. A note is a directory that its owner holds a lock
/// on, with the name of the parent in a file: see ``OwnedDirectory``.
enum ControlGroupNotes {
    private static var directory: String { StateDirectories().run + "/cgroup-parents" }

    /// Leaves a note, which goes when it is released.
    static func write(_ parent: String) throws(KernelError) -> OwnedDirectory {
        let note = try OwnedDirectory(
            in: directory, why: "a note of where the cgroup is going to be")
        try replaceFile(note.path + "/parent", with: parent.utf8, durable: false)
        return note
    }

    /// The parents in the notes of those that were killed.
    static func abandoned() -> [String] {
        var parents: [String] = []
        do throws(KernelError) {
            if fileType(directory) == nil { return [] }
            for name in try namesInDirectory(directory) {
                let path = "\(directory)/\(name)"
                if OwnedDirectory.isOwned(path) { continue }
                if let parent = readControl(path + "/parent") { parents.append(parent) }
            }
        } catch {}
        return parents
    }

    /// Forgets them, once what they led to is gone.
    static func sweep() { OwnedDirectory.sweep(directory) }
}
