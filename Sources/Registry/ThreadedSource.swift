import Dispatch
import Images
import Kernel
import Synchronization

/// Reads another source on a thread of its own, a few pieces ahead: what `|` is between two
/// programs, this is between two threads.
///
/// One inflates a layer while the other writes its files.
final class ThreadedSource: ByteSource {
    private let queue: PieceQueue
    private var piece: [UInt8] = []
    private var taken = 0

    /// Starts the thread, on which `makeSource` and all reading take place.
    init(_ name: String, _ makeSource: @escaping @Sendable () throws(KernelError) -> any ByteSource)
    {
        let queue = PieceQueue()
        self.queue = queue
        // A private queue has a thread of its own as long as it has work.
        DispatchQueue(label: name).async { queue.fill(makeSource) }
    }

    // The other thread may be waiting for room.
    deinit { queue.abandon() }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws(KernelError) -> Int {
        if taken == piece.count {
            piece = try queue.next()
            taken = 0
        }
        let count = min(buffer.count, piece.count - taken)
        piece.withUnsafeBytes { bytes in
            buffer.copyMemory(
                from: UnsafeRawBufferPointer(rebasing: bytes[taken..<(taken + count)]))
        }
        taken += count
        return count
    }
}

/// Pieces on their way from one thread to another, never more than a few.
private final class PieceQueue: Sendable {
    private static let pieceSize = 256 << 10
    private static let limit = 8

    private enum Item {
        case piece([UInt8])
        case end
        case failure(KernelError)
    }

    private let items = Mutex<[Item]>([])
    private let isAbandoned = Atomic(false)
    // Counted up from 0: a semaphore must not go with less than it was made with.
    private let room = DispatchSemaphore(value: 0)
    private let filled = DispatchSemaphore(value: 0)

    init() { for _ in 0..<Self.limit { room.signal() } }

    func fill(_ makeSource: () throws(KernelError) -> any ByteSource) {
        do throws(KernelError) {
            let source = try makeSource()
            while true {
                room.wait()
                if isAbandoned.load(ordering: .relaxed) { return }
                let piece = try read(source)
                put(piece.isEmpty ? .end : .piece(piece))
                if piece.isEmpty { return }
            }
        } catch {
            put(.failure(error))
        }
    }

    private func read(_ source: any ByteSource) throws(KernelError) -> [UInt8] {
        var failure: KernelError?
        let piece = [UInt8](unsafeUninitializedCapacity: Self.pieceSize) { buffer, count in
            let bytes = UnsafeMutableRawBufferPointer(buffer)
            do throws(KernelError) {
                while count < bytes.count {
                    let got = try source.read(
                        into: UnsafeMutableRawBufferPointer(rebasing: bytes[count...]))
                    if got == 0 { break }
                    count += got
                }
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return piece
    }

    private func put(_ item: Item) {
        items.withLock { $0.append(item) }
        filled.signal()
    }

    /// Empty at the end, and then for ever.
    func next() throws(KernelError) -> [UInt8] {
        filled.wait()
        let item = items.withLock { items in
            // The last one stays, for whoever asks again.
            if case .piece = items[0] { items.removeFirst() } else { items[0] }
        }
        switch item {
        case .piece(let piece):
            room.signal()
            return piece
        case .end:
            filled.signal()
            return []
        case .failure(let error):
            filled.signal()
            throw error
        }
    }

    func abandon() {
        isAbandoned.store(true, ordering: .relaxed)
        room.signal()
    }
}
