// What a process may do: its capabilities, limits, keys and filters.
//
// As in CLinux.h: the kernel's names, the kernel's arguments, no policy.
#ifndef CLINUX_PRIVILEGES_H
#define CLINUX_PRIVILEGES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/// capset(2) and capget(2) for this process; bit n stands for capability n.
int set_capabilities(uint64_t effective, uint64_t permitted,
                     uint64_t inheritable);
int get_capabilities(uint64_t *effective, uint64_t *permitted,
                     uint64_t *inheritable);
/// prctl(2) with PR_CAP_AMBIENT.
int prctl_ambient(unsigned long operation, unsigned long capability);

/// setgroups(2), setresgid(2), setresuid(2) as the kernel has them: for this thread.
int set_groups(size_t count, const gid_t *groups);
int set_group_ids(gid_t real, gid_t effective, gid_t saved);
int set_user_ids(uid_t real, uid_t effective, uid_t saved);
/// setfsuid(2) and setfsgid(2): as whom files are used.
void set_file_ids(uid_t user, gid_t group);

/// prlimit(2) for this process.
int set_limit(int resource, uint64_t soft, uint64_t hard);
int get_limit(int resource, uint64_t *soft, uint64_t *hard);

/// sched_setattr(2) for this process.
int set_scheduling(uint32_t policy, uint64_t flags, int32_t nice, uint32_t priority,
                   uint64_t runtime, uint64_t deadline, uint64_t period);
/// ioprio_set(2) for this process.
int set_io_priority(int io_class, int level);
/// personality(2).
int set_personality(unsigned long persona);
/// sched_setaffinity(2) for this process; a bit for each CPU, eight to a byte.
int set_affinity(const void *cpus, size_t bytes);

/// keyctl(2) with KEYCTL_JOIN_SESSION_KEYRING and no name: a new keyring's number.
int32_t join_new_session_keyring(void);
/// keyctl(2) with up to three arguments.
long keyctl_call(int operation, unsigned long first, unsigned long second,
                 unsigned long third);

/// seccomp(2) with SECCOMP_SET_MODE_FILTER. An instruction is 8 bytes.
int seccomp_set_filter(unsigned int flags, const void *instructions,
                       size_t count);
/// ioctl(2) SECCOMP_IOCTL_NOTIF_RECV, _ID_VALID and _SEND.
int seccomp_receive(int listener, uint64_t *id, uint32_t *process, int *number,
                    uint64_t arguments[6]);
int seccomp_is_valid(int listener, uint64_t id);
int seccomp_answer(int listener, uint64_t id, int64_t value, int32_t error);

/// landlock_create_ruleset(2), landlock_add_rule(2) for a path,
/// landlock_restrict_self(2).
int landlock_create(uint64_t handled_access);
int landlock_allow(int ruleset, int directory, uint64_t access);
int landlock_restrict(int ruleset);

/// execveat(2) of an open file.
int execute_descriptor(int fd, char *const argv[], char *const envp[]);
/// fcntl(2): the seals of a file in memory, or -1; and all of them set.
int get_seals(int fd);
int add_all_seals(int fd);
/// fstatvfs(3): whether the mount that a descriptor was opened on is read-only; or -1.
int is_on_read_only_mount(int fd);

// What hull-probe tries. Each is harmless where it is not refused.

/// finit_module(2), bpf(2) with BPF_MAP_CREATE, reboot(2) with wrong magic numbers,
/// iopl(2), io_uring_setup(2), ptrace(2) with PTRACE_SEIZE.
int load_module(int fd);
int create_bpf_map(void);
int reboot_without_magic(void);
int raise_io_privilege(void);
int set_up_io_uring(void);
int seize_process(pid_t process);
/// add_key(2) of the type "user" to the session keyring; request_key(2) for one.
int32_t add_session_key(const char *description, const char *value);
int32_t find_key(const char *description);
/// open_by_handle_at(2) of inode 2, which is the root directory of an ext file system.
int open_root_inode(int mount_fd);

enum {
  linux_PR_SET_KEEPCAPS = 8,
  linux_F_SEAL_WRITE = 8,
  linux_PROC_SUPER_MAGIC = 0x9fa0,
  linux_PR_GET_SECCOMP = 21,
  linux_PR_CAPBSET_READ = 23,
  linux_PR_CAPBSET_DROP = 24,
  linux_PR_SET_NO_NEW_PRIVS = 38,
  linux_PR_GET_NO_NEW_PRIVS = 39,
  linux_PR_CAP_AMBIENT_RAISE = 2,
  linux_PR_CAP_AMBIENT_CLEAR_ALL = 4,
  linux_SECCOMP_FILTER_FLAG_LOG = 2,
  linux_SECCOMP_FILTER_FLAG_SPEC_ALLOW = 4,
  linux_SECCOMP_FILTER_FLAG_NEW_LISTENER = 8,
  linux_SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV = 32,
  linux_PR_GET_PDEATHSIG = 2,
};

#endif
