import Dispatch
import Glibc
import Images
import Kernel
import Synchronization

/// A file that one thread still writes while another one reads it: a layer is unpacked while it
/// is downloaded.
///
/// The page cache between the two is all the buffer that it takes, and a download is never held up
/// by the unpacking.
final class GrowingFile: Sendable {
    private struct State {
        /// Where it is, until it is a blob of the store.
        var path: String?
        var size = 0
        var end: End?
    }

    private enum End {
        case whole
        case failed(KernelError)
    }

    private let state = Mutex(State())
    private let news = DispatchSemaphore(value: 0)

    private func change(_ change: (inout State) -> Void) {
        state.withLock { if $0.end == nil { change(&$0) } }
        news.signal()
    }

    /// So many bytes may be read now from the file at `path`.
    func grow(to size: Int, at path: String) {
        change {
            $0.size = size
            $0.path = path
        }
    }

    /// There is no more to come, and what there is has the right digest.
    func finish() { change { $0.end = .whole } }

    /// It will never be whole.
    func fail(_ error: KernelError) { change { $0.end = .failed(error) } }

    /// Sleeps until the download is over.
    func waitUntilWhole() throws(KernelError) {
        while true {
            switch state.withLock(\.end) {
            case .whole: return
            case .failed(let error): throw error
            case nil: news.wait()
            }
        }
    }

    /// Where it can be read, as soon as there is something; nil where it is in the store.
    func waitForPath() throws(KernelError) -> String? {
        while true {
            let (path, end) = state.withLock { ($0.path, $0.end) }
            switch end {
            case .whole: return nil
            case .failed(let error): throw error
            case nil: if let path { return path }
            }
            news.wait()
        }
    }

    /// How many bytes there are beyond `position`, after waiting for some; nil where the file
    /// itself tells its end.
    fileprivate func wait(beyond position: Int) throws(KernelError) -> Int? {
        while true {
            let now = state.withLock { $0 }
            switch now.end {
            case .whole: return nil
            case .failed(let error): throw error
            case nil: if now.size > position { return now.size - position }
            }
            news.wait()
        }
    }
}

/// Reads a ``GrowingFile`` from its start.
final class GrowingFileSource: ByteSource {
    private let growth: GrowingFile
    private let file: Descriptor
    private let name: String
    private let progress: (Int) -> Void
    private var position = 0

    /// Reads the open `file`; `progress` hears how many bytes are read.
    init(
        _ file: consuming Descriptor, growing growth: GrowingFile, named name: String,
        progress: @escaping (Int) -> Void
    ) {
        self.file = file
        self.growth = growth
        self.name = name
        self.progress = progress
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws(KernelError) -> Int {
        let ready = try growth.wait(beyond: position) ?? buffer.count
        while true {
            let count = pread(
                file.number, buffer.baseAddress, min(ready, buffer.count), off_t(position))
            if count >= 0 {
                position += count
                progress(position)
                return count
            }
            let errno = Errno.current
            if errno != .interrupted { throw KernelError("read", name, errno) }
        }
    }
}
