#define _GNU_SOURCE
#include "Privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/keyctl.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

// Capabilities and identity

int set_capabilities(uint64_t effective, uint64_t permitted,
                     uint64_t inheritable) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2];
  for (int half = 0; half < 2; half++) {
    data[half].effective = (uint32_t)(effective >> (32 * half));
    data[half].permitted = (uint32_t)(permitted >> (32 * half));
    data[half].inheritable = (uint32_t)(inheritable >> (32 * half));
  }
  return syscall(SYS_capset, &header, data);
}

int get_capabilities(uint64_t *effective, uint64_t *permitted,
                     uint64_t *inheritable) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2];
  if (syscall(SYS_capget, &header, data) < 0) return -1;
  *effective = data[0].effective | (uint64_t)data[1].effective << 32;
  *permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
  *inheritable = data[0].inheritable | (uint64_t)data[1].inheritable << 32;
  return 0;
}

int prctl_ambient(unsigned long operation, unsigned long capability) {
  return prctl(PR_CAP_AMBIENT, operation, capability, 0, 0);
}

// Asked of the kernel itself: glibc would signal threads that are not there.

int set_groups(size_t count, const gid_t *groups) {
  return syscall(SYS_setgroups, count, groups);
}

int set_group_ids(gid_t real, gid_t effective, gid_t saved) {
  return syscall(SYS_setresgid, real, effective, saved);
}

int set_user_ids(uid_t real, uid_t effective, uid_t saved) {
  return syscall(SYS_setresuid, real, effective, saved);
}

void set_file_ids(uid_t user, gid_t group) {
  // The group first: without being root it could not be changed any more.
  if (user == 0) syscall(SYS_setfsuid, user);
  syscall(SYS_setfsgid, group);
  if (user != 0) syscall(SYS_setfsuid, user);
}

// Limits and keys

int set_limit(int resource, uint64_t soft, uint64_t hard) {
  struct rlimit64 limit = {soft, hard};
  return syscall(SYS_prlimit64, 0, resource, &limit, NULL);
}

int get_limit(int resource, uint64_t *soft, uint64_t *hard) {
  struct rlimit64 limit;
  if (syscall(SYS_prlimit64, 0, resource, NULL, &limit) < 0) return -1;
  *soft = limit.rlim_cur;
  *hard = limit.rlim_max;
  return 0;
}

int set_scheduling(uint32_t policy, uint64_t flags, int32_t nice, uint32_t priority,
                   uint64_t runtime, uint64_t deadline, uint64_t period) {
  // The first 48 bytes, which every kernel since 3.14 knows.
  struct {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
  } attributes = {48, policy, flags, nice, priority, runtime, deadline, period};
  return syscall(SYS_sched_setattr, 0, &attributes, 0);
}

int set_io_priority(int io_class, int level) {
  return syscall(SYS_ioprio_set, 1, 0, io_class << 13 | level);
}

int set_personality(unsigned long persona) {
  return syscall(SYS_personality, persona);
}

int set_affinity(const void *cpus, size_t bytes) {
  return syscall(SYS_sched_setaffinity, 0, bytes, cpus);
}

int32_t join_new_session_keyring(void) {
  return syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
}

long keyctl_call(int operation, unsigned long first, unsigned long second,
                 unsigned long third) {
  return syscall(SYS_keyctl, operation, first, second, third, 0);
}

// Seccomp

int seccomp_set_filter(unsigned int flags, const void *instructions,
                       size_t count) {
  struct sock_fprog program = {count, (struct sock_filter *)instructions};
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

int seccomp_receive(int listener, uint64_t *id, uint32_t *process, int *number,
                    uint64_t arguments[6]) {
  // The kernel insists on zeros.
  struct seccomp_notif request = {0};
  if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &request) < 0) return -1;
  *id = request.id;
  *process = request.pid;
  *number = request.data.nr;
  for (int index = 0; index < 6; index++)
    arguments[index] = request.data.args[index];
  return 0;
}

int seccomp_is_valid(int listener, uint64_t id) {
  return ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id);
}

int seccomp_answer(int listener, uint64_t id, int64_t value, int32_t error) {
  struct seccomp_notif_resp answer = {.id = id, .val = value, .error = error};
  return ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
}

// Landlock

int landlock_create(uint64_t handled_access) {
  struct landlock_ruleset_attr attributes = {.handled_access_fs = handled_access};
  // Only the first member: an older kernel does not know the others.
  return syscall(SYS_landlock_create_ruleset, &attributes, sizeof(uint64_t), 0);
}

int landlock_allow(int ruleset, int directory, uint64_t access) {
  struct landlock_path_beneath_attr rule = {access, directory};
  return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH,
                 &rule, 0);
}

int landlock_restrict(int ruleset) {
  return syscall(SYS_landlock_restrict_self, ruleset, 0);
}

// Executing

int execute_descriptor(int fd, char *const argv[], char *const envp[]) {
  return syscall(SYS_execveat, fd, "", argv, envp, AT_EMPTY_PATH);
}

int get_seals(int fd) { return fcntl(fd, F_GET_SEALS); }

int add_all_seals(int fd) {
  return fcntl(fd, F_ADD_SEALS,
               F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
}

int is_on_read_only_mount(int fd) {
  struct statvfs status;
  if (fstatvfs(fd, &status) < 0) return -1;
  return (status.f_flag & ST_RDONLY) != 0;
}

// What the probe tries

int load_module(int fd) { return syscall(SYS_finit_module, fd, "", 0); }

int create_bpf_map(void) {
  union bpf_attr attributes = {.map_type = BPF_MAP_TYPE_ARRAY,
                               .key_size = 4,
                               .value_size = 4,
                               .max_entries = 1};
  return syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof attributes);
}

int reboot_without_magic(void) { return syscall(SYS_reboot, 0, 0, 0, NULL); }

int raise_io_privilege(void) {
#ifdef SYS_iopl
  return syscall(SYS_iopl, 3);
#else
  errno = ENOSYS;
  return -1;
#endif
}

int set_up_io_uring(void) {
  struct io_uring_params parameters = {0};
  return syscall(SYS_io_uring_setup, 1, &parameters);
}

int seize_process(pid_t process) {
  return ptrace(PTRACE_SEIZE, process, NULL, NULL) < 0 ? -1 : 0;
}

int32_t add_session_key(const char *description, const char *value) {
  return syscall(SYS_add_key, "user", description, value, strlen(value),
                 KEY_SPEC_SESSION_KEYRING);
}

int32_t find_key(const char *description) {
  return syscall(SYS_request_key, "user", description, NULL, 0);
}

int open_root_inode(int mount_fd) {
  struct {
    struct file_handle handle;
    uint32_t words[2];
  } root = {.handle = {.handle_bytes = 8, .handle_type = 1}, .words = {2, 0}};
  return open_by_handle_at(mount_fd, &root.handle,
                           O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}
