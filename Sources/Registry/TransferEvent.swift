import Kernel
import OCISpec

/// What happens while an image travels, for whoever shows it.
public enum TransferEvent: Sendable {
    /// It is known which image it is: the digest that the tag means at this moment.
    case resolved(Digest)
    /// A blob has got on.
    case blob(ContentDescriptor, BlobStep)
    /// Something that people may want to know, such as a mirror that does not answer.
    case note(String)
}

/// How far a blob is.
public enum BlobStep: Equatable, Sendable {
    /// Others go first.
    case waiting
    /// So many bytes are here.
    case downloading(Int)
    /// So many bytes are there.
    case uploading(Int)
    /// So many bytes have been unpacked, counted as they came.
    case unpacking(Int)
    /// It broke off and is tried again.
    case retrying
    /// It was where it was wanted already.
    case present
    /// The registry had it in another repository.
    case mounted
    /// All is done.
    case done
}

/// Hears what happens, often, and from any thread.
public typealias TransferObserver = @Sendable (TransferEvent) -> Void
