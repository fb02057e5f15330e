import HTTPTypes
import Kernel
import OCISpec

/// What is there: repositories, tags, referrers. See distribution-spec, "Content Discovery".
extension RegistryHandler {
    /// The most entries of one answer. More come with the next page.
    static let page = 1000

    func listTags(_ name: RepositoryName, _ query: Query) throws -> Answer {
        let repository = store.repository(name)
        guard repository.exists else {
            throw RegistryError(.notFound, .nameUnknown, "There is no repository \(name).")
        }
        let page = try Page(of: try repository.tags(), query)
        return Answer(
            .ok, json: ["name": .string("\(name)"), "tags": .strings(page.names)],
            page.link("/v2/\(name)/tags/list"))
    }

    func listRepositories(_ query: Query) throws -> Answer {
        let names = try store.repositories().filter { store.repository($0).exists }
        let page = try Page(of: names.map(\.description), query)
        return Answer(.ok, json: ["repositories": .strings(page.names)], page.link("/v2/_catalog"))
    }

    func listReferrers(
        _ name: RepositoryName, _ subject: Digest, _ query: Query
    ) throws -> Answer {
        let repository = store.repository(name)
        let wanted = query["artifactType"]
        var rest = try repository.referrers(of: subject)[...]
        if let last = query["last"] { rest = rest.drop { $0 <= last } }
        var manifests: [JSON] = []
        var size = 0
        var last: String?
        // An answer is a manifest, and clients take 4 MiB of one.
        while let file = rest.first, manifests.count < RegistryHandler.page, size < 2 << 20 {
            rest = rest.dropFirst()
            guard let entry = try repository.referrer(file, of: subject) else { continue }
            if let wanted, entry["artifactType"] != .string(wanted) { continue }
            manifests.append(entry)
            size += entry.text().utf8.count
            last = file
        }
        var headers = HTTPFields()
        if wanted != nil { headers[.ociFilters] = "artifactType" }
        if !rest.isEmpty, let last {
            let filter = wanted.map { "&artifactType=" + encodePercent($0) } ?? ""
            headers[.link] =
                "</v2/\(name)/referrers/\(subject)?last=\(last)\(filter)>; rel=\"next\""
        }
        let index: JSON = [
            "schemaVersion": 2, "mediaType": .string(MediaType.index),
            "manifests": .array(manifests),
        ]
        return Answer(.ok, json: index, type: MediaType.index, headers)
    }
}

/// Part of a sorted list: so many names, after the one that was the last.
private struct Page {
    let names: [String]
    private let next: String?

    init(of all: [String], _ query: Query) throws(RegistryError) {
        var rest = all[...]
        if let last = query["last"] { rest = rest.drop { $0 <= last } }
        var count = Int.max
        if let text = query["n"] {
            guard let number = Int(text), number >= 0 else {
                throw RegistryError(.badRequest, .unsupported, "n is a number, not '\(text)'.")
            }
            count = number
        }
        names = Array(rest.prefix(count))
        next =
            names.count < rest.count && count > 0
            ? names.last.map { "?n=\(count)&last=\(encodePercent($0))" } : nil
    }

    func link(_ path: String) -> HTTPFields {
        next.map { [.link: "<\(path)\($0)>; rel=\"next\""] } ?? [:]
    }
}
