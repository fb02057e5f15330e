import Foundation
import Testing

@testable import TestSupport

extension KernelSuite {
    /// What it costs to unpack somebody else's layer.
    @Suite("Stage 8, memory") struct LayerMemoryTests {
        /// Many directories, whose times are put back, and many parts of a sparse file; the
        /// largest window that is allowed.
        private static let layer = """
            import os
            for i in range(10000):
                os.mkdir("directory-%d" % i)
                open("directory-%d/file" % i, "w").close()
            with open("holes", "wb") as f:
                for i in range(20000):
                    f.seek(i * 100000)
                    f.write(b"x")
            with open("zeros", "wb") as f: f.truncate(100 << 20)
            """

        @Test("A layer of any form and size is unpacked in less than 64 MiB")
        func isBounded() throws {
            let directory = try place().directory
            let script = """
                mkdir '\(directory)/t' && cd '\(directory)/t' && python3 -c '\(Self.layer)' &&
                tar c --sparse --hole-detection=raw --format=posix . |
                zstd -q --ultra -20 --long=25 > ../layer.tar.zst
                """
            #expect(try run(["bash", "-c", "set -o pipefail; " + script], seconds: 60).code == 0)
            let measure = """
                import resource, subprocess, sys
                code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
                print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10)
                """
            let got = try run(
                [
                    "python3", "-c", measure, Products.hull, "image", "import",
                    directory + "/layer.tar.zst", Place.randomWord(),
                ], seconds: 120)
            let numbers = got.output.split { $0 == " " || $0 == "\n" }.compactMap { Int($0) }
            #expect(numbers.count == 2 && numbers.first == 0, "\(got)")
            #expect(numbers.last ?? .max < 64, "\(got)")
        }
    }
}
