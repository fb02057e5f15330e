import Glibc
import Terminal

/// A bar on standard error where that is a terminal; elsewhere a line every quarter.
struct Progress {
    private let total: Int
    private let isTerminal = isatty(2) == 1
    private var done = 0

    init(total: Int) { self.total = total }

    mutating func advance() {
        done += 1
        if isTerminal {
            let filled = 40 * done / total
            let bar =
                String(repeating: "#", count: filled) + String(repeating: ".", count: 40 - filled)
            Program.write("\r[\(bar)] round \(done) of \(total)", to: 2)
        } else if 4 * done / total > 4 * (done - 1) / total {
            Program.write("round \(done) of \(total)\n", to: 2)
        }
    }

    /// Takes the bar away: what follows is the result.
    func finish() {
        if isTerminal { Program.write("\r\u{1B}[K", to: 2) }
    }
}
