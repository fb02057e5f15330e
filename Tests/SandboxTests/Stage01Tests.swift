import Foundation
import Testing

@testable import TestSupport

extension KernelSuite {
    /// Stage 1: another root directory, and nothing else.
    @Suite("Stage 1, chroot") struct Stage01Tests {
        @Test("The path of a host's file leads nowhere from another root directory")
        func hidesFiles() throws {
            let secret = Place.randomWord()
            let file = try place().write(secret + "\n", to: "secret-" + Place.randomWord())
            let rootfs = try place().rootfs()
            #expect(try attackUnconfined("read-host", file, secret).gotThrough)
            #expect(try attack(in: .stage01, rootfs, "read-host", file, secret).isStopped)
        }

        @Test("A host's file cannot be written by its path from another root directory")
        func protectsFiles() throws {
            let directory = try place().makeDirectory(Place.randomWord())
            let rootfs = try place().rootfs()
            let file = directory + "/file"
            #expect(try attackUnconfined("write-host", file, "x").gotThrough)
            #expect(unlink(file) == 0)
            #expect(try attack(in: .stage01, rootfs, "write-host", file, "x").isStopped)
            #expect(access(file, F_OK) != 0)
        }

        @Test("The command's root and current directory are ROOTFS")
        func changesRoot() throws {
            let rootfs = try place().rootfs()
            let running = try Program(Runner.stage01.command(rootfs: rootfs, ["sleep", "1000"]))
            let sandboxed = try running.sandboxed(named: "sleep")
            #expect(try target(of: "/proc/\(sandboxed.process)/root") == rootfs)
            // Without the chdir it would be where the stage was started: outside.
            #expect(try target(of: "/proc/\(sandboxed.process)/cwd") == rootfs)
            #expect(try target(of: "/proc/\(running.process)/root") == "/")
            running.signal(SIGTERM)
            #expect(try running.wait().code == 128 + SIGTERM)
        }

        @Test("Every namespace is still the host's")
        func makesNoNamespaces() throws {
            let rootfs = try place().rootfs()
            let running = try Program(Runner.stage01.command(rootfs: rootfs, ["sleep", "1000"]))
            let sandboxed = try running.sandboxed(named: "sleep")
            for kind in ["mnt", "pid", "uts", "ipc", "net", "user", "cgroup"] {
                #expect(try sandboxed.namespace(kind) == Observed.host.namespace(kind))
            }
            running.signal(SIGTERM)
            try running.wait()
        }

        @Test("Root climbs out of a chroot again")
        func leaks() throws {
            let secret = Place.randomWord()
            let file = try place().write(secret + "\n", to: Place.randomWord())
            let rootfs = try place().rootfs()
            let verdict = try attack(in: .stage01, rootfs, "escape-chroot", file, secret)
            #expect(verdict.gotThrough, "\(verdict)")
        }

        @Test("ROOTFS may be relative or a symbolic link")
        func acceptsPaths() throws {
            let marker = Place.randomWord()
            let rootfs = try place().rootfs("root")
            try place().write(marker, to: rootfs + "/marker")
            let link = try place().directory + "/link"
            symlink("root", link)
            for path in ["root", "./root/", link, rootfs + "/../root"] {
                for runner in Runner.allCases {
                    let got = try run(
                        runner.command(rootfs: path, ["cat", "/marker"]),
                        directory: try place().directory)
                    #expect(got.output == marker, "\(got)")
                }
            }
        }

        private func target(of link: String) throws -> String {
            try FileManager.default.destinationOfSymbolicLink(atPath: link)
        }
    }
}
