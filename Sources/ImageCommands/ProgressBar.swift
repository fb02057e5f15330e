import Glibc
import Images
import Terminal

/// A bar on the terminal's last line, for work that takes more than a second.
///
/// Where nobody looks, in a pipe or a file, nothing is drawn.
final class ProgressBar {
    private static let width = 24

    private let isTerminal = isatty(2) == 1
    private let style = Style(for: 2)
    private let start = now()
    private var lastDrawn = 0.0
    private var isShown = false

    /// Draws how far it is, at most ten times a second.
    func show(_ progress: Progress) {
        guard isTerminal else { return }
        let time = ProgressBar.now()
        guard time - start > 1, time - lastDrawn > 0.1 else { return }
        lastDrawn = time
        isShown = true
        Program.write("\r\u{1B}[K" + line(progress), to: 2)
    }

    /// Takes the bar away; what comes next stands on its line.
    func clear() {
        if isShown { Program.write("\r\u{1B}[K", to: 2) }
        isShown = false
    }

    private func line(_ progress: Progress) -> String {
        let done = ByteCount.text(progress.done)
        guard let total = progress.total, total > 0 else { return "\(progress.step)  \(done)" }
        let part = min(1, Double(progress.done) / Double(total))
        let filled = Int(part * Double(ProgressBar.width))
        let bar =
            String(repeating: "█", count: filled)
            + style.dim(String(repeating: "░", count: ProgressBar.width - filled))
        return "\(progress.step)  \(bar) \(Int(part * 100))%  \(done) of \(ByteCount.text(total))"
    }

    private static func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
