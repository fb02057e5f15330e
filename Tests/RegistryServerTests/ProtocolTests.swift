import Foundation
import Kernel
import OCISpec
import Testing

/// The protocol, one promise of the specification a test.
@Suite struct ProtocolTests {
    @Test func `a blob comes back as it went`() throws {
        let registry = try RegistryProcess()
        for count in [0, 1, 1000, 3 << 20] {
            let blob = randomBytes(count)
            let digest = try registry.push(blob: blob, to: "a/b")
            let reply = try registry.send("GET", "/v2/a/b/blobs/\(digest)")
            #expect(reply.body == blob)
            #expect(reply["Docker-Content-Digest"] == digest)
            let head = try registry.send("HEAD", "/v2/a/b/blobs/\(digest)")
            #expect(head["Content-Length"] == String(count))
        }
    }

    @Test func `part of a blob can be asked for`() throws {
        let registry = try RegistryProcess()
        let blob = randomBytes(10_000)
        let digest = try registry.push(blob: blob, to: "a")
        let part = try registry.send(
            "GET", "/v2/a/blobs/\(digest)", ["Range": "bytes=4000-4999"])
        #expect(part.status == 206)
        #expect(part["Content-Range"] == "bytes 4000-4999/10000")
        #expect(part.body == Array(blob[4000..<5000]))
        let beyond = try registry.send("GET", "/v2/a/blobs/\(digest)", ["Range": "bytes=10000-"])
        #expect(beyond.status == 416)
    }

    @Test func `an upload goes on where it stopped, and nowhere else`() throws {
        let registry = try RegistryProcess()
        let blob = randomBytes(3000)
        let start = try registry.send("POST", "/v2/a/blobs/uploads/")
        #expect(start.status == 202)
        let location = try #require(start["Location"])
        let first = try registry.send(
            "PATCH", location, ["Content-Range": "0-999"], Array(blob[..<1000]))
        #expect(first.status == 202)
        #expect(first["Range"] == "0-999")
        let gap = try registry.send(
            "PATCH", location, ["Content-Range": "2000-2999"], Array(blob[2000...]))
        #expect(gap.status == 416)
        let again = try registry.send(
            "PATCH", location, ["Content-Range": "0-999"], Array(blob[..<1000]))
        #expect(again.status == 416)
        let status = try registry.send("GET", location)
        #expect(status.status == 204)
        #expect(status["Range"] == "0-999")
        let digest = sha256(blob)
        let end = try registry.send(
            "PUT", location + "?digest=\(digest)", [:], Array(blob[1000...]))
        #expect(end.status == 201)
        #expect(try registry.send("GET", "/v2/a/blobs/\(digest)").body == blob)
        #expect(try registry.send("GET", location).status == 404)
    }

    @Test func `an upload can be called off`() throws {
        let registry = try RegistryProcess()
        let location = try #require(try registry.send("POST", "/v2/a/blobs/uploads/")["Location"])
        #expect(try registry.send("DELETE", location).status == 204)
        #expect(try registry.send("PUT", location + "?digest=\(sha256([]))").status == 404)
        #expect(try files(registry.root + "/uploads").isEmpty)
    }

    @Test func `SHA-512 counts too, whatever was announced`() throws {
        let registry = try RegistryProcess()
        let blob = randomBytes(500)
        let digest = sha512(blob)
        for query in ["", "?digest-algorithm=sha512"] {
            let location = try #require(
                try registry.send("POST", "/v2/a/blobs/uploads/" + query)["Location"])
            let end = try registry.send("PUT", location + "?digest=\(digest)", [:], blob)
            #expect(end.status == 201)
        }
        #expect(try registry.send("GET", "/v2/a/blobs/\(digest)").body == blob)
        let unknown = try registry.send("POST", "/v2/a/blobs/uploads/?digest-algorithm=md5")
        #expect(unknown.status == 400)
    }

    @Test func `a blob is served by its own repository, and by others when it is mounted`() throws {
        let registry = try RegistryProcess()
        let blob = randomBytes(100)
        let digest = try registry.push(blob: blob, to: "mine")
        #expect(try registry.send("GET", "/v2/other/blobs/\(digest)").status == 404)
        let mount = try registry.send(
            "POST", "/v2/other/blobs/uploads/?mount=\(digest)&from=mine")
        #expect(mount.status == 201)
        #expect(try registry.send("GET", "/v2/other/blobs/\(digest)").body == blob)
        // Nothing was copied: both names are those of one file.
        let pool = "\(registry.root)/blobs/sha256/\(digest.dropFirst(7))"
        #expect(try shell("stat -c %h '\(pool)'") == "3\n")
        let anonymous = try registry.send("POST", "/v2/third/blobs/uploads/?mount=\(digest)")
        #expect(anonymous.status == 201)
        let wrong = try registry.send(
            "POST", "/v2/third/blobs/uploads/?mount=\(sha256([1]))&from=mine")
        #expect(wrong.status == 202)
    }

    @Test func `deleting a blob from one repository leaves it in another`() throws {
        let registry = try RegistryProcess()
        let digest = try registry.push(blob: randomBytes(100), to: "a")
        try registry.send("POST", "/v2/b/blobs/uploads/?mount=\(digest)&from=a")
        #expect(try registry.send("DELETE", "/v2/a/blobs/\(digest)").status == 202)
        #expect(try registry.send("DELETE", "/v2/a/blobs/\(digest)").status == 404)
        #expect(try registry.send("GET", "/v2/a/blobs/\(digest)").status == 404)
        #expect(try registry.send("GET", "/v2/b/blobs/\(digest)").status == 200)
    }

    @Test func `a manifest is kept to the byte, under its tag and its digest`() throws {
        let registry = try RegistryProcess()
        let image = try registry.pushImage(to: "a", tag: "one", more: ", \"odd\" :  1.50 ")
        for reference in ["one", image.digest] {
            let reply = try registry.send("GET", "/v2/a/manifests/\(reference)")
            #expect(reply.body == image.bytes)
            #expect(reply["Content-Type"] == imageType)
            #expect(reply["Docker-Content-Digest"] == image.digest)
            let head = try registry.send("HEAD", "/v2/a/manifests/\(reference)")
            #expect(head["Content-Length"] == String(image.bytes.count))
        }
        let tag = try #require(try registry.send("GET", "/v2/a/manifests/one")["ETag"])
        let unchanged = try registry.send("GET", "/v2/a/manifests/one", ["If-None-Match": tag])
        #expect(unchanged.status == 304)
    }

    @Test func `a tag moves only from where a careful client believes it is`() throws {
        let registry = try RegistryProcess()
        let old = try registry.pushImage(to: "a", tag: "t")
        let new = try registry.pushImage(to: "a", tag: "other")
        func move(_ condition: [String: String]) throws -> Int {
            try registry.send(
                "PUT", "/v2/a/manifests/t",
                condition.merging(["Content-Type": imageType]) { $1 }, new.bytes
            ).status
        }
        #expect(try move(["If-Match": "\"\(new.digest)\""]) == 412)
        #expect(try move(["If-None-Match": "*"]) == 412)
        #expect(
            try registry.send("HEAD", "/v2/a/manifests/t")["Docker-Content-Digest"] == old.digest)
        #expect(try move(["If-Match": "\"\(old.digest)\""]) == 201)
        #expect(
            try registry.send("HEAD", "/v2/a/manifests/t")["Docker-Content-Digest"] == new.digest)
    }

    @Test func `a manifest pushed by digest brings its tags`() throws {
        let registry = try RegistryProcess()
        let image = try registry.pushImage(to: "a", tag: "first")
        let reply = try registry.send(
            "PUT", "/v2/a/manifests/\(image.digest)?tag=1&tag=1.2", ["Content-Type": imageType],
            image.bytes)
        #expect(reply.status == 201)
        #expect(reply.all("OCI-Tag") == ["1", "1.2"])
        #expect(try registry.send("GET", "/v2/a/manifests/1.2").body == image.bytes)
    }

    @Test func `tags come in pages`() throws {
        let registry = try RegistryProcess()
        let image = try registry.pushImage(to: "a", tag: "t0")
        for number in 1..<7 {
            try registry.send(
                "PUT", "/v2/a/manifests/t\(number)", ["Content-Type": imageType], image.bytes)
        }
        var next: String? = "/v2/a/tags/list?n=3"
        var pages: [[String]] = []
        while let path = next {
            let reply = try registry.send("GET", path)
            pages.append(try JSONReader(reply.json)["tags"].strings())
            next = reply["Link"].map { String($0.dropFirst().prefix { $0 != ">" }) }
        }
        #expect(pages == [["t0", "t1", "t2"], ["t3", "t4", "t5"], ["t6"]])
        #expect(try registry.send("GET", "/v2/a/tags/list?n=0").json["tags"] == .array([]))
        #expect(try registry.send("GET", "/v2/a/tags/list?n=x").status == 400)
        #expect(try registry.send("GET", "/v2/b/tags/list").code == "NAME_UNKNOWN")
        #expect(
            try registry.send("GET", "/v2/_catalog").json == ["repositories": ["a"]])
    }

    @Test func `deleting a manifest takes its tags, deleting a tag only the tag`() throws {
        let registry = try RegistryProcess()
        let image = try registry.pushImage(to: "a", tag: "one")
        try registry.send(
            "PUT", "/v2/a/manifests/two", ["Content-Type": imageType], image.bytes)
        #expect(try registry.send("DELETE", "/v2/a/manifests/one").status == 202)
        #expect(try registry.send("GET", "/v2/a/manifests/one").status == 404)
        #expect(try registry.send("GET", "/v2/a/manifests/\(image.digest)").status == 200)
        #expect(try registry.send("DELETE", "/v2/a/manifests/\(image.digest)").status == 202)
        #expect(try registry.send("GET", "/v2/a/manifests/two").status == 404)
        #expect(try registry.send("GET", "/v2/a/manifests/\(image.digest)").status == 404)
        #expect(try registry.send("DELETE", "/v2/a/manifests/\(image.digest)").status == 404)
    }

    @Test func `who refers to a manifest is listed, by kind where that is asked for`() throws {
        let registry = try RegistryProcess()
        let image = try registry.pushImage(to: "a", tag: "one")
        func subject(_ type: String) -> String {
            ",\"artifactType\":\"\(type)\",\"annotations\":{\"k\":\"v\"},\"subject\":{\"mediaType\":"
                + "\"\(imageType)\",\"digest\":\"\(image.digest)\",\"size\":\(image.bytes.count)}"
        }
        let bill = try registry.pushImage(to: "a", tag: "bill", more: subject("x/bill"))
        let signature = try registry.pushImage(to: "a", tag: "sign", more: subject("x/sign"))
        let all = try registry.send("GET", "/v2/a/referrers/\(image.digest)")
        #expect(all["Content-Type"] == "application/vnd.oci.image.index.v1+json")
        let digests = try ImageIndex(JSONReader(all.json)).manifests.map { "\($0.digest)" }
        #expect(Set(digests) == [bill.digest, signature.digest])
        let bills = try registry.send(
            "GET", "/v2/a/referrers/\(image.digest)?artifactType=x/bill")
        #expect(bills["OCI-Filters-Applied"] == "artifactType")
        let entry = try JSONReader(bills.json)["manifests"].array()
        #expect(entry.count == 1)
        #expect(try entry[0]["artifactType"].string() == "x/bill")
        #expect(try entry[0]["annotations"].stringMap()["k"] == "v")
        try registry.send("DELETE", "/v2/a/manifests/\(bill.digest)")
        let rest = try registry.send("GET", "/v2/a/referrers/\(image.digest)")
        #expect(try ImageIndex(JSONReader(rest.json)).manifests.count == 1)
        let none = try registry.send("GET", "/v2/nowhere/referrers/\(image.digest)")
        #expect(none.status == 200)
    }

    @Test func `a repository is an OCI layout that jq reads`() throws {
        let registry = try RegistryProcess()
        let image = try registry.pushImage(to: "lib/app", tag: "one")
        let index = registry.root + "/repositories/lib+app/index.json"
        try waitUntil("the index") { try readText(index).contains(image.digest) }
        let parsed = try ImageIndex(JSONReader(try JSON.parse(try readFile(index))))
        #expect(
            parsed.manifests.map { $0.annotations["org.opencontainers.image.ref.name"] } == ["one"])
    }

    @Test func `a read-only registry is read and not written`() throws {
        let scratch = try Scratch()
        let image: (digest: String, bytes: [UInt8], layer: String)
        do {
            image = try RegistryProcess(root: scratch / "store").pushImage(to: "a", tag: "t")
        }
        let registry = try RegistryProcess("--read-only", root: scratch / "store")
        #expect(try registry.send("GET", "/v2/a/manifests/t").body == image.bytes)
        for (method, path) in [
            ("POST", "/v2/a/blobs/uploads/"), ("PUT", "/v2/a/manifests/t"),
            ("DELETE", "/v2/a/manifests/t"), ("DELETE", "/v2/a/blobs/\(image.layer)"),
        ] {
            let reply = try registry.send(method, path)
            #expect(reply.status == 405 && reply.code == "UNSUPPORTED", "\(method) \(path)")
        }
    }

    @Test func `whoever asks for its health is told`() throws {
        let registry = try RegistryProcess("--htpasswd", "/dev/null")
        #expect(try registry.send("GET", "/health").status == 200)
        #expect(try registry.send("GET", "/v2/").status == 401)
    }
}

/// The files below a directory.
func files(_ directory: String) throws -> [String] {
    try shell("find '\(directory)' -type f").split(separator: "\n").map(String.init)
}
