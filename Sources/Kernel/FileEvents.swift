import CLinux
import Glibc

// Two descriptors that can be read when something has happened elsewhere.

/// Counts what the kernel is told to count with it. See `eventfd(2)`.
public func eventCounter(why: StaticString) throws(KernelError) -> Descriptor {
    Descriptor(
        owning: try systemCall(
            "eventfd2", [.number(0), .symbol("EFD_CLOEXEC")], on: "an event counter", why: why
        ) { eventfd2(0, O_CLOEXEC) })
}

/// Tells when a file changes, and when it goes. See `inotify(7)`.
public func watchFile(_ path: String, why: StaticString) throws(KernelError) -> Descriptor {
    let events = Descriptor(
        owning: try systemCall(
            "inotify_init1", [.symbol("IN_CLOEXEC")], on: path, why: "events can be read from it"
        ) { inotify_init1(CInt(IN_CLOEXEC)) })
    let number = events.number
    try systemCall(
        "inotify_add_watch", [.number(Int(number)), .text(path), .symbol("IN_MODIFY")], on: path,
        why: why
    ) { inotify_add_watch(number, path, UInt32(IN_MODIFY)) }
    return events
}
