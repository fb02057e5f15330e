// The kernel calls and constants that Swift's Glibc module does not show.
//
// Each function stands under the kernel's own name, takes the kernel's own
// arguments and returns what the kernel returned: -1 with errno set, or a
// result. There is no policy here. `man 2 NAME` is the documentation.
#ifndef CLINUX_H
#define CLINUX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/xattr.h>

#include "Mounts.h"
#include "Privileges.h"

// Names with a struct or a macro of their own in the kernel's headers.
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/openat2.h>
#include <linux/rtnetlink.h>
#include <linux/sched.h>
#include <linux/veth.h>

// Namespaces and processes ---------------------------------------------------

/// clone3(2). Returns twice, as fork does: 0 in the child, its id in the parent.
int clone3(const struct clone_args *args, size_t size);
/// fork(2), which Swift hides.
pid_t fork_process(void);
/// clone(2), which filters let through that cannot look into clone3's structure.
int clone_plainly(uint64_t flags);
int unshare(int flags);
int setns(int fd, int nstype);
int setresuid(uid_t real, uid_t effective, uid_t saved);
int setresgid(gid_t real, gid_t effective, gid_t saved);
int pidfd_open(pid_t pid, unsigned int flags);
int pidfd_send_signal(int pidfd, int signal);

/// prctl(2), which is variadic in C and so invisible to Swift.
int prctl_set(int option, unsigned long value);
int prctl_get(int option);
/// landlock_create_ruleset(2) with LANDLOCK_CREATE_RULESET_VERSION: the ABI, or -1.
int landlock_abi(void);
/// syslog(2) under the name that glibc has for it.
int klogctl(int type, char *buffer, int length);

// Control groups -------------------------------------------------------------

/// bpf(2) with BPF_PROG_LOAD: a program for BPF_CGROUP_DEVICE. Its descriptor.
int bpf_load_device_program(const uint64_t *instructions, uint32_t count);
/// bpf(2) with BPF_PROG_ATTACH, beside whatever a service manager has attached.
int bpf_attach_device_program(int cgroup, int program);
int eventfd2(unsigned int count, int flags);

// Mounts and file systems ----------------------------------------------------

int pivot_root(const char *new_root, const char *put_old);
int open_tree(int dirfd, const char *path, unsigned int flags);
int move_mount(int from_dirfd, const char *from, int to_dirfd, const char *to,
               unsigned int flags);
/// mount_setattr(2) for the two masks that matter here.
int mount_setattr(int dirfd, const char *path, unsigned int flags,
                  uint64_t set, uint64_t clear);
/// mount_setattr(2) with MOUNT_ATTR_IDMAP: ids are shown as a user namespace maps them.
int mount_setattr_idmap(int mount, int user_namespace, uint64_t propagation);
/// fsopen(2), fsconfig(2) with FSCONFIG_SET_STRING, FSCONFIG_SET_FLAG and
/// FSCONFIG_CMD_CREATE, fsmount(2): a file system mounted nowhere yet.
int fsopen(const char *type, unsigned int flags);
int fsconfig_set_string(int context, const char *key, const char *value);
int fsconfig_set_flag(int context, const char *key);
int fsconfig_create(int context);
int fsmount(int context, unsigned int flags, unsigned int attributes);
int openat2(int dirfd, const char *path, const struct open_how *how,
            size_t size);
int renameat2(int from_dirfd, const char *from, int to_dirfd, const char *to,
              unsigned int flags);
int syncfs(int fd);
/// getcwd(2): what glibc's getcwd would not show, "(unreachable)/…". Its length, or -1.
long working_directory(char *buffer, size_t size);
dev_t device_number(unsigned int major, unsigned int minor);
unsigned int device_major(dev_t device);
unsigned int device_minor(dev_t device);
/// ioctl(2) FICLONE: the file shares the content of another until one of them is written.
int clone_file(int to, int from);
/// copy_file_range(2) from and to where the files' positions are.
ssize_t copy_range(int from, int to, size_t count);
/// lseek(2) with SEEK_DATA and SEEK_HOLE.
off_t seek_data(int fd, off_t offset);
off_t seek_hole(int fd, off_t offset);
/// fstatfs(2): the magic number of the kind of file system, or -1.
long file_system_magic(int fd);
/// statx(2) says whether a path is the root of a mount: 1, 0, or -1.
int is_mount_root(const char *path);

/// mq_open(2), under the name without its slash.
int open_message_queue(const char *name, int flags, mode_t mode);
/// mq_unlink(2), likewise.
int remove_message_queue(const char *name);

// Descriptors ----------------------------------------------------------------

int pipe2(int descriptors[2], int flags);
int dup3(int from, int to, int flags);
int close_range(unsigned int first, unsigned int last, int flags);
int memfd_create(const char *name, unsigned int flags);
ssize_t getrandom(void *buffer, size_t count, unsigned int flags);

/// signalfd(2) over all signals of `mask` (bit n-1 stands for signal n).
int signalfd_for(uint64_t mask, int flags);
/// One signal from a signalfd: its number, what sent it and who. -1 if none.
int signalfd_next(int fd, int *code, pid_t *sender);
/// sigprocmask(2) with SIG_SETMASK and a mask of 64 bits.
int set_signal_mask(uint64_t mask);
/// Every handler back to its default: what a program expects at its start.
void reset_signal_handlers(void);

/// sendmsg(2) and recvmsg(2) with at most one descriptor beside the bytes.
/// `descriptor` is -1 where there is none.
ssize_t send_with_descriptor(int socket, const void *bytes, size_t count,
                             int descriptor);
ssize_t receive_with_descriptor(int socket, void *bytes, size_t count,
                                int *descriptor);

// Terminals --------------------------------------------------------

int unlock_pseudoterminal(int ptmx);
int pseudoterminal_number(int ptmx);
int set_controlling_terminal(int fd);
/// TIOCSTI: one character as if it had been typed.
int push_terminal_input(int fd, char character);

// The program's start --------------------------------------------------------

/// The arguments as the C library has them: no /proc is needed, unlike for Swift's
/// CommandLine.
int program_argument_count(void);
const char *program_argument(int index);
/// Whether EarlyStart.c has found that nobody can write the program file.
int program_is_out_of_reach(void);
/// Takes back the variable that Swift's runtime was given for its start, so that
/// no child inherits it. See Start.c.
void return_lent_environment(void);

// Options and names ----------------------------------------------------------

/// One step of getopt_long(3): the option's `value` as `table` gave it, '?' for
/// an unknown one, ':' for a missing argument, -1 at the end.
struct long_option {
  const char *name;
  int has_argument;
  int value;
};
int next_option(int argc, char *const argv[], const char *short_options,
                const struct long_option *table, size_t count,
                const char **argument);
/// Before the first next_option of a command line: getopt_long remembers the one before.
void restart_options(void);
/// The index of the first argument that is not an option.
int first_operand(void);
/// Which option letter next_option complained of, 0 for a long one.
int rejected_option(void);

/// memmem(3), which glibc shows only to those who ask for GNU's extensions.
void *memmem(const void *haystack, size_t length, const void *needle,
             size_t needle_length);
/// "ENOENT" for ENOENT; NULL for a number that has no name.
const char *errno_name(int number);
/// The thread's errno, read through a call that nothing can be moved across.
int current_errno(void);
void set_errno(int number);

// Constants ------------------------------------------------------------------
// Given as typed constants where the headers have them as casts or enums.

enum {
  linux_O_PATH = 010000000,
  linux_O_DIRECT = 040000,
  // O_TMPFILE is this and O_DIRECTORY, which differs from machine to machine.
  linux_O_TMPFILE_alone = 020000000,
  linux_OVERLAYFS_SUPER_MAGIC = 0x794C7630,
  linux_AT_EMPTY_PATH = 0x1000,
  linux_AT_RECURSIVE = 0x8000,
  linux_AT_SYMLINK_NOFOLLOW = 0x100,
  linux_OPEN_TREE_CLONE = 1,
  linux_OPEN_TREE_CLOEXEC = 02000000,
  linux_MOVE_MOUNT_F_EMPTY_PATH = 4,
  linux_MOVE_MOUNT_T_SYMLINKS = 0x10,
  linux_FSOPEN_CLOEXEC = 1,
  linux_CLONE_NEWTIME = 0x80,
  linux_FSMOUNT_CLOEXEC = 1,
  linux_MOUNT_ATTR_RDONLY = 1,
  linux_MOUNT_ATTR_NOSUID = 2,
  linux_MOUNT_ATTR_NODEV = 4,
  linux_MOUNT_ATTR_NOEXEC = 8,
  linux_PR_SET_PDEATHSIG = 1,
  linux_PR_SET_DUMPABLE = 4,
  linux_PR_SET_NAME = 15,
  linux_PR_SET_CHILD_SUBREAPER = 36,
  linux_SFD_CLOEXEC = 02000000,
  linux_SFD_NONBLOCK = 04000,
  linux_SI_KERNEL = 0x80,
  linux_CLOSE_RANGE_CLOEXEC = 4,
};
// It does not fit into an int.
static const unsigned long long linux_CLONE_INTO_CGROUP = 0x200000000ULL;

#endif
