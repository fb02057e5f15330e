import OCISpec
import Testing

@Suite struct JSONTests {
    @Test func `A value comes back as it was written, in the same order`() throws {
        let text = #"{"b":[1,-2,0.5,true,false,null],"a":{"ü\"\n":"\u0001/"},"":"" }"#
        let value = try JSON.parse(text)
        #expect(try JSON.parse(value.text()) == value)
        #expect(try JSON.parse(value.text(indent: 2)) == value)
        #expect(value.text().hasPrefix(#"{"b":[1,-2,0.5,true"#))
        #expect(value.text(sortedNames: true).hasPrefix(#"{"":"","a":"#))
    }

    @Test func `A number without a sign that needs 64 bits becomes the one with these bits`() throws
    {
        let text = #"[18446744073709551615,"x\" 9223372036854775808 \\",9223372036854775808,-1]"#
        #expect(
            try JSON.parse(text) == [
                .integer(-1), .string(#"x" 9223372036854775808 \"#), .integer(.min), .integer(-1),
            ])
    }

    @Test(arguments: [
        "18446744073709551616", "[9223372036854775808, -9223372036854775809]",
        "", " ", "{", "[1,]", "{\"a\":1,}", "{\"a\":1 \"b\":2}", "nul", "01", "1e999", "[1] 2",
        "\"open", "{\"a\":1,\"a\":2}", "\"\\u0000\"", "\"\\ud800\"", "{\"\\u0000\":1}",
        "99999999999999999999", "'a'", "{a:1}", "\u{FEFF}{}",
    ])
    func `Bad JSON is refused with its position`(_ text: String) {
        let error = #expect(throws: SpecificationError.self) { try JSON.parse(text, from: "x") }
        #expect(error?.description.contains("line") ?? false)
    }

    @Test func `Bytes that are no text are refused`() {
        let bad: [[UInt8]] = [
            [0xFF], [0x22, 0xC0, 0x80, 0x22], [0x22, 0, 0x22], [0], [0x7B, 0, 0x7D],
        ]
        for bytes in bad {
            #expect(throws: SpecificationError.self) { try JSON.parse(bytes) }
        }
    }

    @Test(arguments: [200, 2_000, 5_000_000])
    func `Deep nesting is refused and does not overflow the stack`(_ depth: Int) {
        let text = String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        #expect(throws: SpecificationError.self) { try JSON.parse(text) }
        let objects = String(repeating: "{\"a\":", count: depth)
        #expect(throws: SpecificationError.self) { try JSON.parse(objects) }
    }

    @Test func `A hundred levels are fine`() throws {
        let text = String(repeating: "[", count: 100) + String(repeating: "]", count: 100)
        #expect(try JSON.parse(text).text() == text)
    }

    @Test func `A text beyond the limit is refused`() {
        #expect(throws: SpecificationError.self) {
            try JSON.parse("[1,2,3]".utf8, limit: 3)
        }
    }

    @Test func `Random bytes never crash the parser`() throws {
        var generator = SystemRandomNumberGenerator()
        let seed = Array(#"{"a":[1,2.5,"x\u00e9",null,true],"b":{"c":-1e5}}"#.utf8)
        for _ in 0..<5_000 {
            var bytes = seed
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                bytes[Int.random(in: bytes.indices, using: &generator)] = .random(in: 0...255)
            }
            _ = try? JSON.parse(bytes).text()
        }
    }

    @Test func `A wrong type is named with its path`() throws {
        let reader = JSONReader(try JSON.parse(#"{"layers":[{"size":"big"}],"n":null}"#))
        let layer = try reader["layers"].array()[0]
        let error = #expect(throws: SpecificationError.self) { try layer["size"].integer() }
        #expect(
            error?.description == "layers[0].size: a whole number should be there, not a string")
        let missing = #expect(throws: SpecificationError.self) {
            try reader["config"]["digest"].string()
        }
        #expect(missing?.subject == "config.digest")
        #expect(try reader["n"].optionalString() == nil)
    }

    @Test func `Numbers that JSON does not have become null`() {
        #expect(
            JSON.array([.real(.infinity), .real(.nan), .real(0.1)]).text() == "[null,null,0.1]")
    }
}
