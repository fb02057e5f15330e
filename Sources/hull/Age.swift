import OCISpec

/// Moments as people tell them.
enum Age {
    /// How long ago, in the largest unit of which there are at least two.
    static func text(of moment: Timestamp, at now: Timestamp) -> String {
        let seconds = now.seconds - moment.seconds
        if seconds < 0 { return moment.description }
        let units = [
            ("years", 31_536_000), ("months", 2_592_000), ("weeks", 604_800), ("days", 86_400),
            ("hours", 3_600), ("minutes", 60),
        ]
        for (name, length) in units where seconds >= 2 * length {
            return "\(seconds / length) \(name) ago"
        }
        return seconds < 2 ? "just now" : "\(seconds) seconds ago"
    }
}
