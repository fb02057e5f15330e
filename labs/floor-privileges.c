// The floor's last step: Docker's capabilities and no others, and its seccomp filter, which
// FLOOR_SECCOMP names a file with. It is the very program that hull has compiled: labs/bench
// cuts it out of hull's cache.
#define _GNU_SOURCE
#include "floor.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

// As Sources/Isolation/Capabilities.swift has them.
static const int kept[] = {
    CAP_CHOWN,  CAP_DAC_OVERRIDE, CAP_FOWNER,           CAP_FSETID,  CAP_KILL,
    CAP_SETGID, CAP_SETUID,       CAP_SETPCAP,          CAP_NET_RAW, CAP_NET_BIND_SERVICE,
    CAP_MKNOD,  CAP_SYS_CHROOT,   CAP_AUDIT_WRITE,      CAP_SETFCAP,
};

static struct sock_filter instructions[8192];
static struct sock_fprog filter = {.filter = instructions};

void read_filter(void) {
  const char *path = getenv("FLOOR_SECCOMP");
  if (!path) return;
  int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  check(descriptor, path);
  ssize_t size = read(descriptor, instructions, sizeof instructions);
  check(size, path);
  filter.len = size / sizeof *instructions;
  close(descriptor);
}

static unsigned long long kept_bits(void) {
  unsigned long long bits = 0;
  for (size_t i = 0; i < COUNT(kept); i++) bits |= 1ULL << kept[i];
  return bits;
}

void give_up_privileges(void) {
  unsigned long long keep = kept_bits();
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct sets[2] = {0};
  for (int capability = 0; capability <= CAP_LAST_CAP; capability++) {
    unsigned long long bit = 1ULL << capability;
    // What we do not have ourselves we cannot leave to the command.
    if (prctl(PR_CAPBSET_READ, capability) <= 0) keep &= ~bit;
    else if (!(keep & bit)) check(prctl(PR_CAPBSET_DROP, capability), "bounding set");
  }
  if (filter.len) check(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter), "seccomp");
  check(setgroups(0, NULL), "setgroups");
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  for (int half = 0; half < 2; half++) {
    unsigned bits = keep >> (32 * half);
    sets[half] = (struct __user_cap_data_struct){.effective = bits, .permitted = bits};
  }
  check(syscall(SYS_capset, &header, sets), "capset");
}

void leave_keyring(void) {
  check(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL), "keyring");
}
