// swift-tools-version: 6.1
import PackageDescription

// Everything that clones a sandbox is one static file. It starts in a fraction
// of the time a dynamic one takes, and hull-probe has to run in root file
// systems that hold no Swift libraries at all.
let staticSwift: [SwiftSetting] = [.unsafeFlags(["-static-stdlib"])]
let staticLibraries: [LinkerSetting] = [.unsafeFlags(["-static-stdlib"])]

/// How the programs that make sandboxes are compiled, and what is linked into them.
///
/// Each function can be put where the linker wants it: see `inOrderOfUse`. And generic types are
/// named to Swift's runtime by calls instead of by texts that it would have to read first, of
/// which there are some fifty before a container starts: a fifteenth of the time that it takes.
let quickToStart: [SwiftSetting] = [
    .unsafeFlags(
        [
            "-Xfrontend", "-function-sections",
            "-Xfrontend", "-disable-concrete-type-metadata-mangled-name-accessors",
        ], .when(configuration: .release))
]
/// The functions that are executed lie side by side: fewer pages of the program are touched, and
/// so fewer are mapped and counted as its memory. labs/link-order writes the list.
let inOrderOfUse: [LinkerSetting] = [
    .unsafeFlags(
        [
            "-use-ld=lld", "-Xlinker", "--no-warn-symbol-ordering", "-Xlinker",
            "--symbol-ordering-file=\(Context.packageDirectory)/Sources/link-order.txt",
            "-Xlinker", "-T\(Context.packageDirectory)/Sources/private-functions.ld",
        ], .when(configuration: .release))
]
let staticLink: [LinkerSetting] = [.unsafeFlags(["-static-executable"])] + inOrderOfUse

/// hull and hull-runtime begin in Sources/CLinux/EarlyStart.c.
let startedOutOfReach: [LinkerSetting] = [
    .unsafeFlags(["-Xlinker", "-e", "-Xlinker", "start_out_of_reach"])
]

/// What the static linker needs beside FoundationEssentials, which swift-crypto brings.
let foundationParts: [LinkerSetting] = [
    .linkedLibrary("_FoundationCShims"), .linkedLibrary("_FoundationCollections"),
    .linkedLibrary("swiftSynchronization"),
]

func stage(_ name: String) -> Target {
    .executableTarget(
        name: name, dependencies: ["Isolation", "Terminal"],
        swiftSettings: staticSwift + quickToStart, linkerSettings: staticLink)
}

let package = Package(
    name: "hull",
    products: [
        .executable(name: "stage01-chroot", targets: ["stage01-chroot"]),
        .executable(name: "stage02-pid", targets: ["stage02-pid"]),
        .executable(name: "stage03-overlay", targets: ["stage03-overlay"]),
        .executable(name: "stage04-network", targets: ["stage04-network"]),
        .executable(name: "stage05-identity", targets: ["stage05-identity"]),
        .executable(name: "stage06-cgroups", targets: ["stage06-cgroups"]),
        .executable(name: "stage07-privileges", targets: ["stage07-privileges"]),
        .executable(name: "stage08-images", targets: ["stage08-images"]),
        .executable(name: "stage09-registry", targets: ["stage09-registry"]),
        .executable(name: "hull", targets: ["hull"]),
        .executable(name: "hull-registry", targets: ["hull-registry"]),
        .executable(name: "hull-runtime", targets: ["hull-runtime"]),
        .executable(name: "hull-probe", targets: ["hull-probe"]),
        .executable(name: "hull-book", targets: ["hull-book"]),
        .executable(name: "hull-bench", targets: ["hull-bench"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
    ],
    targets: [
        // C: what Swift cannot see, and Debian's libraries.
        .target(name: "CLinux"),
        .systemLibrary(name: "CLibcap", pkgConfig: "libcap", providers: [.apt(["libcap-dev"])]),
        .systemLibrary(
            name: "CLibseccomp", pkgConfig: "libseccomp", providers: [.apt(["libseccomp-dev"])]),
        .systemLibrary(
            name: "CJansson", pkgConfig: "jansson", providers: [.apt(["libjansson-dev"])]),
        .systemLibrary(name: "CCrypt", providers: [.apt(["libcrypt-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CIsal", pkgConfig: "libisal", providers: [.apt(["libisal-dev"])]),
        .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),

        // The core. Arrows point down only.
        .target(name: "Kernel", dependencies: ["CLinux"], swiftSettings: quickToStart),
        .target(
            name: "Isolation",
            dependencies: [
                "Kernel", "OCISpec", "CLinux", "CLibcap", "CLibseccomp", "CJansson", "Terminal",
            ],
            // Docker's own file, unchanged, as bytes of the program: a static one has no others.
            resources: [.embedInCode("docker-default.seccomp.json")], swiftSettings: quickToStart),
        .target(name: "Terminal", dependencies: ["Kernel", "CLinux"], swiftSettings: quickToStart),
        .target(name: "OCISpec", dependencies: ["CJansson"], swiftSettings: quickToStart),
        .target(
            name: "Images",
            dependencies: [
                "OCISpec", "Kernel", "CLinux", "CZlib", "CZstd",
                .product(name: "Crypto", package: "swift-crypto"),
            ],
            swiftSettings: quickToStart),
        // For programs that are not static: Debian has isa-l as a shared library only.
        .target(name: "FastGzip", dependencies: ["Images", "Kernel", "CIsal"]),
        // Everything that has threads: it is in programs of its own.
        .target(
            name: "Registry",
            dependencies: [
                "Images", "FastGzip", "OCISpec", "Kernel", "CLinux",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ]),
        .target(
            name: "RegistryServer",
            dependencies: [
                "Images", "OCISpec", "Kernel", "CLinux", "CCrypt",
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "HummingbirdTLS", package: "hummingbird"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "CryptoExtras", package: "swift-crypto"),
            ]),
        .target(
            name: "Engine",
            dependencies: ["Isolation", "Images", "OCISpec", "Terminal", "CLibcap", "CLinux"],
            swiftSettings: quickToStart),

        .target(
            name: "ImageCommands",
            dependencies: ["Engine", "Images", "Isolation", "OCISpec", "Terminal"],
            swiftSettings: quickToStart),

        // The stages, the engine, and the program that attacks them.
        stage("stage01-chroot"),
        stage("stage02-pid"),
        stage("stage03-overlay"),
        stage("stage04-network"),
        stage("stage05-identity"),
        stage("stage06-cgroups"),
        stage("stage07-privileges"),
        // Not static executables: looking up a host's name loads libraries of the machine's.
        .executableTarget(
            name: "stage09-registry", dependencies: ["Registry", "Isolation", "Terminal"],
            swiftSettings: staticSwift, linkerSettings: staticLibraries),
        .executableTarget(
            name: "hull-registry", dependencies: ["RegistryServer", "Terminal"],
            swiftSettings: staticSwift, linkerSettings: staticLibraries),
        .executableTarget(
            name: "stage08-images",
            dependencies: [
                "ImageCommands", "Engine", "Images", "Isolation", "OCISpec", "Terminal",
            ],
            swiftSettings: staticSwift + quickToStart, linkerSettings: staticLink + foundationParts),
        .executableTarget(
            name: "hull",
            dependencies: [
                "ImageCommands", "Engine", "Images", "Isolation", "OCISpec", "Terminal",
            ],
            swiftSettings: staticSwift + quickToStart,
            linkerSettings: staticLink + foundationParts + startedOutOfReach),
        // What podman, containerd and docker call.
        .executableTarget(
            name: "hull-runtime",
            dependencies: ["Isolation", "OCISpec", "Kernel", "Terminal", "CLinux"],
            swiftSettings: staticSwift + quickToStart,
            linkerSettings: staticLink + startedOutOfReach),
        .executableTarget(
            name: "hull-probe", dependencies: ["Kernel", "Terminal", "CLinux"],
            swiftSettings: staticSwift, linkerSettings: staticLink),

        // What keeps the book true and the figures measured.
        .target(
            name: "Book", dependencies: [.product(name: "Subprocess", package: "swift-subprocess")]),
        .executableTarget(name: "hull-book", dependencies: ["Book", "Kernel", "Terminal"]),
        .executableTarget(name: "hull-bench", dependencies: ["Kernel", "Terminal", "OCISpec"]),

        // Programs started, places made and kernels looked at: what several test targets need.
        .target(
            name: "TestSupport", dependencies: ["CLinux"], path: "Tests/Support",
            swiftSettings: [.unsafeFlags(["-enable-testing"])]),
        .testTarget(name: "CoreTests", dependencies: ["Kernel", "Terminal", "Isolation"]),
        // They run the executables and look at the kernel from outside.
        .testTarget(name: "SandboxTests", dependencies: ["CLinux", "TestSupport"]),
        // The same for an OCI runtime: hull-runtime, or any other that HULL_TEST_RUNTIME names.
        .testTarget(name: "RuntimeTests", dependencies: ["CLinux", "OCISpec", "TestSupport"]),
        .testTarget(name: "FastGzipTests", dependencies: ["FastGzip", "Images", "Kernel"]),
        .testTarget(name: "ImagesTests", dependencies: ["Images", "OCISpec", "Kernel"]),
        // They run hull-registry and speak to it, politely and not.
        .testTarget(
            name: "RegistryServerTests",
            dependencies: [
                "RegistryServer", "CLinux", "OCISpec", "Kernel",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "CryptoExtras", package: "swift-crypto"),
            ]),
        // Beside podman, skopeo, docker, umoci and Debian's docker-registry.
        .testTarget(name: "InteropTests", dependencies: ["CLinux", "OCISpec"]),
        .testTarget(
            name: "RegistryTests",
            dependencies: ["Registry", "RegistryServer", "Images", "OCISpec", "Kernel"]),
        .testTarget(
            name: "BookTests",
            dependencies: [
                "Book", "hull-book", .product(name: "Subprocess", package: "swift-subprocess"),
            ]),
    ],
    swiftLanguageModes: [.v6]
)
