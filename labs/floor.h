// What the files of the floor share. Each holds one part of the sandbox; floor.c is the whole.
#ifndef FLOOR_H
#define FLOOR_H

#include <sys/types.h>

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define SAFE (MS_NOSUID | MS_NODEV | MS_NOEXEC)

// Ends with a message where `result` is negative.
void check(long result, const char *what);

// Writes a whole file in one write(2); it has to be there already if mode is 0.
void write_file(const char *path, const char *text, mode_t mode);

// floor-network.c: a cable to the bridge hull0, which is there.
void choose_address(void);     // host side, before there is a child
void plug_in(pid_t child);     // host side
void enter_network(void);      // inside
void unplug(void);             // host side
void bring_loopback_up(void);  // inside: a network with nothing but lo

// floor-cgroup.c: a cgroup in each hierarchy that there is.
int make_cgroup(int has_limits);   // its descriptor in version 2, or -1
int make_runtime_cgroup(void);     // the same, in all the hierarchies that a runtime uses
int use_cgroup(const char *name);  // the same, of another's that is there
void move_oneself(void);           // inside, version 1 only: version 2 is where it is born
void enter_cgroup(void);           // inside: a namespace
void show_cgroup(void);            // inside: /sys/fs/cgroup
void remove_cgroup(void);

// floor.c
struct row {
  const char *source, *target, *type;
  unsigned long flags;
  const char *data;
  mode_t make;  // mkdir the target first, with this mode
};
void mount_all(const struct row *rows, size_t count);  // inside; with /dev what is in it
// Inside. Masked: /dev/null over a file, an empty read-only tmpfs over a directory. Read-only: a
// bind mount of the path on itself, then a remount. A path that this kernel does not have is
// passed over.
void mask_all(const char *const *paths, size_t count);
void make_read_only(const char *const *paths, size_t count, unsigned long flags);
pid_t clone_into(unsigned long long namespaces, int cgroup);  // -1: nowhere in particular
int wait_for(pid_t child);  // its exit code

// floor-runtime.c: what an OCI runtime has to do for a bundle.
int run_bundle(char **argv);
int exec_in_bundle(char **argv);

// floor-privileges.c: Docker's capabilities, its seccomp filter, a keyring.
void read_filter(void);  // host side
void leave_keyring(void);
void give_up_privileges(void);

#endif
