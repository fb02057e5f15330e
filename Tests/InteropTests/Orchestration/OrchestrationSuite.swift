import Testing

/// `hull-runtime` under the programs that run containers by it: podman, containerd, dockerd and a
/// Swarm of three.
///
/// Each has a machine of its own (``Node``), with the runtime as its default. `HULL_TEST_RUNTIME`
/// names another one to run the same with, such as runc: then the tests are tested.
@Suite(.serialized, .enabled(if: isRoot || isCI, "needs root"), InWorkshop())
struct OrchestrationSuite {}
