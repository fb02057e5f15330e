import CLinux
import Glibc
import Kernel
import OCISpec
import Terminal

/// What a hook is told on its standard input. See runtime-spec, `runtime.md`, "State".
public struct HookState: Sendable {
    private let version: String
    private let id: String
    /// The directory that hooks of the host's start in.
    public let bundle: String
    private let annotations: StringMap

    /// What stays the same in all of them.
    public init(version: String, id: String, bundle: String, annotations: StringMap) {
        self.version = version
        self.id = id
        self.bundle = bundle
        self.annotations = annotations
    }

    /// The state at one moment.
    ///
    /// - Parameters:
    ///   - status: `created`, `running` or `stopped`.
    ///   - process: the container's, as the host numbers it; nil where it has ended.
    public func json(_ status: String, _ process: ProcessID?) -> JSON {
        .object(present: [
            ("ociVersion", .string(version)), ("id", .string(id)), ("status", .string(status)),
            ("pid", process.map { .integer(Int($0.rawValue)) }), ("bundle", .string(bundle)),
            ("annotations", annotations.json),
        ])
    }
}

/// Runs hooks one after the other, each to its end.
///
/// - Parameters:
///   - directory: where they start; where we are if nil.
///   - environment: of those that bring none of their own.
/// - Throws: what the first says that fails.
public func runHooks(
    _ hooks: [RuntimeHook], _ kind: String, in directory: String?,
    environment: [String] = SandboxedProcess.inheritedEnvironment,
    telling state: @autoclosure () -> JSON
) throws(KernelError) {
    for (index, hook) in hooks.enumerated() {
        let outcome = try runProgram(
            hook.path, hook.arguments, environment: hook.environment ?? environment, in: directory,
            input: state().text(), seconds: hook.timeout,
            why: "a hook: it is told the container's state")
        if outcome.status == .exited(0) { continue }
        let ending =
            if outcome.wasTooSlow {
                "it took longer than \(hook.timeout ?? 0) seconds"
            } else {
                switch outcome.status {
                case .exited(let code): "exit status \(code)"
                case .signalled(let signal): "killed by signal \(signal)"
                }
            }
        throw KernelError(
            "error running \(kind) hook #\(index):", hook.path, Errno(rawValue: ECANCELED),
            remedy: ending + (outcome.output.isEmpty ? "." : ", and it said: \(outcome.output)"))
    }
}

/// The hooks that run on the host: when the namespaces are there, when the command runs, and when
/// the container is gone. See runtime-spec, `config.md`, "POSIX-platform Hooks".
///
/// In the list behind the mounts and before ``PivotRoot``: what they look for is there, and what
/// they add is seen.
public final class HostHooks: Mechanism {
    /// As the narrator calls it.
    public let name = "hooks"
    private let hooks: RuntimeHooks
    private let state: HookState
    private var child: ProcessID?

    /// Runs these, and tells them this.
    public init(_ hooks: RuntimeHooks, telling state: HookState) {
        self.hooks = hooks
        self.state = state
    }

    /// Only where there are any.
    public var needsHost: Bool { !hooks.prestart.isEmpty || !hooks.createRuntime.isEmpty }

    /// From here on there is somebody whom the hooks of the end are about.
    public func adopt(_ child: ProcessID) throws(KernelError) { self.child = child }

    /// `prestart` and `createRuntime`.
    public func assist(_ child: ProcessID) throws(KernelError) {
        let told = state.json("created", child)
        try runHooks(hooks.prestart, "prestart", in: state.bundle, telling: told)
        try runHooks(hooks.createRuntime, "createRuntime", in: state.bundle, telling: told)
    }

    /// `poststart`.
    public func started(_ child: ProcessID) throws(KernelError) {
        try runHooks(
            hooks.poststart, "poststart", in: state.bundle, telling: state.json("running", child))
    }

    /// `poststop`.
    public func release() throws(KernelError) {
        if child != nil { hooks.runPoststop(telling: state) }
    }
}

extension RuntimeHooks {
    /// Runs the hooks of the end. One that fails is no reason to keep the container.
    public func runPoststop(telling state: HookState) {
        for hook in poststop {
            do throws(KernelError) {
                try runHooks(
                    [hook], "poststop", in: state.bundle, telling: state.json("stopped", nil))
            } catch {
                Program.warn(error)
            }
        }
    }
}

/// The hooks that run in the container: before its root is entered, and before its command.
public final class ContainerHooks: Mechanism {
    /// As the narrator calls it.
    public let name = "container hooks"
    private let hooks: RuntimeHooks
    private let state: HookState
    private let rootfs: String
    private let startEnvironment: [String]
    /// Written in the sandbox, and read there.
    private var own = ProcessID(rawValue: 0)

    /// - Parameters:
    ///   - hooks: those that are run.
    ///   - state: what they are told.
    ///   - rootfs: where those start that see the host's paths.
    ///   - environment: the command's, which the last ones get: they are programs of the container.
    public init(
        _ hooks: RuntimeHooks, telling state: HookState, in rootfs: String,
        startingWith environment: [String]
    ) {
        self.rootfs = rootfs
        self.hooks = hooks
        self.state = state
        startEnvironment = environment
    }

    /// `createContainer`, with the host's root still in place: the paths are the host's.
    public func enter() throws(KernelError) {
        if hooks.createContainer.isEmpty && hooks.startContainer.isEmpty { return }
        own = numberOnHost()
        try runHooks(
            hooks.createContainer, "createContainer", in: rootfs,
            telling: state.json("created", own))
    }

    /// `startContainer`: the paths are the container's.
    public func launch() throws(KernelError) {
        try runHooks(
            hooks.startContainer, "startContainer", in: nil, environment: startEnvironment,
            telling: state.json("created", own))
    }

    /// /proc is still the host's: there our number is the host's too.
    private func numberOnHost() -> ProcessID {
        let number = (try? linkTarget("/proc/self")).flatMap { pid_t($0) }
        return ProcessID(rawValue: number ?? getpid())
    }
}
