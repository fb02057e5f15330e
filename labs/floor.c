// The floor: how fast can it be at all?
//
// This program asks the kernel for exactly what one of our stages, or
// `hull run --rm --network none`, asks it for: the same namespaces, the same
// mounts, the same exec. It does nothing else. There are no options, no error
// texts, no image, no environment, no signals, no narration, and nothing is
// checked that can be left unchecked. What it needs is what the kernel needs;
// no program that makes this sandbox can be quicker, whatever it is written in.
// `labs/bench` times everything else against it.
//
//     floor chroot|pid|overlay|run ROOTFS COMMAND [ARG…]
//
// The tables below are the sandbox. Keep them as Sources/Isolation has it.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(table) (sizeof(table) / sizeof *(table))

// The sandbox ------------------------------------------------------------------

enum part {
  HAS_PROC = 1,      // a proc of its own on ROOTFS/proc, seen by the host
  HAS_OVERLAY = 2,   // an overlay, pivot_root, and the mounts below
  HAS_HOSTNAME = 4,  // a host name of its own
  HAS_LOOPBACK = 8,  // nothing but lo, and that is up
};

static const struct mode {
  const char *name;
  unsigned long long namespaces;
  int parts;
  const char *scratch;  // what is written goes below, as a stage or hull has it
} modes[] = {
    {"chroot", 0, 0, NULL},
    {"pid", CLONE_NEWPID, HAS_PROC, NULL},
    {"overlay", CLONE_NEWPID | CLONE_NEWNS, HAS_OVERLAY, "/run/hull-floor"},
    {"run",
     CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET,
     HAS_OVERLAY | HAS_HOSTNAME | HAS_LOOPBACK, "/var/lib/hull-floor"},
};

#define SAFE (MS_NOSUID | MS_NODEV | MS_NOEXEC)

// In this order: a directory has to be there before what is mounted in it.
static const struct row {
  const char *source, *target, *type;
  unsigned long flags;
  const char *data;
  mode_t make;  // mkdir the target first, with this mode
} mounts[] = {
    {"proc", "/proc", "proc", SAFE, NULL, 0},
    {"tmpfs", "/dev", "tmpfs", MS_NOSUID | MS_STRICTATIME,
     "mode=755,size=65536k", 0},
    {"devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
     "newinstance,ptmxmode=0666,mode=0620,gid=5", 0755},
    {"shm", "/dev/shm", "tmpfs", SAFE, "mode=1777,size=65536k", 0755},
    {"mqueue", "/dev/mqueue", "mqueue", SAFE, NULL, 0755},
    {"sysfs", "/sys", "sysfs", SAFE | MS_RDONLY, NULL, 0},
};

static const struct node {
  const char *path;
  unsigned major, minor;
} nodes[] = {
    {"/dev/null", 1, 3},   {"/dev/zero", 1, 5},    {"/dev/full", 1, 7},
    {"/dev/random", 1, 8}, {"/dev/urandom", 1, 9}, {"/dev/tty", 5, 0},
};

static const char *const links[][2] = {
    {"/proc/self/fd", "/dev/fd"},       {"/proc/self/fd/0", "/dev/stdin"},
    {"/proc/self/fd/1", "/dev/stdout"}, {"/proc/self/fd/2", "/dev/stderr"},
    {"pts/ptmx", "/dev/ptmx"},          {"/proc/kcore", "/dev/core"},
};

// Masked: /dev/null over a file, an empty read-only tmpfs over a directory. A
// path that this kernel does not have is passed over.
static const char *const masked[] = {
    "/proc/acpi",        "/proc/asound",      "/proc/interrupts",
    "/proc/kcore",       "/proc/keys",        "/proc/latency_stats",
    "/proc/timer_list",  "/proc/timer_stats", "/proc/sched_debug",
    "/proc/scsi",        "/sys/firmware",     "/sys/devices/virtual/powercap",
};

// Read-only: a bind mount of the path on itself, then a remount.
static const char *const read_only[] = {
    "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
};

// The work ---------------------------------------------------------------------

static void check(long result, const char *what) {
  if (result >= 0) return;
  fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
  _exit(125);
}

static void fill_dev(void) {
  for (size_t i = 0; i < COUNT(nodes); i++)
    check(mknod(nodes[i].path, S_IFCHR | 0666,
                makedev(nodes[i].major, nodes[i].minor)),
          nodes[i].path);
  for (size_t i = 0; i < COUNT(links); i++)
    check(symlink(links[i][0], links[i][1]), links[i][1]);
}

static void mount_all(void) {
  for (size_t i = 0; i < COUNT(mounts); i++) {
    const struct row *row = &mounts[i];
    if (row->make) check(mkdir(row->target, row->make), row->target);
    check(mount(row->source, row->target, row->type, row->flags, row->data),
          row->target);
    if (!strcmp(row->target, "/dev")) fill_dev();
  }
}

static void protect_paths(void) {
  for (size_t i = 0; i < COUNT(masked); i++) {
    const char *path = masked[i];
    if (mount("/dev/null", path, NULL, MS_BIND, NULL) < 0 && errno == ENOTDIR)
      check(mount("tmpfs", path, "tmpfs", MS_RDONLY, "size=0k"), path);
  }
  for (size_t i = 0; i < COUNT(read_only); i++) {
    const char *path = read_only[i];
    if (mount(path, path, NULL, MS_BIND | MS_REC, NULL) < 0) continue;
    check(mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | SAFE,
                NULL),
          path);
  }
}

static void enter_overlay(const char *rootfs, const char *scratch) {
  char options[2 * PATH_MAX];
  snprintf(options, sizeof options,
           "lowerdir=%s,upperdir=%s/upper,workdir=%s/work,volatile", rootfs,
           scratch, scratch);
  check(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "private /");
  check(mount("overlay", "merged", "overlay", 0, options), "merged");
  check(chdir("merged"), "merged");
  check(syscall(SYS_pivot_root, ".", "."), "pivot_root");
  check(umount2(".", MNT_DETACH), "umount the old root");
  check(chdir("/"), "/");
  mount_all();
  protect_paths();
}

static void bring_loopback_up(void) {
  struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
  int descriptor = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  check(descriptor, "socket");
  check(ioctl(descriptor, SIOCSIFFLAGS, &request), "lo");
}

static void mount_visible_proc(const char *rootfs) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/proc", rootfs);
  check(mount("proc", path, "proc", SAFE, NULL), path);
}

static void enter(const struct mode *mode, const char *rootfs,
                  const char *scratch, char **command) {
  char *environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  umask(0);
  if (mode->parts & HAS_PROC) mount_visible_proc(rootfs);
  if (mode->parts & HAS_HOSTNAME) check(sethostname("floor", 5), "hostname");
  if (mode->parts & HAS_LOOPBACK) bring_loopback_up();
  if (mode->parts & HAS_OVERLAY) {
    enter_overlay(rootfs, scratch);
  } else {
    check(chroot(rootfs), rootfs);
    check(chdir("/"), "/");
  }
  execve(command[0], command, environment);
  check(-1, command[0]);
}

static void make_scratch(const char *parent, char *scratch, size_t size) {
  snprintf(scratch, size, "%s/%d", parent, getpid());
  mkdir(parent, 0700);
  check(mkdir(scratch, 0700), scratch);
  check(chdir(scratch), scratch);
  check(mkdir("upper", 0755), "upper");
  check(mkdir("work", 0755), "work");
  check(mkdir("merged", 0755), "merged");
}

// What a volatile overlay leaves in its work directory, and what we made. The
// command of the bench writes nothing, so upper is empty.
static void remove_scratch(const char *scratch) {
  static const char *const leftovers[] = {
      "work/work/incompat/volatile", "work/work/incompat", "work/work",
      "work", "upper", "merged",
  };
  unlink("work/work/incompat/volatile/dirty");
  for (size_t i = 0; i < COUNT(leftovers); i++) rmdir(leftovers[i]);
  check(rmdir(scratch), scratch);
}

static const struct mode *mode_named(const char *name) {
  for (size_t i = 0; i < COUNT(modes); i++)
    if (!strcmp(modes[i].name, name)) return &modes[i];
  return NULL;
}

int main(int argc, char **argv) {
  char rootfs[PATH_MAX], scratch[64];
  const struct mode *mode = argc > 3 ? mode_named(argv[1]) : NULL;
  if (!mode) {
    fputs("Usage: floor chroot|pid|overlay|run ROOTFS COMMAND [ARG…]\n", stderr);
    return 125;
  }
  check(realpath(argv[2], rootfs) ? 0 : -1, argv[2]);
  if (mode->parts & HAS_OVERLAY) make_scratch(mode->scratch, scratch, sizeof scratch);

  struct clone_args arguments = {.flags = mode->namespaces,
                                 .exit_signal = SIGCHLD};
  pid_t child = syscall(SYS_clone3, &arguments, sizeof arguments);
  check(child, "clone3");
  if (child == 0) enter(mode, rootfs, scratch, argv + 3);

  int status;
  check(waitpid(child, &status, 0), "waitpid");
  if (mode->parts & HAS_OVERLAY) remove_scratch(scratch);
  if (mode->parts & HAS_PROC) {
    strcat(rootfs, "/proc");
    check(umount2(rootfs, 0), rootfs);
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
