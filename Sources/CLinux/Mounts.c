#define _GNU_SOURCE
#include "Mounts.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

int mount_setattr_of(int mount, unsigned int flags, uint64_t set,
                     uint64_t clear, uint64_t propagation, int user_namespace) {
  struct mount_attr attributes = {.attr_set = set,
                                  .attr_clr = clear,
                                  .propagation = propagation};
  if (set & MOUNT_ATTR_IDMAP) attributes.userns_fd = user_namespace;
  return syscall(SYS_mount_setattr, mount, "", AT_EMPTY_PATH | flags,
                 &attributes, sizeof attributes);
}

int fspick(int dirfd, const char *path, unsigned int flags) {
  return syscall(SYS_fspick, dirfd, path, flags);
}

int fsconfig_reconfigure(int context) {
  return syscall(SYS_fsconfig, context, FSCONFIG_CMD_RECONFIGURE, NULL, NULL,
                 0);
}
