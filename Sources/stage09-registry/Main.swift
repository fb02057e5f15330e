import Registry
import Terminal

@main enum Main {
    static func main() { Program.write("\n") }
}
