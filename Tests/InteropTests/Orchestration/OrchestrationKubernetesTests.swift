import Foundation
import Testing

extension OrchestrationSuite {
    /// containerd's CRI plugin with a runtime handler `hull`: what a RuntimeClass names.
    ///
    /// The numbers are those of the fields in the interface's `api.proto`.
    @Suite(.serialized) struct KubernetesTests {
        private let kubelet: CRINode
        private let name = randomWord()

        init() throws { kubelet = try Workshop.shared { _ in try CRINode() } }

        private var sandbox: Message {
            let metadata = Message().with(1, name).with(2, randomWord()).with(3, "default")
            return Message().with(1, metadata).with(2, name + "-host")
                .with(3, kubelet.node.place / name)
                .with(8, Message().with(1, "/kubepods/" + name))
        }

        private func start(_ container: String, in pod: String, _ sandbox: Message) throws -> String
        {
            let script = "echo from \(container); trap 'exit 5' TERM; while :; do sleep 0.1; done"
            let resources = Message().with(1, 100_000).with(2, 50_000).with(4, 64 << 20)
            // A kubelet asks for a PID namespace of its own, unless the pod wants to share it.
            let security = Message().with(3, Message().with(2, 1))
            let configuration = Message().with(1, Message().with(1, container))
                .with(2, Message().with(1, CRINode.image))
                .with(3, "sh").with(4, "-c").with(4, script)
                .with(11, container + ".log").with(
                    15, Message().with(1, resources).with(2, security))
            let request = Message().with(1, pod).with(2, configuration).with(3, sandbox)
            let id = try kubelet.call("CreateContainer", request).text(1)
            try kubelet.call("StartContainer", Message().with(1, id))
            return id
        }

        private func execute(_ command: String, in container: String) throws -> Message {
            let request = Message().with(1, container)
                .with(2, "sh").with(2, "-c").with(2, command).with(3, 20)
            return try kubelet.call("ExecSync", request)
        }

        @Test func `a pod of the class runs, shares, is measured, and goes`() throws {
            let sandbox = sandbox
            let pod = try kubelet.call(
                "RunPodSandbox", Message().with(1, sandbox).with(2, "hull")
            ).text(1)
            defer {
                _ = try? kubelet.call("StopPodSandbox", Message().with(1, pod))
                _ = try? kubelet.call("RemovePodSandbox", Message().with(1, pod))
            }
            let status = try kubelet.call("PodSandboxStatus", Message().with(1, pod)).message(1)
            #expect(status.text(9) == "hull")
            let address = status.message(5).text(1)
            #expect(address.hasPrefix("10.88."))

            let containers = [
                try start("one", in: pod, sandbox), try start("two", in: pod, sandbox),
            ]
            let links = "for n in net ipc uts pid; do readlink /proc/self/ns/$n; done"
            let spaces = try containers.map {
                try execute(links, in: $0).text(1).split(separator: "\n")
            }
            try #require(spaces[0].count == 4 && spaces[1].count == 4)
            #expect(spaces[0][0...2] == spaces[1][0...2])
            #expect(spaces[0][3] != spaces[1][3])
            #expect(try execute("hostname", in: containers[0]).text(1) == name + "-host\n")
            #expect(
                try execute("ip -4 -o address show eth0", in: containers[1]).text(1)
                    .contains(address))
            #expect(try execute("exit 3", in: containers[0]).text(3) == "3")
            #expect(
                try execute("cat /proc/self/cgroup", in: containers[0]).text(1)
                    .contains("/kubepods/\(name)/"))

            let file = "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes memory.max 2>/dev/null"
            #expect(try execute(file, in: containers[0]).text(1) == "\(64 << 20)\n")
            let more = Message().with(4, 96 << 20)
            try kubelet.call(
                "UpdateContainerResources", Message().with(1, containers[0]).with(2, more))
            #expect(try execute(file, in: containers[0]).text(1) == "\(96 << 20)\n")
            let stats = try kubelet.call("ContainerStats", Message().with(1, containers[0]))
            #expect(Int(stats.message(1).message(3).message(2).text(1)) ?? 0 > 0)

            try kubelet.call("StopContainer", Message().with(1, containers[0]).with(2, 5))
            let ended = try kubelet.call("ContainerStatus", Message().with(1, containers[0]))
            #expect(ended.message(1).text(7) == "5")
            let log = try String(
                contentsOfFile: "\(kubelet.node.place / name)/one.log", encoding: .utf8)
            #expect(log.hasSuffix(" stdout F from one\n"))
        }
    }
}
