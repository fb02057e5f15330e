// The floor's cgroup: a directory in each hierarchy that the host has, limits and device rules
// in it, the child born into it or going in, and the same seen from inside.
#define _GNU_SOURCE
#include "floor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/bpf.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TOP "/sys/fs/cgroup"

// The limits of the bench: --memory 256m --cpus 1 --pids-limit 64.
static const struct limit {
  const char *controller, *file, *value;
  int is_optional;  // not every kernel counts swap
} limits_v1[] = {
    {"memory", "memory.limit_in_bytes", "268435456", 0},
    {"memory", "memory.memsw.limit_in_bytes", "536870912", 1},
    {"cpu", "cpu.cfs_period_us", "100000", 0},
    {"cpu", "cpu.cfs_quota_us", "100000", 0},
    {"pids", "pids.max", "64", 0},
}, limits_v2[] = {
    {NULL, "memory.max", "268435456", 0},
    {NULL, "memory.swap.max", "268435456", 1},
    {NULL, "cpu.max", "100000 100000", 0},
    {NULL, "pids.max", "64", 0},
};

// The devices that every container has. A number of -1 is any.
static const struct device {
  char kind;
  int major, minor;
  const char *access;
} devices[] = {
    {'c', -1, -1, "m"}, {'b', -1, -1, "m"}, {'c', 1, 3, "rwm"}, {'c', 1, 5, "rwm"},
    {'c', 1, 7, "rwm"}, {'c', 1, 8, "rwm"}, {'c', 1, 9, "rwm"}, {'c', 5, 0, "rwm"},
    {'c', 5, 1, "rwm"}, {'c', 5, 2, "rwm"}, {'c', 136, -1, "rwm"},
};

// Those of version 1. On many hosts some are links to one that they share.
static const struct hierarchy {
  const char *name, *option;  // what mount(2) knows it by
  int is_for_all;             // hull's containers have it too, not only those of a runtime
} hierarchies[] = {
    {"cpu", "cpu", 1},
    {"cpuacct", "cpuacct", 1},
    {"cpu,cpuacct", "cpu,cpuacct", 1},
    {"memory", "memory", 1},
    {"devices", "devices", 1},
    {"freezer", "freezer", 1},
    {"blkio", "blkio", 1},
    {"pids", "pids", 1},
    {"cpuset", "cpuset", 0},
    {"hugetlb", "hugetlb", 0},
    {"net_cls", "net_cls", 0},
    {"net_prio", "net_prio", 0},
    {"net_cls,net_prio", "net_cls,net_prio", 0},
    {"perf_event", "perf_event", 0},
    {"systemd", "name=systemd", 0},
};

static char name[64];
static const char *unified;               // where version 2 is, or NULL
static int is_there[COUNT(hierarchies)];  // looked up once, before /sys is another one
static int has_limits;                    // beside the device rules

static void look_around(int is_runtime) {
  struct stat top, status;
  char path[PATH_MAX + 64];
  check(stat(TOP, &top), TOP);
  if (access(TOP "/unified/cgroup.procs", F_OK) == 0) unified = TOP "/unified";
  if (access(TOP "/cgroup.procs", F_OK) == 0) unified = TOP;
  for (size_t i = 0; i < COUNT(hierarchies); i++) {
    if (!hierarchies[i].is_for_all && !is_runtime) continue;
    snprintf(path, sizeof path, TOP "/%s", hierarchies[i].name);
    // A directory that nothing is mounted on is none.
    is_there[i] = lstat(path, &status) == 0 && S_ISDIR(status.st_mode) &&
                  status.st_dev != top.st_dev;
  }
}

// Whether there is nothing but version 2.
static int is_pure(void) { return unified && !strcmp(unified, TOP); }

static void write_in(const char *directory, const char *file, const char *text) {
  char path[PATH_MAX + 64];
  snprintf(path, sizeof path, "%s/%s/%s", directory, name, file);
  write_file(path, text, 0);
}

static void set_limit(const char *directory, const struct limit *limit) {
  char path[PATH_MAX + 64];
  snprintf(path, sizeof path, "%s/%s/%s", directory, name, limit->file);
  if (limit->is_optional && access(path, F_OK) < 0) return;
  write_file(path, limit->value, 0);
}

// Device rules -----------------------------------------------------------------

static void restrict_v1(const char *directory) {
  char path[PATH_MAX + 64];
  write_in(directory, "devices.deny", "a");
  snprintf(path, sizeof path, "%s/%s/devices.allow", directory, name);
  int allow = open(path, O_WRONLY | O_CLOEXEC);
  check(allow, path);
  for (size_t i = 0; i < COUNT(devices); i++) {
    const struct device *device = &devices[i];
    char major[16] = "*", minor[16] = "*", rule[64];
    if (device->major >= 0) snprintf(major, sizeof major, "%d", device->major);
    if (device->minor >= 0) snprintf(minor, sizeof minor, "%d", device->minor);
    snprintf(rule, sizeof rule, "%c %s:%s %s", device->kind, major, minor, device->access);
    check(write(allow, rule, strlen(rule)), rule);
  }
  close(allow);
}

static struct bpf_insn program[256];
static int length;

static void emit(unsigned char code, int target, int source, int offset, int value) {
  program[length++] = (struct bpf_insn){code, target, source, offset, value};
}

// r0: the answer, r2: type, r3: access, r4: major, r5: minor. As in
// Sources/Isolation/DeviceProgram.swift.
static void make_program(void) {
  emit(BPF_LDX | BPF_MEM | BPF_W, 2, 1, 0, 0);
  emit(BPF_LDX | BPF_MEM | BPF_W, 4, 1, 4, 0);
  emit(BPF_LDX | BPF_MEM | BPF_W, 5, 1, 8, 0);
  emit(BPF_ALU64 | BPF_MOV | BPF_X, 3, 2, 0, 0);
  emit(BPF_ALU64 | BPF_RSH | BPF_K, 3, 0, 0, 16);
  emit(BPF_ALU64 | BPF_AND | BPF_K, 2, 0, 0, 0xFFFF);
  for (size_t i = 0; i < COUNT(devices); i++) {
    const struct device *device = &devices[i];
    int bits = strcmp(device->access, "m") ? 7 : BPF_DEVCG_ACC_MKNOD;
    int rest = 6 + (device->major >= 0) + (device->minor >= 0);  // to the end of this rule
    emit(BPF_JMP | BPF_JNE | BPF_K, 2, 0, --rest, device->kind == 'b' ? 1 : 2);
    emit(BPF_ALU64 | BPF_MOV | BPF_X, 6, 3, 0, 0);
    emit(BPF_ALU64 | BPF_AND | BPF_K, 6, 0, 0, bits);
    emit(BPF_JMP | BPF_JNE | BPF_X, 6, 3, rest -= 3, 0);
    if (device->major >= 0) emit(BPF_JMP | BPF_JNE | BPF_K, 4, 0, --rest, device->major);
    if (device->minor >= 0) emit(BPF_JMP | BPF_JNE | BPF_K, 5, 0, --rest, device->minor);
    emit(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 1);
    emit(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
  }
  emit(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0);
  emit(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

static void restrict_v2(int cgroup) {
  union bpf_attr load = {.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE}, attach = {0};
  make_program();
  load.insns = (unsigned long)program;
  load.insn_cnt = length;
  load.license = (unsigned long)"Apache-2.0";
  attach.target_fd = cgroup;
  attach.attach_bpf_fd = syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof load);
  check((int)attach.attach_bpf_fd, "bpf");
  attach.attach_type = BPF_CGROUP_DEVICE;
  attach.attach_flags = BPF_F_ALLOW_MULTI;
  check(syscall(SYS_bpf, BPF_PROG_ATTACH, &attach, sizeof attach), "bpf");
  close(attach.attach_bpf_fd);
}

// The cgroup -------------------------------------------------------------------

static int make_v2(void) {
  char path[PATH_MAX + 64];
  snprintf(path, sizeof path, "%s/%s", unified, name);
  check(mkdir(path, 0755), path);
  int cgroup = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  check(cgroup, path);
  // On a hybrid host the controllers are those of version 1.
  if (!is_pure()) return cgroup;
  for (size_t i = 0; has_limits && i < COUNT(limits_v2); i++) set_limit(unified, &limits_v2[i]);
  restrict_v2(cgroup);
  return cgroup;
}

static int has_controller(const char *hierarchy, const char *controller) {
  if (!strcmp(hierarchy, "cpu,cpuacct")) return !strcmp(controller, "cpu");
  return !strcmp(hierarchy, controller);
}

// A new cpuset has neither processors nor memory, and takes no process before it has both.
static void copy_down(const char *top, const char *file) {
  char path[PATH_MAX + 64], text[4096];
  snprintf(path, sizeof path, "%s/%s", top, file);
  int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  check(descriptor, path);
  ssize_t size = read(descriptor, text, sizeof text - 1);
  check(size, path);
  close(descriptor);
  text[size] = 0;
  write_in(top, file, text);
}

static void make_v1(const char *hierarchy) {
  char top[PATH_MAX], path[PATH_MAX * 2];
  snprintf(top, sizeof top, TOP "/%s", hierarchy);
  snprintf(path, sizeof path, "%s/%s", top, name);
  check(mkdir(path, 0755), path);
  for (size_t i = 0; has_limits && i < COUNT(limits_v1); i++)
    if (has_controller(hierarchy, limits_v1[i].controller)) set_limit(top, &limits_v1[i]);
  if (!strcmp(hierarchy, "devices")) restrict_v1(top);
  if (!strcmp(hierarchy, "cpuset")) {
    copy_down(top, "cpuset.cpus");
    copy_down(top, "cpuset.mems");
  }
}

static int make_all(int is_runtime) {
  int cgroup = -1;
  snprintf(name, sizeof name, "hull-floor-%d", getpid());
  look_around(is_runtime);
  if (unified) cgroup = make_v2();
  for (size_t i = 0; i < COUNT(hierarchies); i++)
    if (is_there[i]) make_v1(hierarchies[i].name);
  return cgroup;
}

int make_cgroup(int limited) {
  has_limits = limited;
  return make_all(0);
}

int make_runtime_cgroup(void) { return make_all(1); }

int use_cgroup(const char *other) {
  char path[PATH_MAX + 64];
  snprintf(name, sizeof name, "%s", other);
  look_around(1);
  if (!unified) return -1;
  snprintf(path, sizeof path, "%s/%s", unified, name);
  return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

// A thread that moves itself, and no other, spares the kernel the lock that keeps all of them
// from being born or moved meanwhile, and with it an RCU grace period: milliseconds.
void move_oneself(void) {
  char top[PATH_MAX];
  for (size_t i = 0; i < COUNT(hierarchies); i++) {
    if (!is_there[i]) continue;
    snprintf(top, sizeof top, TOP "/%s", hierarchies[i].name);
    write_in(top, "tasks", "0");
  }
}

void enter_cgroup(void) { check(unshare(CLONE_NEWCGROUP), "cgroup namespace"); }

static void show(const char *hierarchy, const char *type, const char *controllers) {
  char path[PATH_MAX + 64];
  snprintf(path, sizeof path, TOP "/%s", hierarchy);
  check(mkdir(path, 0755), path);
  check(mount(type, path, type, SAFE | MS_RDONLY, controllers), path);
}

void show_cgroup(void) {
  if (is_pure()) {
    check(mount("cgroup2", TOP, "cgroup2", SAFE | MS_RDONLY, NULL), TOP);
    return;
  }
  check(mount("tmpfs", TOP, "tmpfs", SAFE, "mode=755"), TOP);
  if (unified) show("unified", "cgroup2", NULL);
  for (size_t i = 0; i < COUNT(hierarchies); i++)
    if (is_there[i]) show(hierarchies[i].name, "cgroup", hierarchies[i].option);
  check(mount(NULL, TOP, NULL, MS_REMOUNT | MS_RDONLY | SAFE, "mode=755"), TOP);
}

static void remove_from(const char *top) {
  char path[PATH_MAX + 64];
  snprintf(path, sizeof path, "%s/%s", top, name);
  // The last process of it may need a moment to leave.
  while (rmdir(path) < 0 && errno == EBUSY) usleep(1000);
}

void remove_cgroup(void) {
  char top[PATH_MAX];
  for (size_t i = 0; i < COUNT(hierarchies); i++) {
    if (!is_there[i]) continue;
    snprintf(top, sizeof top, TOP "/%s", hierarchies[i].name);
    remove_from(top);
  }
  if (unified) remove_from(unified);
}
