import Kernel

/// What a layer has brought so far, where it is unpacked into a tree of the layers below.
///
/// There a whiteout deletes at once, but only what the layers below have: what the layer
/// itself brings stays, wherever in the archive the whiteout stands.
struct OwnPaths {
    private var paths: Set<FileName> = []

    /// Takes up a path and the directories that it is in.
    mutating func insert(_ path: LayerPath) {
        var path = path
        while !path.parts.isEmpty && paths.insert(path.bytes).inserted { path = path.parent }
    }

    func contains(_ path: LayerPath) -> Bool { paths.contains(path.bytes) }
}
