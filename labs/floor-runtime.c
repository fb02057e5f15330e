// The floor of an OCI runtime: what the bundle of `runc spec` demands of the kernel for `run`, and
// what `exec` in such a container does.
//
//     floor runtime ROOTFS COMMAND [ARG…]          run, with a cgroup
//     floor runtime-bare ROOTFS COMMAND [ARG…]     run, without one
//     floor exec PID CGROUP COMMAND [ARG…]         exec; PID is the container's first process
//
// The configuration is in the tables below instead of in a file, and no state is kept: a runtime
// has to read the one and to write and remove the other, so it cannot get quite down to here.
#define _GNU_SOURCE
#include "floor.h"

#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NAMESPACES (CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNS)

// As labs/bench-runtime.json has it -----------------------------------------------

static const struct row mounts[] = {
    {"proc", "/proc", "proc", 0, NULL, 0},
    {"tmpfs", "/dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k", 0},
    {"devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
     "newinstance,ptmxmode=0666,mode=0620,gid=5", 0755},
    {"shm", "/dev/shm", "tmpfs", SAFE, "mode=1777,size=65536k", 0755},
    {"mqueue", "/dev/mqueue", "mqueue", SAFE, NULL, 0755},
    {"sysfs", "/sys", "sysfs", SAFE | MS_RDONLY, NULL, 0},
};

static const char *const masked[] = {
    "/proc/acpi",       "/proc/asound",      "/proc/kcore",       "/proc/keys",
    "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
    "/sys/firmware",    "/proc/scsi",
};

static const char *const read_only[] = {
    "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
};

static const int kept[] = {CAP_AUDIT_WRITE, CAP_KILL, CAP_NET_BIND_SERVICE};

static char *const environment[] = {
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm", NULL};

// Inside --------------------------------------------------------------------------

static void change_root(const char *rootfs) {
  check(mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL), "private /");
  check(mount(rootfs, rootfs, NULL, MS_BIND | MS_REC, NULL), rootfs);
  check(chdir(rootfs), rootfs);
  check(syscall(SYS_pivot_root, ".", "."), "pivot_root");
  check(umount2(".", MNT_DETACH), "umount the old root");
  check(chdir("/"), "/");
}

static void limit_privileges(void) {
  struct rlimit files = {1024, 1024};
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct sets[2] = {0};
  unsigned long long keep = 0;
  for (size_t i = 0; i < COUNT(kept); i++) keep |= 1ULL << kept[i];
  check(setrlimit(RLIMIT_NOFILE, &files), "RLIMIT_NOFILE");
  leave_keyring();
  for (int capability = 0; capability <= CAP_LAST_CAP; capability++)
    if (!(keep & (1ULL << capability))) prctl(PR_CAPBSET_DROP, capability);
  check(setgroups(0, NULL), "setgroups");
  for (int half = 0; half < 2; half++)
    sets[half].effective = sets[half].permitted = keep >> (32 * half);
  check(syscall(SYS_capset, &header, sets), "capset");
  check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
}

static void start(char **command) {
  execve(command[0], command, environment);
  check(-1, command[0]);
}

static void enter(const char *rootfs, int has_cgroup, char **command) {
  umask(0);
  setsid();
  if (has_cgroup) move_oneself();
  enter_cgroup();
  bring_loopback_up();
  change_root(rootfs);
  mount_all(mounts, COUNT(mounts));
  show_cgroup();
  check(sethostname("bench", 5), "hostname");
  mask_all(masked, COUNT(masked));
  make_read_only(read_only, COUNT(read_only), 0);
  check(mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), "read-only /");
  umask(022);
  limit_privileges();
  start(command);
}

// Outside -------------------------------------------------------------------------

int run_bundle(char **argv) {
  char rootfs[PATH_MAX];
  int has_cgroup = !strcmp(argv[1], "runtime"), cgroup = -1;
  check(realpath(argv[2], rootfs) ? 0 : -1, argv[2]);
  // Without one, which hierarchies are shown has still to be found out.
  if (has_cgroup) cgroup = make_runtime_cgroup();
  else use_cgroup("");
  pid_t child = clone_into(NAMESPACES, cgroup);
  if (child == 0) enter(rootfs, has_cgroup, argv + 3);
  int code = wait_for(child);
  if (has_cgroup) remove_cgroup();
  return code;
}

int exec_in_bundle(char **argv) {
  int process = syscall(SYS_pidfd_open, atoi(argv[2]), 0);
  check(process, "pidfd_open");
  int cgroup = use_cgroup(argv[3]);
  // A namespace of processes is for those that are born afterwards.
  check(setns(process, CLONE_NEWPID), "setns");
  pid_t child = clone_into(0, cgroup);
  if (child == 0) {
    setsid();
    move_oneself();
    check(setns(process, NAMESPACES | CLONE_NEWCGROUP), "setns");
    limit_privileges();
    start(argv + 4);
  }
  return wait_for(child);
}
