import Kernel
import OCISpec

/// Which of an image's manifests is wanted.
enum PlatformChoice {
    /// The one for this platform; nil for that of this machine.
    case machine(Platform?)
    /// That for this machine or, where there is none, whichever is here: just to look at it.
    case any
}

/// A manifest, and the machine that it is made for.
private struct Candidate {
    let descriptor: ContentDescriptor
    let platform: Platform
}

extension ContentStore {
    /// How deep indexes may lie in each other. Nobody makes more than two.
    private static let indexDepth = 4
    /// How many entries are looked at. No image is made for more than twenty machines.
    private static let entryLimit = 1000

    /// The manifest that is wanted, where the entry is an index of several.
    func select(
        _ choice: PlatformChoice, from entry: ContentDescriptor
    ) throws(KernelError) -> ContentDescriptor {
        guard MediaType.isIndex(entry.mediaType) else { return entry }
        var candidates: [Candidate] = []
        var left = ContentStore.entryLimit
        try collect(&candidates, below: entry, depth: 1, &left)
        let wanted = if case .machine(let platform?) = choice { platform } else { Platform.host }
        let present = candidates.filter { has($0.descriptor.digest) }
        if let best = ContentStore.best(of: present, for: wanted) { return best }
        if case .any = choice, let other = present.first { return other.descriptor }
        if ContentStore.best(of: candidates, for: wanted) != nil {
            throw KernelError(
                "find image", entry.shownName, .noSuchFile,
                remedy: "What it has for \(wanted) is not here; pull it with --platform \(wanted).")
        }
        throw notMade(entry, for: wanted, but: candidates.map(\.platform))
    }

    /// The first of those that suit best.
    private static func best(
        of candidates: [Candidate], for platform: Platform
    ) -> ContentDescriptor? {
        var best: (fitness: Int, descriptor: ContentDescriptor)?
        for candidate in candidates {
            guard let fitness = candidate.platform.fitness(on: platform) else { continue }
            if fitness > best?.fitness ?? -1 { best = (fitness, candidate.descriptor) }
        }
        return best?.descriptor
    }

    private func collect(
        _ candidates: inout [Candidate], below entry: ContentDescriptor, depth: Int,
        _ left: inout Int
    ) throws(KernelError) {
        guard depth <= ContentStore.indexDepth else {
            throw corrupt(
                blobPath(entry.digest),
                "Indexes lie in each other more than \(ContentStore.indexDepth) deep.")
        }
        for child in try imageIndex(entry).manifests {
            left -= 1
            guard left >= 0 else {
                throw corrupt(
                    blobPath(entry.digest),
                    "It lists more than \(ContentStore.entryLimit) manifests.")
            }
            if MediaType.isIndex(child.mediaType) {
                guard has(child.digest) else { continue }
                try collect(&candidates, below: child, depth: depth + 1, &left)
            } else if let platform = platform(of: child) {
                candidates.append(Candidate(descriptor: child, platform: platform))
            }
        }
    }

    /// What the index says or, where it says nothing, the configuration.
    private func platform(of manifest: ContentDescriptor) -> Platform? {
        if let platform = manifest.platform { return platform }
        guard has(manifest.digest), let found = try? self.manifest(manifest) else { return nil }
        return try? configuration(found.configuration).platform
    }

    func notMade(
        _ entry: ContentDescriptor, for platform: Platform, but others: [Platform]
    ) -> KernelError {
        var names: [String] = []
        for name in others.map({ String("\($0)".prefix(50)) })
        where !names.contains(name) && names.count < 12 {
            // Notes on how an image was built are listed as if they were for such a machine.
            if name != "unknown/unknown" { names.append(name) }
        }
        let made = names.isEmpty ? "." : ", but for \(names.joined(separator: ", "))."
        return KernelError(
            "find image", entry.shownName, .noSuchFile,
            remedy: "It is not made for \(platform)\(made)")
    }
}
