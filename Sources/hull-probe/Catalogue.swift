extension Attack {
    /// Every attack and observation, in the order of the stages that stop them.
    ///
    /// Whoever adds one writes it as a static constant in the file of its family and names it here.
    static let all: [Attack] = [
        // 1: another root directory.
        .readHost, .writeHost,
        // 2: processes of its own.
        .listProcesses, .signal, .oldRoot, .outlive, .zombies,
        // 3: mounts of its own.
        .escapeChroot, .hostMount, .writeLower, .readKcore, .sysrq, .writeReadOnly,
        .openDescriptors, .terminalInject,
        // 4: a network of its own.
        .sniff, .bindPort, .connect, .abstractSocket,
        // 5: names and shared memory of its own.
        .setHostname, .sharedMemory, .messageQueue, .rootFile, .plantSetUID, .hostClock,
        // 6: a share of the machine.
        .forkBomb, .memoryHog, .cpuHog, .diskHog, .releaseAgent, .leaveCgroup,
        // 6 and 7: devices and capabilities taken away.
        .hostDevice, .unmask, .freshProc, .remountWritable, .kernelLog,
        // 7: no more privileges than needed.
        .mountAnything, .loadModule, .setClock, .restart, .trace, .ioPorts, .openHandle,
        .sniffRaw, .changeRootAgain, .becomeRoot, .overwriteRuntime,
        .newUserNamespace, .useBPF, .useIOUring, .readKey,
        // 10: what the engine hands in.
        .readEnvironment,
        // Only looking.
        .observe, .holdKey,
    ]
}
