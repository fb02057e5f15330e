// The floor: how fast can it be at all?
//
// This program asks the kernel for exactly what one of our stages, or
// `hull run --rm --network none`, asks it for: the same namespaces, the same
// mounts, the same cgroups, the same exec. It does nothing else. There are no options, no error
// texts, no image, no environment, no signals, no narration, and nothing is
// checked that can be left unchecked. What it needs is what the kernel needs;
// no program that makes this sandbox can be quicker, whatever it is written in.
// `labs/bench` times everything else against it.
//
//     floor MODE ROOTFS COMMAND [ARG…]
//
// The modes are in the table below; the parts that need more than a few lines have files of
// their own, floor-*.c.
//
// The tables below are the sandbox. Keep them as Sources/Isolation has it; a test compares the
// two programs' calls.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "floor.h"

// The sandbox ------------------------------------------------------------------

enum part {
  HAS_PROC = 1,        // a proc of its own on ROOTFS/proc, seen by the host
  HAS_OVERLAY = 2,     // an overlay, pivot_root, and the mounts below
  HAS_LOOPBACK = 4,    // nothing but lo, and that is up
  HAS_CABLE = 8,       // a cable to a bridge, addresses and routes
  HAS_FILES = 16,      // /etc/hosts and /etc/resolv.conf of its own
  HAS_NAMES = 32,      // a host name of its own, and /etc/hostname
  HAS_CGROUP = 64,     // a cgroup, with the rules for devices
  HAS_LIMITS = 128,    // with limits on memory, CPU and processes too
  HAS_PRIVILEGES = 256,  // no more than Docker leaves to a container
};

#define STAGE3 CLONE_NEWPID | CLONE_NEWNS
#define STAGE5 STAGE3 | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET

static const struct mode {
  const char *name;
  unsigned long long namespaces;
  int parts;
  const char *scratch;  // what is written goes below, as a stage or hull has it
} modes[] = {
    {"chroot", 0, 0, NULL},
    {"pid", CLONE_NEWPID, HAS_PROC, NULL},
    {"overlay", STAGE3, HAS_OVERLAY, "/run/hull-floor"},
    {"network", STAGE3 | CLONE_NEWNET, HAS_OVERLAY | HAS_CABLE | HAS_FILES, "/run/hull-floor"},
    {"identity", STAGE5, HAS_OVERLAY | HAS_LOOPBACK | HAS_FILES | HAS_NAMES, "/run/hull-floor"},
    {"cgroup", STAGE5,
     HAS_OVERLAY | HAS_LOOPBACK | HAS_FILES | HAS_NAMES | HAS_CGROUP | HAS_LIMITS,
     "/run/hull-floor"},
    {"privileges", STAGE5,
     HAS_OVERLAY | HAS_LOOPBACK | HAS_FILES | HAS_NAMES | HAS_CGROUP | HAS_LIMITS |
         HAS_PRIVILEGES,
     "/run/hull-floor"},
    {"run", STAGE5,
     HAS_OVERLAY | HAS_LOOPBACK | HAS_FILES | HAS_NAMES | HAS_CGROUP | HAS_PRIVILEGES,
     "/var/lib/hull-floor"},
};

// In this order: a directory has to be there before what is mounted in it.
static const struct row mounts[] = {
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

static const char *const masked[] = {
    "/proc/acpi",        "/proc/asound",      "/proc/interrupts",
    "/proc/kcore",       "/proc/keys",        "/proc/latency_stats",
    "/proc/timer_list",  "/proc/timer_stats", "/proc/sched_debug",
    "/proc/scsi",        "/sys/firmware",     "/sys/devices/virtual/powercap",
};

static const char *const read_only[] = {
    "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
};

// The work ---------------------------------------------------------------------

void check(long result, const char *what) {
  if (result >= 0) return;
  fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
  _exit(125);
}

void write_file(const char *path, const char *text, mode_t mode) {
  int descriptor = open(path, O_WRONLY | O_CLOEXEC | (mode ? O_CREAT | O_EXCL : 0), mode);
  check(descriptor, path);
  check(write(descriptor, text, strlen(text)), path);
  close(descriptor);
}

static void fill_dev(void) {
  for (size_t i = 0; i < COUNT(nodes); i++)
    check(mknod(nodes[i].path, S_IFCHR | 0666,
                makedev(nodes[i].major, nodes[i].minor)),
          nodes[i].path);
  for (size_t i = 0; i < COUNT(links); i++)
    check(symlink(links[i][0], links[i][1]), links[i][1]);
}

void mount_all(const struct row *rows, size_t count) {
  for (const struct row *row = rows; row < rows + count; row++) {
    if (row->make) check(mkdir(row->target, row->make), row->target);
    check(mount(row->source, row->target, row->type, row->flags, row->data),
          row->target);
    if (!strcmp(row->target, "/dev")) fill_dev();
  }
}

void mask_all(const char *const *paths, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (mount("/dev/null", paths[i], NULL, MS_BIND, NULL) < 0 && errno == ENOTDIR)
      check(mount("tmpfs", paths[i], "tmpfs", MS_RDONLY, "size=0k"), paths[i]);
}

void make_read_only(const char *const *paths, size_t count, unsigned long flags) {
  for (size_t i = 0; i < count; i++) {
    if (mount(paths[i], paths[i], NULL, MS_BIND | MS_REC, NULL) < 0) continue;
    check(mount(NULL, paths[i], NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | flags,
                NULL),
          paths[i]);
  }
}

// Files of its own: written on the host, copied as mounts while the host's root is at hand,
// attached when it has gone.
static const struct file {
  const char *source, *target, *text;
  int part;
} files[] = {
    {"hosts", "/etc/hosts", "127.0.0.1\tlocalhost\n", HAS_FILES},
    {"resolv.conf", "/etc/resolv.conf", "nameserver 192.0.2.1\n", HAS_FILES},
    {"hostname", "/etc/hostname", "floor\n", HAS_NAMES},
};
static int trees[COUNT(files)];

static void write_files(int parts) {
  for (size_t i = 0; i < COUNT(files); i++)
    if (parts & files[i].part) write_file(files[i].source, files[i].text, 0644);
}

static void copy_files(int parts, const char *scratch) {
  char path[PATH_MAX];
  for (size_t i = 0; i < COUNT(files); i++) {
    if (!(parts & files[i].part)) continue;
    // The host's root is the current directory, and the path is one in it.
    snprintf(path, sizeof path, "%s/%s", scratch + 1, files[i].source);
    trees[i] = syscall(SYS_open_tree, AT_FDCWD, path,
                       OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    check(trees[i], path);
  }
}

static void attach_files(int parts) {
  for (size_t i = 0; i < COUNT(files); i++) {
    if (!(parts & files[i].part)) continue;
    close(open(files[i].target, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    check(syscall(SYS_move_mount, trees[i], "", AT_FDCWD, files[i].target,
                  MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS),
          files[i].target);
  }
}

static void enter_overlay(int parts, const char *rootfs, const char *scratch) {
  char options[2 * PATH_MAX];
  snprintf(options, sizeof options,
           "lowerdir=%s,upperdir=%s/upper,workdir=%s/work,volatile", rootfs,
           scratch, scratch);
  check(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "private /");
  check(mount("overlay", "merged", "overlay", 0, options), "merged");
  check(chdir("merged"), "merged");
  int host = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  check(syscall(SYS_pivot_root, ".", "."), "pivot_root");
  check(fchdir(host), "the host's root");
  close(host);
  copy_files(parts, scratch);
  check(umount2(".", MNT_DETACH), "umount the old root");
  check(chdir("/"), "/");
  mount_all(mounts, COUNT(mounts));
  if (parts & HAS_CGROUP) show_cgroup();
  attach_files(parts);
  mask_all(masked, COUNT(masked));
  make_read_only(read_only, COUNT(read_only), SAFE);
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
  if (mode->parts & HAS_CGROUP) {
    move_oneself();
    enter_cgroup();
  }
  if (mode->parts & HAS_CABLE) enter_network();
  if (mode->parts & HAS_LOOPBACK) bring_loopback_up();
  if (mode->parts & HAS_OVERLAY) {
    enter_overlay(mode->parts, rootfs, scratch);
  } else {
    check(chroot(rootfs), rootfs);
    check(chdir("/"), "/");
  }
  if (mode->parts & HAS_NAMES) {
    check(sethostname("floor", 5), "hostname");
    check(setgroups(0, NULL), "groups");
  }
  if (mode->parts & HAS_PRIVILEGES) {
    leave_keyring();
    give_up_privileges();
  }
  execve(command[0], command, environment);
  check(-1, command[0]);
}

static void make_scratch(const struct mode *mode, char *scratch, size_t size) {
  snprintf(scratch, size, "%s/%d", mode->scratch, getpid());
  mkdir(mode->scratch, 0700);
  check(mkdir(scratch, 0700), scratch);
  check(chdir(scratch), scratch);
  check(mkdir("upper", 0755), "upper");
  check(mkdir("work", 0755), "work");
  check(mkdir("merged", 0755), "merged");
  write_files(mode->parts);
}

// What a volatile overlay leaves in its work directory, and what we made. The command of the
// bench writes nothing; what is in upper was needed to mount on.
static void remove_scratch(const char *scratch) {
  static const char *const leftovers[] = {
      "work/work/incompat/volatile", "work/work/incompat", "work/work", "work",
      "upper/etc", "upper", "merged",
  };
  unlink("work/work/incompat/volatile/dirty");
  for (size_t i = 0; i < COUNT(files); i++) {
    char path[64];
    snprintf(path, sizeof path, "upper%s", files[i].target);
    unlink(path);
    unlink(files[i].source);
  }
  for (size_t i = 0; i < COUNT(leftovers); i++) rmdir(leftovers[i]);
  check(rmdir(scratch), scratch);
}

static const struct mode *mode_named(const char *name) {
  for (size_t i = 0; i < COUNT(modes); i++)
    if (!strcmp(modes[i].name, name)) return &modes[i];
  return NULL;
}

// The child waits for the end of this pipe where something has to be done to it from outside.
static int gate[2];

static void let_go(pid_t child) {
  plug_in(child);
  close(gate[0]);
  close(gate[1]);
}

static void wait_at_gate(void) {
  char nothing;
  close(gate[1]);
  check(read(gate[0], &nothing, 1), "gate");
  close(gate[0]);
}

pid_t clone_into(unsigned long long namespaces, int cgroup) {
  struct clone_args arguments = {.flags = namespaces, .exit_signal = SIGCHLD};
  if (cgroup >= 0) {
    arguments.flags |= CLONE_INTO_CGROUP;
    arguments.cgroup = cgroup;
  }
  pid_t child = syscall(SYS_clone3, &arguments, sizeof arguments);
  check(child, "clone3");
  return child;
}

int wait_for(pid_t child) {
  int status;
  check(waitpid(child, &status, 0), "waitpid");
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv) {
  char rootfs[PATH_MAX], scratch[64];
  if (argc > 3 && !strncmp(argv[1], "runtime", 7)) return run_bundle(argv);
  if (argc > 4 && !strcmp(argv[1], "exec")) return exec_in_bundle(argv);
  const struct mode *mode = argc > 3 ? mode_named(argv[1]) : NULL;
  if (!mode) {
    fputs("Usage: floor MODE ROOTFS COMMAND [ARG…]; the modes are in floor.c\n", stderr);
    return 125;
  }
  check(realpath(argv[2], rootfs) ? 0 : -1, argv[2]);
  if (mode->parts & HAS_OVERLAY) make_scratch(mode, scratch, sizeof scratch);
  if (mode->parts & HAS_CABLE) choose_address();
  if (mode->parts & HAS_PRIVILEGES) read_filter();
  int cgroup = mode->parts & HAS_CGROUP ? make_cgroup(mode->parts & HAS_LIMITS) : -1;

  if (mode->parts & HAS_CABLE) check(pipe2(gate, O_CLOEXEC), "pipe");
  pid_t child = clone_into(mode->namespaces, cgroup);
  if (child == 0) {
    if (mode->parts & HAS_CABLE) wait_at_gate();
    enter(mode, rootfs, scratch, argv + 3);
  }
  if (mode->parts & HAS_CABLE) let_go(child);

  int code = wait_for(child);
  if (mode->parts & HAS_CABLE) unplug();
  if (mode->parts & HAS_OVERLAY) remove_scratch(scratch);
  if (mode->parts & HAS_CGROUP) remove_cgroup();
  if (mode->parts & HAS_PROC) {
    strcat(rootfs, "/proc");
    check(umount2(rootfs, 0), rootfs);
  }
  return code;
}
