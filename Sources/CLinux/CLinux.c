#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/bpf.h>
#include <linux/mount.h>
#include <linux/stat.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <linux/fs.h>
#include <sys/vfs.h>
#include <unistd.h>

// Namespaces and processes

pid_t fork_process(void) { return fork(); }

int clone3(const struct clone_args *args, size_t size) {
  return syscall(SYS_clone3, args, size);
}

int clone_plainly(uint64_t flags) {
  return syscall(SYS_clone, (unsigned long)flags | SIGCHLD, NULL, NULL, NULL, 0);
}

int pidfd_open(pid_t pid, unsigned int flags) {
  return syscall(SYS_pidfd_open, pid, flags);
}

int pidfd_send_signal(int pidfd, int signal) {
  return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
}

int prctl_set(int option, unsigned long value) {
  return prctl(option, value, 0, 0, 0);
}

int landlock_abi(void) {
  return syscall(SYS_landlock_create_ruleset, NULL, 0, 1);
}

int prctl_get(int option) { return prctl(option, 0, 0, 0, 0); }

// Control groups

int bpf_load_device_program(const uint64_t *instructions, uint32_t count) {
  union bpf_attr attributes = {0};
  attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  attributes.insns = (uintptr_t)instructions;
  attributes.insn_cnt = count;
  attributes.license = (uintptr_t) "Apache-2.0";
  return syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof attributes);
}

int bpf_attach_device_program(int cgroup, int program) {
  union bpf_attr attributes = {0};
  attributes.target_fd = cgroup;
  attributes.attach_bpf_fd = program;
  attributes.attach_type = BPF_CGROUP_DEVICE;
  attributes.attach_flags = BPF_F_ALLOW_MULTI;
  return syscall(SYS_bpf, BPF_PROG_ATTACH, &attributes, sizeof attributes);
}

int eventfd2(unsigned int count, int flags) {
  return syscall(SYS_eventfd2, count, flags);
}

// Mounts and file systems

int pivot_root(const char *new_root, const char *put_old) {
  return syscall(SYS_pivot_root, new_root, put_old);
}

int open_tree(int dirfd, const char *path, unsigned int flags) {
  return syscall(SYS_open_tree, dirfd, path, flags);
}

int move_mount(int from_dirfd, const char *from, int to_dirfd, const char *to,
               unsigned int flags) {
  return syscall(SYS_move_mount, from_dirfd, from, to_dirfd, to, flags);
}

int mount_setattr(int dirfd, const char *path, unsigned int flags,
                  uint64_t set, uint64_t clear) {
  struct mount_attr attributes = {.attr_set = set, .attr_clr = clear};
  return syscall(SYS_mount_setattr, dirfd, path, flags, &attributes,
                 sizeof attributes);
}

int mount_setattr_idmap(int mount, int user_namespace, uint64_t propagation) {
  struct mount_attr attributes = {.attr_set = MOUNT_ATTR_IDMAP,
                                  .propagation = propagation,
                                  .userns_fd = user_namespace};
  return syscall(SYS_mount_setattr, mount, "", AT_EMPTY_PATH,
                 &attributes, sizeof attributes);
}

int fsopen(const char *type, unsigned int flags) {
  return syscall(SYS_fsopen, type, flags);
}

int fsconfig_set_string(int context, const char *key, const char *value) {
  return syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, key, value, 0);
}

int fsconfig_set_flag(int context, const char *key) {
  return syscall(SYS_fsconfig, context, FSCONFIG_SET_FLAG, key, NULL, 0);
}

int fsconfig_create(int context) {
  return syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
}

int fsmount(int context, unsigned int flags, unsigned int attributes) {
  return syscall(SYS_fsmount, context, flags, attributes);
}

int openat2(int dirfd, const char *path, const struct open_how *how,
            size_t size) {
  return syscall(SYS_openat2, dirfd, path, how, size);
}

long working_directory(char *buffer, size_t size) {
  return syscall(SYS_getcwd, buffer, size);
}

dev_t device_number(unsigned int major, unsigned int minor) {
  return makedev(major, minor);
}

unsigned int device_major(dev_t device) { return major(device); }

unsigned int device_minor(dev_t device) { return minor(device); }

int clone_file(int to, int from) { return ioctl(to, FICLONE, from); }

ssize_t copy_range(int from, int to, size_t count) {
  return syscall(SYS_copy_file_range, from, NULL, to, NULL, count, 0);
}

off_t seek_data(int fd, off_t offset) { return lseek(fd, offset, SEEK_DATA); }

off_t seek_hole(int fd, off_t offset) { return lseek(fd, offset, SEEK_HOLE); }

long file_system_magic(int fd) {
  struct statfs status;
  return fstatfs(fd, &status) < 0 ? -1 : (long)status.f_type;
}

int is_mount_root(const char *path) {
  struct statx status;
  if (syscall(SYS_statx, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, 0, &status) < 0)
    return -1;
  return (status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

int open_message_queue(const char *name, int flags, mode_t mode) {
  return syscall(SYS_mq_open, name, flags, mode, NULL);
}

int remove_message_queue(const char *name) {
  return syscall(SYS_mq_unlink, name);
}

// Descriptors

static void fill(sigset_t *set, uint64_t mask) {
  sigemptyset(set);
  for (int number = 1; number <= 64; number++)
    if (mask & (1ULL << (number - 1))) sigaddset(set, number);
}

int signalfd_for(uint64_t mask, int flags) {
  sigset_t set;
  fill(&set, mask);
  return signalfd(-1, &set, flags);
}

int signalfd_next(int fd, int *code, pid_t *sender) {
  struct signalfd_siginfo info;
  if (read(fd, &info, sizeof info) != sizeof info) return -1;
  *code = info.ssi_code;
  *sender = (pid_t)info.ssi_pid;
  return (int)info.ssi_signo;
}

int set_signal_mask(uint64_t mask) {
  sigset_t set;
  fill(&set, mask);
  return sigprocmask(SIG_SETMASK, &set, NULL);
}

void reset_signal_handlers(void) {
  // The kernel's struct sigaction, all zeros: SIG_DFL, no flags, no mask. Asked of the
  // kernel itself, because glibc refuses for the two signals that it uses; but those
  // too may have come to us ignored. KILL and STOP refuse, rightly.
  static const unsigned long defaults[8];
  for (int number = 1; number <= 64; number++)
    syscall(SYS_rt_sigaction, number, defaults, NULL, 8);
}

ssize_t send_with_descriptor(int socket, const void *bytes, size_t count,
                             int descriptor) {
  struct iovec vector = {(void *)bytes, count};
  union {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
  } control = {0};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
  if (descriptor >= 0) {
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &descriptor, sizeof(int));
  }
  return sendmsg(socket, &message, MSG_NOSIGNAL);
}

ssize_t receive_with_descriptor(int socket, void *bytes, size_t count,
                                int *descriptor) {
  struct iovec vector = {bytes, count};
  union {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
  } control;
  struct msghdr message = {.msg_iov = &vector,
                           .msg_iovlen = 1,
                           .msg_control = control.bytes,
                           .msg_controllen = sizeof control.bytes};
  *descriptor = -1;
  ssize_t received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  if (received < 0) return received;
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  if (header && header->cmsg_level == SOL_SOCKET &&
      header->cmsg_type == SCM_RIGHTS)
    memcpy(descriptor, CMSG_DATA(header), sizeof(int));
  return received;
}

// Terminals

int unlock_pseudoterminal(int ptmx) {
  int locked = 0;
  return ioctl(ptmx, TIOCSPTLCK, &locked);
}

int pseudoterminal_number(int ptmx) {
  int number;
  return ioctl(ptmx, TIOCGPTN, &number) < 0 ? -1 : number;
}

int set_controlling_terminal(int fd) { return ioctl(fd, TIOCSCTTY, 0); }

int push_terminal_input(int fd, char character) {
  return ioctl(fd, TIOCSTI, &character);
}

// Options and names

int next_option(int argc, char *const argv[], const char *short_options,
                const struct long_option *table, size_t count,
                const char **argument) {
  struct option options[128] = {0};
  if (count > 127) abort();
  for (size_t i = 0; i < count; i++) {
    options[i].name = table[i].name;
    options[i].has_arg = table[i].has_argument;
    options[i].val = table[i].value;
  }
  opterr = 0;
  int value = getopt_long(argc, argv, short_options, options, NULL);
  *argument = optarg;
  return value;
}

void restart_options(void) { optind = 0; }

int first_operand(void) { return optind; }

int rejected_option(void) { return optopt; }

const char *errno_name(int number) { return strerrorname_np(number); }

int current_errno(void) { return errno; }

void set_errno(int number) { errno = number; }
