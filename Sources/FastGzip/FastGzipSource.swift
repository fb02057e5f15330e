import CIsal
import Glibc
import Images
import Kernel

/// Unpacks gzip as it is read, in half the time that zlib takes. See RFC 1952.
///
/// Intel's isa-l does it, which runs on Arm as well. Debian has it as a shared library only, so
/// this is for the programs that are not static. It takes and refuses what ``GzipSource`` does.
public final class FastGzipSource: ByteSource {
    private static let size = 128 << 10

    private let source: any ByteSource
    private let name: String
    private let input = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 16)
    // Too large for the stack.
    private let state = UnsafeMutablePointer<inflate_state>.allocate(capacity: 1)
    private var isBetweenMembers = false
    private var isDone = false

    /// Errors call the source `name`.
    public init(_ source: any ByteSource, named name: String) {
        self.source = source
        self.name = name
        isal_inflate_init(state)
        startMember()
    }

    deinit {
        input.deallocate()
        state.deallocate()
    }

    /// Fills some of `buffer` with what was packed; 0 at the end.
    public func read(into buffer: UnsafeMutableRawBufferPointer) throws(KernelError) -> Int {
        state.pointee.next_out = buffer.baseAddress?.assumingMemoryBound(to: UInt8.self)
        state.pointee.avail_out = UInt32(buffer.count)
        while !isDone && Int(state.pointee.avail_out) == buffer.count {
            let hadInput = try refill()
            if isBetweenMembers { startNextMember() } else { try inflate(hadInput) }
        }
        return buffer.count - Int(state.pointee.avail_out)
    }

    /// - Returns: whether there is any input.
    private func refill() throws(KernelError) -> Bool {
        guard state.pointee.avail_in == 0 else { return true }
        let count = try source.read(into: input)
        state.pointee.next_in = input.baseAddress?.assumingMemoryBound(to: UInt8.self)
        state.pointee.avail_in = UInt32(count)
        if count == 0 && isBetweenMembers { isDone = true }
        return count > 0
    }

    private func inflate(_ hadInput: Bool) throws(KernelError) {
        let before = state.pointee.avail_out
        guard isal_inflate(state) == ISAL_DECOMP_OK else {
            throw damaged("The compressed data are damaged.")
        }
        if state.pointee.block_state == ISAL_BLOCK_FINISH {
            isBetweenMembers = true
        } else if !hadInput && state.pointee.avail_out == before {
            // Without new input there was still output that had not fitted; now there is none.
            throw damaged("The compressed data end too early.")
        }
    }

    /// What follows a member is the next one, or zeros that fill up a block of tape.
    private func startNextMember() {
        guard !isDone, let next = state.pointee.next_in else { return }
        if next.pointee == 0 {
            state.pointee.next_in = next + 1
            state.pointee.avail_in -= 1
        } else {
            isal_inflate_reset(state)
            startMember()
            isBetweenMembers = false
        }
    }

    private func startMember() { state.pointee.crc_flag = UInt32(ISAL_GZIP) }

    private func damaged(_ remedy: String) -> KernelError {
        KernelError("read", name, Errno(rawValue: EBADMSG), remedy: remedy)
    }
}
