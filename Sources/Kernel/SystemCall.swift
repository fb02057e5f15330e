import CLinux

/// Makes one call to the kernel, narrates it, and throws if it failed.
///
/// Every function in this module that changes what the kernel holds goes
/// through here: the one place where errno becomes an error, and the one place
/// where a call becomes a line of `--explain`. With narration off neither the
/// arguments nor the shell command are ever built.
///
/// - Parameters:
///   - name: the call, under the kernel's name.
///   - arguments: what it is given, as strace would show it.
///   - object: what an error message names.
///   - why: the reason, told to the reader of `--explain`.
///   - shell: the commands with which a student does the same by hand.
///   - body: the call itself: -1 and errno, or a result.
@discardableResult @inline(__always)
func systemCall<Result: SignedInteger & FixedWidthInteger>(
    _ name: StaticString, _ arguments: @autoclosure () -> [Argument],
    on object: @autoclosure () -> String, why: StaticString,
    shell: @autoclosure () -> String? = nil, _ body: () -> Result
) throws(KernelError) -> Result {
    // book: begin system-call
    let result = body()
    // Before anything that allocates.
    let number = result < 0 ? current_errno() : 0
    if Narrator.isOn {
        Narrator.record(
            Event(
                call: name, arguments: arguments(), result: Int(result),
                errno: result < 0 ? Errno(rawValue: number) : nil, why: why, shell: shell()))
    }
    if result < 0 { throw KernelError("\(name)", object(), Errno(rawValue: number)) }
    return result
    // book: end system-call
}
