// Mounts as a bundle's configuration asks for them. See CLinux.h for the rules.
#ifndef CLINUX_MOUNTS_H
#define CLINUX_MOUNTS_H

#include <stdint.h>

/// mount_setattr(2) of an open mount, with all that it can change; `user_namespace` counts where
/// `set` has MOUNT_ATTR_IDMAP.
int mount_setattr_of(int mount, unsigned int flags, uint64_t set,
                     uint64_t clear, uint64_t propagation, int user_namespace);
/// fspick(2): the file system of an open mount, to be configured once more.
int fspick(int dirfd, const char *path, unsigned int flags);
/// fsconfig(2) with FSCONFIG_CMD_RECONFIGURE.
int fsconfig_reconfigure(int context);

enum {
  linux_MOUNT_ATTR__ATIME = 0x70,
  linux_MOUNT_ATTR_NOATIME = 0x10,
  linux_MOUNT_ATTR_STRICTATIME = 0x20,
  linux_MOUNT_ATTR_NODIRATIME = 0x80,
  linux_MOUNT_ATTR_IDMAP = 0x100000,
  linux_MOUNT_ATTR_NOSYMFOLLOW = 0x200000,
  linux_MOVE_MOUNT_T_EMPTY_PATH = 0x40,
  linux_FSPICK_CLOEXEC = 1,
  linux_FSPICK_EMPTY_PATH = 8,
  linux_SYSFS_MAGIC = 0x62656572,
  linux_CGROUP2_SUPER_MAGIC = 0x63677270,
};

#endif
