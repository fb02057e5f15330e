import Glibc
import Kernel

/// All contenders, timed in turns.
///
/// Whatever else the machine does meanwhile meets all of them alike: each round runs every
/// contender once, in an order of its own. A few rounds before count for nothing; they fill
/// the caches.
struct Race {
    static let warmUps = 3

    private(set) var contenders: [Contender]
    let differences: [Difference]
    let footnotes: [String]
    let runs: Int
    private let token: String

    init(_ plan: Plan, runs: Int) {
        contenders = plan.contenders
        differences = plan.differences
        footnotes = plan.footnotes
        self.runs = runs
        // The bundles of OCI runtimes are prepared before; they have to know it.
        token = getenv("HULL_BENCH_TOKEN").map { String(cString: $0) } ?? randomName()
    }

    var hasFailures: Bool { contenders.contains { $0.failure != nil } }

    /// Runs each once with a task whose output shows that its sandbox really came about.
    mutating func checkAll() {
        for index in contenders.indices where contenders[index].failure == nil {
            contenders[index].failure = checkOne(contenders[index])
        }
    }

    private func checkOne(_ contender: Contender) -> String? {
        do throws(KernelError) {
            let result = try Spawn.capturing(contender.words(for: .echo(token)))
            if result.code != 0 {
                return "does not run: exit code \(result.code), \(result.lastLine)"
            }
            return result.output.contains(token) ? nil : "does not run: no output"
        } catch {
            return "does not run: \(error)"
        }
    }

    /// Times everyone that works.
    mutating func run() {
        var progress = Progress(total: Race.warmUps + runs)
        for round in 0..<Race.warmUps + runs {
            for index in contenders.indices.shuffled() where contenders[index].failure == nil {
                time(index, counts: round >= Race.warmUps)
            }
            progress.advance()
        }
        progress.finish()
    }

    private mutating func time(_ index: Int, counts: Bool) {
        do throws(KernelError) {
            let (code, nanoseconds) = try Spawn.timing(contenders[index].words(for: .nothing))
            if code != 0 { contenders[index].failure = "failed in a run: exit code \(code)" }
            if counts { contenders[index].times.append(nanoseconds) }
            settle(nanoseconds)
        } catch {
            contenders[index].failure = "failed in a run: \(error)"
        }
    }

    /// Waits as long as the run took, a tenth of a second at most.
    ///
    /// Some go on cleaning up after they have returned, which must not be charged to the next.
    private func settle(_ nanoseconds: UInt64) {
        usleep(UInt32(min(nanoseconds / 1000, 100_000)))
    }
}
