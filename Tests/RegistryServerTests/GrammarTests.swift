import Testing

@testable import RegistryServer

/// What a client's words may be before they come anywhere near the file system.
@Suite struct GrammarTests {
    @Test(arguments: ["a", "library/alpine", "a-b", "a--b", "a__b", "a_b", "a.b", "0/1/2/3"])
    func `a repository's name is what the specification says`(name: String) throws {
        let parsed = try #require(RepositoryName(name))
        #expect(parsed.description == name)
        #expect(!parsed.directoryName.contains("/"))
        #expect(RepositoryName(directoryName: parsed.directoryName) == parsed)
    }

    @Test(arguments: [
        "", "/", "a/", "/a", "a//b", "..", "a/..", "../a", "a/../b", ".", "a/.", "a..b", "a.", "-a",
        "a___b", "A", "a b", "a+b", "a\0", "a\n", "ü", "a:b", "a/b/", "_a", "a_", "a._b",
        String(repeating: "a", count: 201),
    ])
    func `no other name gets further`(name: String) { #expect(RepositoryName(name) == nil) }

    @Test func `a tag cannot be hidden, an option, or a path`() {
        for good in ["latest", "_", "v1.2.3-rc_1", "A", String(repeating: "x", count: 128)] {
            #expect(Tag(good)?.description == good)
        }
        for bad in ["", ".", "..", ".x", "-x", "a/b", "a:b", "a b", "ü", "a\0"] {
            #expect(Tag(bad) == nil, "\(bad)")
        }
        #expect(Tag(String(repeating: "x", count: 129)) == nil)
    }

    @Test func `an upload's name is a UUID and nothing else`() {
        let id = UploadID()
        #expect(UploadID(id.description) == id)
        for bad in ["", "..", String(repeating: ".", count: 36), id.description + "/"] {
            #expect(UploadID(bad) == nil)
        }
        #expect(UploadID(id.description.uppercased() + "A") == nil)
    }

    @Test func `a path is read from its end`() throws {
        guard case .manifest(let name, .tag(let tag)) = try Route(path: "/v2/a/blobs/b/manifests/c")
        else { return #expect(Bool(false)) }
        #expect(name.description == "a/blobs/b")
        #expect(tag.description == "c")
        guard case .tags(let other) = try Route(path: "/v2/tags/list/tags/list") else {
            return #expect(Bool(false))
        }
        #expect(other.description == "tags/list")
    }

    @Test(arguments: [
        "/v2/a/../b/manifests/x", "/v2/%2e%2e/%2e%2e/manifests/x", "/v2/a/blobs/sha256:../../x",
        "/v2/a/blobs/uploads/../../../etc", "/v2/a%00/manifests/x", "/v2/a/manifests/..",
        "/v2/a/manifests/%2e%2e%2f%2e%2e", "/etc/passwd", "/v2/a/blobs/sha256:", "/v2//tags/list",
        "/v2/a/referrers/latest", "/v2/a/manifests/sha256:\(String(repeating: "A", count: 64))",
    ])
    func `a path that leads elsewhere is no route`(path: String) {
        #expect(throws: RegistryError.self) { try Route(path: path) }
    }

    @Test func `a range is some of the bytes there are`() {
        func range(_ text: String, of size: Int = 10) -> Range<Int>? {
            ByteRange(text)?.resolve(size: size)
        }
        #expect(range("bytes=0-0") == 0..<1)
        #expect(range("bytes=2-") == 2..<10)
        #expect(range("bytes=2-99") == 2..<10)
        #expect(range("bytes=-3") == 7..<10)
        #expect(range("bytes=-99") == 0..<10)
        #expect(range("bytes=10-") == nil)
        #expect(range("bytes=5-4") == nil)
        #expect(range("bytes=-0") == nil)
        #expect(range("bytes=0-", of: 0) == nil)
        for bad in [
            "", "bytes=", "bytes=-", "bytes=a-b", "items=0-1", "bytes=0-1,3-4", "bytes=--1",
        ] {
            #expect(ByteRange(bad) == nil, "\(bad)")
        }
        #expect(ByteRange("bytes=99999999999999999999-") == nil)
    }

    @Test func `a query is decoded once`() {
        let query = Query("a=1&a=2&b=%252F&c&d=%&e=x%00y")
        #expect(query.all("a") == ["1", "2"])
        #expect(query["b"] == "%2F")
        #expect(query["c"] == "")
        #expect(query["d"] == nil)
        #expect(query["e"] == nil)
        #expect(decodePercent(encodePercent("a b/ü+&")) == "a b/ü+&")
    }

    @Test func `base64 comes back as it was`() {
        for count in 0..<70 {
            let bytes = randomBytes(count)
            #expect(Base64.decode(Base64.encode(bytes)) == bytes)
        }
        #expect(Base64.decode("aGk=") == Array("hi".utf8))
        #expect(Base64.decode("-_+/") == [0xFB, 0xFF, 0xBF])
        for bad in ["a", "a b=", "ü", "aGk*"] { #expect(Base64.decode(bad) == nil, "\(bad)") }
    }
}
