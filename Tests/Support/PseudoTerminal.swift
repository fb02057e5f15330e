import CLinux
import Foundation

/// A terminal whose keyboard and screen are the test's.
final class PseudoTerminal {
    /// The device's path, for the program that runs on it.
    let path: String
    private let keyboard: Int32
    /// Held open so that the terminal's settings can be read after the program has gone.
    private let device: Int32
    private var shown = Data()

    init(rows: UInt16 = 24, columns: UInt16 = 80) throws {
        keyboard = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
        guard keyboard >= 0, unlock_pseudoterminal(keyboard) == 0 else {
            throw ProgramFailure(description: "no pseudoterminal")
        }
        path = "/dev/pts/\(pseudoterminal_number(keyboard))"
        device = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC)
        guard device >= 0 else { throw ProgramFailure(description: "cannot open \(path)") }
        _ = fcntl(keyboard, F_SETFL, O_NONBLOCK)
        resize(rows: rows, columns: columns)
    }

    deinit {
        close(device)
        close(keyboard)
    }

    /// Changes the window's size, as a terminal emulator does.
    func resize(rows: UInt16, columns: UInt16) {
        var size = winsize(ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
        _ = ioctl(keyboard, UInt(TIOCSWINSZ), &size)
    }

    /// Types `text`.
    func type(_ text: String) {
        for byte in text.utf8 {
            var byte = byte
            while write(keyboard, &byte, 1) < 0 && errno == EAGAIN { usleep(500) }
        }
    }

    /// Presses a key together with Ctrl.
    func typeControl(_ letter: Character) {
        guard let code = letter.asciiValue else { return }
        type(String(UnicodeScalar(code & 0x1F)))
    }

    /// Everything that was shown so far.
    var screen: String {
        var buffer = [UInt8](repeating: 0, count: 1 << 14)
        while true {
            let got = read(keyboard, &buffer, buffer.count)
            if got <= 0 { break }
            shown.append(contentsOf: buffer[..<got])
        }
        return String(decoding: shown, as: UTF8.self)
    }

    /// Waits until `text` is shown.
    func expect(_ text: String, _ seconds: Double = 10) throws {
        try waitUntil("`\(text)` on the screen, which shows:\n\(screen)", seconds) {
            self.screen.contains(text)
        }
    }

    /// Forgets what was shown, so that the next ``expect(_:_:)`` sees only what is new.
    func clear() {
        _ = screen
        shown = Data()
    }

    /// The terminal's settings, for comparing. See `termios(3)`.
    var settings: [UInt32] {
        var now = termios()
        tcgetattr(device, &now)
        let characters = withUnsafeBytes(of: now.c_cc) { $0.map(UInt32.init) }
        return [now.c_iflag, now.c_oflag, now.c_cflag, now.c_lflag] + characters
    }

    /// The process group that the terminal's keys reach.
    var foregroundGroup: pid_t { tcgetpgrp(device) }
}
