# Writes the config.json of an OCI runtime that asks for what stage 7 gives by itself, with the
# limits of labs/bench. runtime-spec, `config.md`.

def capabilities:
    ["CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID",
     "SETFCAP", "SETPCAP", "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE"]
    | map("CAP_" + .);

def architecture: {x86_64: "amd64", aarch64: "arm64"}[$machine];
def native: {x86_64: "SCMP_ARCH_X86_64", aarch64: "SCMP_ARCH_AARCH64"}[$machine];

# Docker's profile says for which machines and capabilities each rule is; runtimes want those
# that are left.
def applies:
    (.includes.arches // [architecture] | index(architecture))
    and (.excludes.arches // [] | index(architecture) | not)
    and ((.includes.caps // []) - capabilities == [])
    and ((.excludes.caps // []) - capabilities == (.excludes.caps // []));

def seccomp:
    {
        defaultAction, defaultErrnoRet,
        architectures: [
            .archMap[] | select(.architecture == native) | .architecture, .subArchitectures[]],
        syscalls: [
            .syscalls[] | select(applies)
            | {names, action} + if .args then {args} else {} end
                + if .errnoRet then {errnoRet} else {} end]
    };

def safe: ["nosuid", "noexec", "nodev"];
def mounted($type; $on; $options): {destination: $on, type: $type, source: $type, options: $options};

{
    ociVersion: "1.0.2",
    process: {
        terminal: false, user: {uid: 0, gid: 0}, args: $args, cwd: "/",
        env: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
        capabilities: {
            bounding: capabilities, effective: capabilities, permitted: capabilities},
        noNewPrivileges: false
    },
    root: {path: $root, readonly: false},
    hostname: "bench",
    mounts: [
        mounted("proc"; "/proc"; safe),
        mounted("tmpfs"; "/dev"; ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mounted("devpts"; "/dev/pts";
            ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
        mounted("tmpfs"; "/dev/shm"; safe + ["mode=1777", "size=65536k"]),
        mounted("mqueue"; "/dev/mqueue"; safe),
        mounted("sysfs"; "/sys"; safe + ["ro"]),
        mounted("cgroup"; "/sys/fs/cgroup"; safe + ["relatime", "ro"])
    ],
    linux: {
        cgroupsPath: $cgroup,
        namespaces: [
            "pid", "network", "ipc", "uts", "mount", "cgroup" | {type: .}],
        resources: {
            memory: {limit: 268435456, swap: 536870912},
            cpu: {quota: 100000, period: 100000},
            pids: {limit: 64},
            devices: [{allow: false, access: "rwm"}]
        },
        seccomp: ($seccomp[0] | seccomp),
        maskedPaths: [
            "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys",
            "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
            "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap"],
        readonlyPaths: [
            "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
    }
}
