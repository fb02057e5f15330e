import Glibc

/// Colour and weight, where the reader is a terminal.
///
/// Colour never carries meaning alone: whoever sees none misses nothing. `NO_COLOR`
/// turns it off.
public struct Style: Sendable {
    private let isOn: Bool

    /// The style for a descriptor: plain where that is no terminal.
    public init(for descriptor: CInt) {
        isOn = isatty(descriptor) == 1 && getenv("NO_COLOR") == nil
    }

    /// For what a screen is about.
    public func bold(_ text: String) -> String { paint(text, 1) }
    /// For what may be passed over.
    public func dim(_ text: String) -> String { paint(text, 2) }
    /// For what is wrong.
    public func red(_ text: String) -> String { paint(text, 31) }
    /// For what is right.
    public func green(_ text: String) -> String { paint(text, 32) }
    /// For what wants a look.
    public func yellow(_ text: String) -> String { paint(text, 33) }

    private func paint(_ text: String, _ code: Int) -> String {
        isOn ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
    }
}
