/// Moments as people tell them.
public enum Age {
    /// How long ago something was, in the largest unit of which there are at least two.
    ///
    /// - Parameter seconds: how many seconds have gone by since; negative for what is to come.
    public static func text(secondsAgo seconds: Int) -> String {
        if seconds < 0 { return "in the future" }
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
