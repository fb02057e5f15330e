import Glibc
import Kernel
import OCISpec
import Registry
import Synchronization
import Terminal

/// Shows how far each layer is: a bar for each on a terminal, lines elsewhere, JSON for programs.
///
/// It is told from several threads, some thousand times a second, and draws ten times.
final class TransferDisplay: Sendable {
    private enum Form {
        case bars
        case lines
        case json
        case none
    }

    fileprivate struct Layer {
        let descriptor: ContentDescriptor
        var step: BlobStep
        var travelled = 0
        var unpacked = 0
        var isToldDone = false
        var lastTold = 0.0
    }

    private struct State {
        var layers: [Layer] = []
        /// How many lines of the screen are ours.
        var drawn = 0
        var lastDrawn = 0.0
    }

    private let form: Form
    private let subject: String
    private let style = Style(for: 2)
    private let state = Mutex(State())

    init(_ options: Arguments, verb: String, _ name: String) {
        subject = "\(verb) \(name)"
        form =
            options.has("quiet")
            ? .none : options.has("json") ? .json : isatty(2) == 1 ? .bars : .lines
    }

    func show(_ event: TransferEvent) {
        if form == .none { return }
        state.withLock { state in
            switch event {
            case .resolved(let digest): tellResolved(digest)
            case .note(let text): tellNote(text, &state)
            case .blob(let descriptor, let step): take(descriptor, step, &state)
            }
        }
    }

    /// Draws how it ended; what is written next stands below.
    func finish() {
        state.withLock { state in
            guard form == .bars else { return }
            draw(&state)
        }
    }

    private func tellResolved(_ digest: Digest) {
        switch form {
        case .bars, .lines: Program.write("\(subject): \(digest)\n", to: 2)
        case .json:
            write(.object(present: [("event", "resolved"), ("digest", .string("\(digest)"))]))
        case .none: break
        }
    }

    private func tellNote(_ text: String, _ state: inout State) {
        if form == .json {
            return write(.object(present: [("event", "note"), ("text", .string(text))]))
        }
        clear(&state)
        Program.write(text + "\n", to: 2)
    }

    private func take(_ descriptor: ContentDescriptor, _ step: BlobStep, _ state: inout State) {
        var place = state.layers.firstIndex { $0.descriptor.digest == descriptor.digest }
        if place == nil {
            state.layers.append(Layer(descriptor: descriptor, step: step))
            place = state.layers.count - 1
        }
        guard let place else { return }
        state.layers[place].take(step)
        switch form {
        case .bars:
            let time = now()
            guard time - state.lastDrawn > 0.1 else { return }
            state.lastDrawn = time
            draw(&state)
        case .lines: tellLine(&state.layers[place], step)
        case .json: tellObject(&state.layers[place], step)
        case .none: break
        }
    }

    // Lines

    private func tellLine(_ layer: inout Layer, _ step: BlobStep) {
        let size = ByteSize.text(layer.descriptor.size)
        let text: String? =
            switch step {
            case .present: "is there already"
            case .mounted: "mounted from another repository"
            case .retrying: "broke off at \(ByteSize.text(layer.travelled)); once more"
            case .done: "done, \(size)"
            case .downloading(let count) where count == layer.descriptor.size: "downloaded, \(size)"
            case .uploading(let count) where count == layer.descriptor.size: "sent, \(size)"
            default: nil
            }
        guard let text, !layer.isToldDone else { return }
        if step == .done { layer.isToldDone = true }
        if case .downloading = step {
            // It is said twice: by what came last, and by the end.
            guard layer.lastTold == 0 else { return }
            layer.lastTold = 1
        }
        Program.write("\(layer.name): \(text)\n", to: 2)
    }

    // JSON

    private func tellObject(_ layer: inout Layer, _ step: BlobStep) {
        let time = now()
        let isNumber =
            switch step {
            case .downloading, .uploading, .unpacking: true
            default: false
            }
        if isNumber && time - layer.lastTold < 0.1 { return }
        layer.lastTold = time
        write(
            .object(present: [
                ("event", "blob"), ("digest", .string("\(layer.descriptor.digest)")),
                ("step", .string(step.word)), ("done", .integer(step.count ?? layer.travelled)),
                ("total", .integer(layer.descriptor.size)),
            ]))
    }

    private func write(_ json: JSON) { Program.write(json.text() + "\n", to: 2) }

    // Bars

    private func draw(_ state: inout State) {
        let (columns, rows) = screen()
        // A screen that is too low shows those that are under way.
        let shown =
            state.layers.count < rows
            ? state.layers : state.layers.filter { !$0.isOver }.suffix(rows - 1)
        var text = state.drawn > 0 ? "\u{1B}[\(state.drawn)A" : ""
        for layer in shown { text += "\r\u{1B}[K" + line(layer, columns) + "\n" }
        text += "\u{1B}[J"
        state.drawn = shown.count
        Program.write(text, to: 2)
    }

    private func clear(_ state: inout State) {
        if state.drawn > 0 { Program.write("\u{1B}[\(state.drawn)A\r\u{1B}[J", to: 2) }
        state.drawn = 0
    }

    private func line(_ layer: Layer, _ columns: Int) -> String {
        let total = layer.descriptor.size
        let done = min(layer.unpacked > 0 ? layer.unpacked : layer.travelled, total)
        let part = layer.isOver || total == 0 ? 1 : Double(done) / Double(total)
        let numbers =
            layer.isOver
            ? ByteSize.text(total) : "\(ByteSize.text(done)) of \(ByteSize.text(total))"
        let end = "  \(padded("\(Int(part * 100))%", 4))  \(layer.step.word)  \(numbers)"
        let width = min(30, columns - layer.name.count - end.count - 3)
        guard width >= 5 else { return String((layer.name + end).prefix(max(1, columns - 1))) }
        let filled = Int(part * Double(width))
        let bar =
            String(repeating: "█", count: filled)
            + style.dim(String(repeating: "░", count: width - filled))
        return "\(layer.name)  \(bar)\(end)"
    }

    private func screen() -> (columns: Int, rows: Int) {
        var size = winsize()
        guard ioctl(2, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else {
            return (80, 24)
        }
        return (Int(size.ws_col), Int(size.ws_row))
    }

    private func padded(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }

    private func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}

extension TransferDisplay.Layer {
    fileprivate var name: String { descriptor.digest.short }

    fileprivate var isOver: Bool {
        switch step {
        case .done, .present, .mounted: true
        default: false
        }
    }

    fileprivate mutating func take(_ new: BlobStep) {
        switch new {
        case .downloading(let count), .uploading(let count): travelled = count
        case .unpacking(let count): unpacked = count
        default: break
        }
        // While it still comes, that is what it waits for.
        if case .unpacking = new, travelled < descriptor.size, case .downloading = step { return }
        if case .downloading = new, step == .done { return }
        step = new
    }
}

extension BlobStep {
    fileprivate var word: String {
        switch self {
        case .waiting: "waiting"
        case .downloading: "downloading"
        case .uploading: "sending"
        case .unpacking: "unpacking"
        case .retrying: "retrying"
        case .present: "present"
        case .mounted: "mounted"
        case .done: "done"
        }
    }

    fileprivate var count: Int? {
        switch self {
        case .downloading(let count), .uploading(let count), .unpacking(let count): count
        default: nil
        }
    }
}
