import Glibc
import Kernel

/// Asks the person at the terminal, whatever standard input is.
enum Prompt {
    /// A line of text.
    static func line(_ question: String) throws(KernelError) -> String {
        let terminal = try open(question)
        return try ask(question, terminal)
    }

    /// A line that is not shown while it is typed.
    static func secret(_ question: String) throws(KernelError) -> String {
        let terminal = try open(question)
        var before = termios()
        guard tcgetattr(terminal.number, &before) == 0 else {
            throw KernelError("tcgetattr", "/dev/tty", .current)
        }
        var silent = before
        // Without ISIG a Ctrl-C comes as a character, and the echo is never left switched off.
        silent.c_lflag &= ~tcflag_t(ECHO | ISIG)
        tcsetattr(terminal.number, TCSAFLUSH, &silent)
        defer { tcsetattr(terminal.number, TCSAFLUSH, &before) }
        let answer = try ask(question, terminal)
        try terminal.write("\n")
        return answer
    }

    private static func open(_ question: String) throws(KernelError) -> Descriptor {
        do { return try Descriptor.open("/dev/tty", O_RDWR | O_NOCTTY) } catch {
            throw KernelError(
                "ask for", question.filter { $0.isLetter }.lowercased(), error.errno,
                remedy: "There is no terminal to ask at: give --username NAME --password-stdin.")
        }
    }

    private static func ask(
        _ question: String, _ terminal: borrowing Descriptor
    ) throws(KernelError) -> String {
        try terminal.write(question)
        var bytes: [UInt8] = []
        while bytes.count < 4096 {
            let some = try terminal.read(upTo: 1)
            guard let byte = some.first, byte != UInt8(ascii: "\n") else { break }
            let isInterrupt = byte == 3 || byte == 28
            if isInterrupt { throw KernelError("ask", "", .interrupted, exitCode: 128 + SIGINT) }
            bytes.append(byte)
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
