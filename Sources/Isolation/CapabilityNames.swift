import CLibcap
import Kernel

/// The names of capabilities, as libcap knows them. See `cap_from_name(3)`.
extension CapabilitySet {
    /// What Docker gives a container: enough for programs that expect to be root, nothing that
    /// reaches the machine.
    public static let dockerDefault: CapabilitySet = [
        CapabilitySet(UInt8(CAP_CHOWN)), CapabilitySet(UInt8(CAP_DAC_OVERRIDE)),
        CapabilitySet(UInt8(CAP_FSETID)), CapabilitySet(UInt8(CAP_FOWNER)),
        CapabilitySet(UInt8(CAP_MKNOD)), CapabilitySet(UInt8(CAP_NET_RAW)),
        CapabilitySet(UInt8(CAP_SETGID)), CapabilitySet(UInt8(CAP_SETUID)),
        CapabilitySet(UInt8(CAP_SETFCAP)), CapabilitySet(UInt8(CAP_SETPCAP)),
        CapabilitySet(UInt8(CAP_NET_BIND_SERVICE)), CapabilitySet(UInt8(CAP_SYS_CHROOT)),
        CapabilitySet(UInt8(CAP_KILL)), CapabilitySet(UInt8(CAP_AUDIT_WRITE)),
    ]

    /// Every capability that this kernel has.
    public static var all: CapabilitySet {
        CapabilitySet(rawValue: UInt64.max >> (64 - UInt64(cap_max_bits())))
    }

    /// The capability called `name`, with or without `CAP_`, in any case; `ALL` for all.
    /// - Throws: `EINVAL` for a name that libcap does not know; the error names those near it.
    public init(named name: String) throws(KernelError) {
        let word = name.uppercased()
        if word == "ALL" {
            self = .all
            return
        }
        var number: cap_value_t = 0
        let full = word.hasPrefix("CAP_") ? word : "CAP_" + word
        // libcap would take numbers too, which nobody can read.
        guard !full.dropFirst(4).allSatisfy(\.isNumber), cap_from_name(full, &number) == 0 else {
            throw KernelError(
                "capability", name.isEmpty ? "\"\"" : name, .invalidArgument,
                remedy: Suggestions.text(
                    for: String(full.dropFirst(4)),
                    among: CapabilitySet.all.numbers.map {
                        String(CapabilitySet.name(of: $0).dropFirst(4))
                    }, otherwise: "`capabilities(7)` lists them."))
        }
        self.init(UInt8(number))
    }

    /// The kernel's name of a capability, such as `CAP_SYS_ADMIN`; its number where libcap is
    /// older than the kernel.
    public static func name(of number: UInt8) -> String {
        guard let text = cap_to_name(cap_value_t(number)) else { return "\(number)" }
        defer { cap_free(text) }
        return String(cString: text).uppercased()
    }
}
