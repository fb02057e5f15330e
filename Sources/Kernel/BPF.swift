import CLinux
import Glibc

/// One of the registers of the kernel's virtual machine. See "BPF Instruction Set Architecture"
/// in the kernel's documentation.
public struct BPFRegister: Sendable {
    let number: UInt64
    /// 0 holds the result; 1 the address of what the program is asked about.
    public init(number: UInt64) { self.number = number }
}

/// One instruction for the kernel's virtual machine: an operation, two registers, the distance
/// of a jump, and a constant, in eight bytes.
public struct BPFInstruction: Equatable, Sendable {
    let code: UInt64

    private init(
        _ operation: UInt64, _ target: BPFRegister, source: BPFRegister? = nil, offset: Int16 = 0,
        constant: Int32 = 0
    ) {
        code =
            operation | target.number << 8 | (source?.number ?? 0) << 12
            | UInt64(UInt16(bitPattern: offset)) << 16
            | UInt64(UInt32(bitPattern: constant)) << 32
    }

    /// Four bytes of what the program is asked about, from this offset on.
    public static func load(_ target: BPFRegister, fromContext offset: Int16) -> BPFInstruction {
        BPFInstruction(0x61, target, source: BPFRegister(number: 1), offset: offset)
    }
    /// A register's value in another.
    public static func copy(_ target: BPFRegister, from source: BPFRegister) -> BPFInstruction {
        BPFInstruction(0xBC, target, source: source)
    }
    /// A constant in a register.
    public static func set(_ target: BPFRegister, _ constant: Int32) -> BPFInstruction {
        BPFInstruction(0xB7, target, constant: constant)
    }
    /// Keeps those bits that the constant has too.
    public static func and(_ target: BPFRegister, _ constant: Int32) -> BPFInstruction {
        BPFInstruction(0x54, target, constant: constant)
    }
    /// Moves the bits to the right.
    public static func shiftRight(_ target: BPFRegister, by bits: Int32) -> BPFInstruction {
        BPFInstruction(0x74, target, constant: bits)
    }
    /// Passes over `count` instructions where a register holds something else.
    public static func skip(
        _ count: Int16, unless register: BPFRegister, is constant: Int32
    ) -> BPFInstruction {
        BPFInstruction(0x55, register, offset: count, constant: constant)
    }
    /// Passes over `count` instructions where a register holds this.
    public static func skip(
        _ count: Int16, if register: BPFRegister, is constant: Int32
    ) -> BPFInstruction {
        BPFInstruction(0x15, register, offset: count, constant: constant)
    }
    /// Ends the program.
    public static let exit = BPFInstruction(0x95, BPFRegister(number: 0))
}

/// Has the kernel ask a program about every device that a process of a cgroup opens.
///
/// The kernel checks the program first and keeps it for as long as the cgroup is there.
/// See `bpf(2)`, `BPF_PROG_TYPE_CGROUP_DEVICE`.
/// - Parameter cgroup: the open directory of a cgroup of version 2.
public func attachDeviceProgram(
    _ program: [BPFInstruction], to cgroup: CInt, why: StaticString
) throws(KernelError) {
    let code = program.map(\.code)
    let number = try systemCall(
        "bpf",
        [
            .symbol("BPF_PROG_LOAD"),
            .symbol("{prog_type=BPF_PROG_TYPE_CGROUP_DEVICE, insn_cnt=\(code.count)}"),
        ],
        on: "the device rules", why: "the kernel checks the program and translates it"
    ) { bpf_load_device_program(code, UInt32(code.count)) }
    let loaded = Descriptor(owning: number)
    try systemCall(
        "bpf",
        [
            .symbol("BPF_PROG_ATTACH"),
            .symbol(
                "{target_fd=\(cgroup), attach_bpf_fd=\(number), attach_type=BPF_CGROUP_DEVICE}"),
        ],
        on: "the device rules", why: why
    ) { bpf_attach_device_program(cgroup, loaded.number) }
}
