import Engine
import Glibc
import Isolation
import Kernel
import Terminal

/// `hull`: the engine's command line.
@main enum Main {
    static func main() {
        Program.run { arguments throws(KernelError) in
            try RunCommand.run(["hull run"] + arguments.dropFirst(2))
        }
    }
}
