import Glibc
import OCISpec
import Testing

@Suite struct ReferenceTests {
    @Test(arguments: [
        ("busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"),
        ("user/app", "docker.io/user/app:latest", "user/app:latest"),
        ("docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("index.docker.io/a/b", "docker.io/a/b:latest", "a/b:latest"),
        ("localhost/a", "localhost/a:latest", "localhost/a:latest"),
        ("localhost:5000/a:b", "localhost:5000/a:b", "localhost:5000/a:b"),
        (
            "host.example/a/b/c:v1.0_x-Y", "host.example/a/b/c:v1.0_x-Y",
            "host.example/a/b/c:v1.0_x-Y"
        ),
        ("[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest"),
        ("UPPER/a", "UPPER/a:latest", "UPPER/a:latest"),
        ("a__b/c--d.e_f", "docker.io/a__b/c--d.e_f:latest", "a__b/c--d.e_f:latest"),
    ])
    func `A name is completed and shortened`(_ text: String, _ full: String, _ short: String) throws
    {
        let reference = try ImageReference(text)
        #expect(reference.description == full)
        #expect(reference.familiar == short)
        #expect(try ImageReference(full) == reference)
        #expect(try ImageReference(short) == reference)
    }

    @Test func `A digest stands instead of a tag, or beside it`() throws {
        let digest = "sha256:" + String(repeating: "0a", count: 32)
        let only = try ImageReference("busybox@" + digest)
        #expect(only.tag == nil && only.digest?.description == digest)
        #expect(only.description == "docker.io/library/busybox@" + digest)
        #expect(try ImageReference("busybox:1@" + digest).tag == "1")
    }

    @Test(arguments: [
        "", ":", "@", "/", "//", "a/", "/a", "a//b", "Busybox", "busybox:", "a:b:c", "a:.x", "a:-x",
        "a b", "a@b", "a@sha256:12", "a@sha512:00", "-a", "a-", "a___b", "a..b", "a._b", "ä", "a:ä",
        "a\u{0}b", "a\n", "host:port/a", "host:/a", "host:999999/a", "[::1/a", "[]:1/a", "-h.x/a",
        "a/B", "a.b/../c", "../a", "a@sha256:" + String(repeating: "A", count: 64), "a/b:c/d",
        String(repeating: "ab", count: 32), String(repeating: "a/", count: 200) + "a",
        "a:" + String(repeating: "t", count: 129),
    ])
    func `A bad name is refused`(_ text: String) {
        #expect(throws: SpecificationError.self) { try ImageReference(text) }
    }

    @Test func `Random names never crash the parser`() {
        let letters = Array("aZ0.:/@-_[]sha256 \u{0}é")
        for _ in 0..<20_000 {
            let text = String((0..<Int.random(in: 0...12)).map { _ in letters.randomElement()! })
            guard let reference = try? ImageReference(text) else { continue }
            #expect(try! ImageReference(reference.description) == reference, "\(text)")
            #expect(try! ImageReference(reference.familiar) == reference, "\(text)")
        }
    }

    @Test(arguments: [
        ("1970-01-01T00:00:00Z", 0, 0), ("2001-09-09T01:46:40.5Z", 1_000_000_000, 500_000_000),
        ("2026-01-31T12:00:00.123456789+02:00", 1_769_853_600, 123_456_789),
        ("1969-12-31T23:59:59Z", -1, 0), ("0001-01-01T00:00:00Z", -62_135_596_800, 0),
    ])
    func `A date is read`(_ text: String, _ seconds: Int, _ nanoseconds: Int) {
        let time = Timestamp(text)
        #expect(time == Timestamp(seconds: seconds, nanoseconds: nanoseconds))
        #expect(time.flatMap { Timestamp($0.description) } == time)
    }

    @Test func `Dates are those of the C library`() {
        for _ in 0..<5_000 {
            var seconds = Int.random(in: -30_000_000_000...250_000_000_000)
            var parts = tm()
            gmtime_r(&seconds, &parts)
            var buffer = [CChar](repeating: 0, count: 64)
            let count = strftime(&buffer, 64, "%Y-%m-%dT%H:%M:%SZ", &parts)
            let text = String(decoding: buffer.prefix(count).map(UInt8.init), as: UTF8.self)
            #expect(Timestamp(text) == Timestamp(seconds: seconds))
            #expect(Timestamp(seconds: seconds).description == text)
        }
    }

    @Test(arguments: [
        "", "2026", "2026-13-01T00:00:00Z", "2026-01-01 00:00:00Z", "2026-01-01T00:00:00",
        "2026-01-01T00:00:00.Z", "2026-01-01T24:00:00Z", "2026-01-01T00:00:00Zx",
    ])
    func `A bad date is refused`(_ text: String) { #expect(Timestamp(text) == nil) }
}
