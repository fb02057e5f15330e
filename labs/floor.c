// The floor: how fast can it be at all?
//
// This program asks the kernel for exactly what one of our stages, or
// `hull run --rm --network none`, asks it for: the same namespaces, the same
// mounts, the same exec. It does nothing else. There are no options, no error
// texts, no image, no environment, no signals, no narration, and nothing is
// checked that can be left unchecked. What it needs is what the kernel needs;
// no program that makes this sandbox can be quicker, whatever it is written in.
// `labs/bench` times everything else against it.
//
//     floor chroot|pid|overlay|network|run ROOTFS COMMAND [ARG…]
//
// `network` wants a bridge hull0 with 10.77.0.1/16, as `stage04-network ROOTFS sleep 1000` makes
// it; the container is one more on it, at an address that no other is likely to have.
//
// The tables below are the sandbox. Keep them as Sources/Isolation has it.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <linux/sched.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(table) (sizeof(table) / sizeof *(table))

// The sandbox ------------------------------------------------------------------

enum part {
  HAS_PROC = 1,      // a proc of its own on ROOTFS/proc, seen by the host
  HAS_OVERLAY = 2,   // an overlay, pivot_root, and the mounts below
  HAS_HOSTNAME = 4,  // a host name of its own
  HAS_LOOPBACK = 8,  // nothing but lo, and that is up
  HAS_CABLE = 16,    // a veth pair from the bridge, addresses and routes
};

static const struct mode {
  const char *name;
  unsigned long long namespaces;
  int parts;
  const char *scratch;  // what is written goes below, as a stage or hull has it
} modes[] = {
    {"chroot", 0, 0, NULL},
    {"pid", CLONE_NEWPID, HAS_PROC, NULL},
    {"overlay", CLONE_NEWPID | CLONE_NEWNS, HAS_OVERLAY, "/run/hull-floor"},
    {"network", CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET,
     HAS_OVERLAY | HAS_CABLE, "/run/hull-floor"},
    {"run",
     CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET,
     HAS_OVERLAY | HAS_HOSTNAME | HAS_LOOPBACK, "/var/lib/hull-floor"},
};

#define SAFE (MS_NOSUID | MS_NODEV | MS_NOEXEC)

// In this order: a directory has to be there before what is mounted in it.
static const struct row {
  const char *source, *target, *type;
  unsigned long flags;
  const char *data;
  mode_t make;  // mkdir the target first, with this mode
} mounts[] = {
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

// Masked: /dev/null over a file, an empty read-only tmpfs over a directory. A
// path that this kernel does not have is passed over.
static const char *const masked[] = {
    "/proc/acpi",        "/proc/asound",      "/proc/interrupts",
    "/proc/kcore",       "/proc/keys",        "/proc/latency_stats",
    "/proc/timer_list",  "/proc/timer_stats", "/proc/sched_debug",
    "/proc/scsi",        "/sys/firmware",     "/sys/devices/virtual/powercap",
};

// Read-only: a bind mount of the path on itself, then a remount.
static const char *const read_only[] = {
    "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
};

// The work ---------------------------------------------------------------------

static void check(long result, const char *what) {
  if (result >= 0) return;
  fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
  _exit(125);
}

static void fill_dev(void) {
  for (size_t i = 0; i < COUNT(nodes); i++)
    check(mknod(nodes[i].path, S_IFCHR | 0666,
                makedev(nodes[i].major, nodes[i].minor)),
          nodes[i].path);
  for (size_t i = 0; i < COUNT(links); i++)
    check(symlink(links[i][0], links[i][1]), links[i][1]);
}

static void mount_all(void) {
  for (size_t i = 0; i < COUNT(mounts); i++) {
    const struct row *row = &mounts[i];
    if (row->make) check(mkdir(row->target, row->make), row->target);
    check(mount(row->source, row->target, row->type, row->flags, row->data),
          row->target);
    if (!strcmp(row->target, "/dev")) fill_dev();
  }
}

static void protect_paths(void) {
  for (size_t i = 0; i < COUNT(masked); i++) {
    const char *path = masked[i];
    if (mount("/dev/null", path, NULL, MS_BIND, NULL) < 0 && errno == ENOTDIR)
      check(mount("tmpfs", path, "tmpfs", MS_RDONLY, "size=0k"), path);
  }
  for (size_t i = 0; i < COUNT(read_only); i++) {
    const char *path = read_only[i];
    if (mount(path, path, NULL, MS_BIND | MS_REC, NULL) < 0) continue;
    check(mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | SAFE,
                NULL),
          path);
  }
}

static void enter_overlay(const char *rootfs, const char *scratch) {
  char options[2 * PATH_MAX];
  snprintf(options, sizeof options,
           "lowerdir=%s,upperdir=%s/upper,workdir=%s/work,volatile", rootfs,
           scratch, scratch);
  check(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "private /");
  check(mount("overlay", "merged", "overlay", 0, options), "merged");
  check(chdir("merged"), "merged");
  check(syscall(SYS_pivot_root, ".", "."), "pivot_root");
  check(umount2(".", MNT_DETACH), "umount the old root");
  check(chdir("/"), "/");
  mount_all();
  protect_paths();
}

static void bring_loopback_up(void) {
  struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
  int descriptor = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  check(descriptor, "socket");
  check(ioctl(descriptor, SIOCSIFFLAGS, &request), "lo");
}

// The cable ---------------------------------------------------------------------

#define NEW (NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL)

// Messages one after the other; `message` is where the last one begins, `count` how many there are.
static struct batch {
  char bytes[2048];
  size_t length, message;
  unsigned count;
} batch;

static void *append(const void *bytes, size_t count) {
  void *place = batch.bytes + batch.length;
  memcpy(place, bytes, count);
  batch.length += NLMSG_ALIGN(count);
  ((struct nlmsghdr *)(batch.bytes + batch.message))->nlmsg_len =
      batch.length - batch.message;
  return place;
}

static void message(int type, int flags, const void *header, size_t count) {
  struct nlmsghdr start = {.nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | flags};
  batch.message = batch.length;
  batch.count++;
  append(&start, sizeof start);
  append(header, count);
}

static struct rtattr *attribute(int type, const void *value, size_t count) {
  struct rtattr start = {.rta_type = type, .rta_len = RTA_LENGTH(count)};
  struct rtattr *place = append(&start, sizeof start);
  if (count) append(value, count);
  return place;
}

static void end(struct rtattr *nest) {
  nest->rta_len = batch.bytes + batch.length - (char *)nest;
}

static void send_batch(int socket) {
  char answer[8192];
  check(send(socket, batch.bytes, batch.length, 0), "netlink");
  for (unsigned answered = 0; answered < batch.count;) {
    ssize_t got = recv(socket, answer, sizeof answer, 0);
    check(got, "netlink");
    for (struct nlmsghdr *one = (void *)answer; NLMSG_OK(one, got);
         one = NLMSG_NEXT(one, got), answered++)
      if (one->nlmsg_type == NLMSG_ERROR) {
        errno = -((struct nlmsgerr *)NLMSG_DATA(one))->error;
        check(errno ? -1 : 0, "netlink");
      }
  }
  memset(&batch, 0, sizeof batch);
}

static int netlink(void) {
  int descriptor = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  check(descriptor, "netlink");
  return descriptor;
}

static void link_message(int type, int flags, unsigned up, const char *name) {
  struct ifinfomsg header = {.ifi_flags = up, .ifi_change = IFF_UP};
  message(type, flags, &header, sizeof header);
  attribute(IFLA_IFNAME, name, strlen(name) + 1);
}

static const char *cable_name(void) {
  static char name[16];
  snprintf(name, sizeof name, "floor%d", getpid());
  return name;
}

static void lay_cable(pid_t child) {
  int descriptor = netlink(), bridge = if_nametoindex("hull0");
  struct ifinfomsg far = {0};
  check(bridge ? 0 : -1, "hull0");
  link_message(RTM_NEWLINK, NEW, IFF_UP, cable_name());
  attribute(IFLA_MASTER, &bridge, sizeof bridge);
  struct rtattr *info = attribute(IFLA_LINKINFO, NULL, 0);
  attribute(IFLA_INFO_KIND, "veth", 5);
  struct rtattr *data = attribute(IFLA_INFO_DATA, NULL, 0);
  struct rtattr *peer = attribute(VETH_INFO_PEER, NULL, 0);
  append(&far, sizeof far);
  attribute(IFLA_IFNAME, "eth0", 5);
  attribute(IFLA_NET_NS_PID, &child, sizeof child);
  end(peer);
  end(data);
  end(info);
  send_batch(descriptor);
  close(descriptor);
}

static void add_address(int family, const char *text, int prefix) {
  char bytes[16];
  int size = family == AF_INET ? 4 : 16;
  struct ifaddrmsg header = {.ifa_family = family, .ifa_prefixlen = prefix,
                             .ifa_flags = family == AF_INET6 ? IFA_F_NODAD : 0,
                             .ifa_index = if_nametoindex("eth0")};
  inet_pton(family, text, bytes);
  message(RTM_NEWADDR, NEW, &header, sizeof header);
  attribute(IFA_LOCAL, bytes, size);
  attribute(IFA_ADDRESS, bytes, size);
}

static void add_route(int family, const char *gateway) {
  char bytes[16];
  struct rtmsg header = {.rtm_family = family, .rtm_table = RT_TABLE_MAIN,
                         .rtm_protocol = RTPROT_STATIC, .rtm_type = RTN_UNICAST};
  inet_pton(family, gateway, bytes);
  message(RTM_NEWROUTE, NEW, &header, sizeof header);
  attribute(RTA_GATEWAY, bytes, family == AF_INET ? 4 : 16);
}

static void set_up_cable(void) {
  int descriptor = netlink();
  link_message(RTM_NEWLINK, NLM_F_ACK, IFF_UP, "lo");
  link_message(RTM_NEWLINK, NLM_F_ACK, IFF_UP, "eth0");
  add_address(AF_INET, "10.77.200.200", 16);
  add_address(AF_INET6, "fd68:756c:6c::c8c8", 64);
  add_route(AF_INET, "10.77.0.1");
  add_route(AF_INET6, "fd68:756c:6c::1");
  send_batch(descriptor);
}

// The pair itself goes with the namespace; it may have gone.
static void unplug(void) {
  int descriptor = netlink(), nothing = 0;
  char answer[1024];
  link_message(RTM_NEWLINK, NLM_F_ACK, 0, cable_name());
  attribute(IFLA_MASTER, &nothing, sizeof nothing);
  check(send(descriptor, batch.bytes, batch.length, 0), "netlink");
  check(recv(descriptor, answer, sizeof answer, 0), "netlink");
}

static void mount_visible_proc(const char *rootfs) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/proc", rootfs);
  check(mount("proc", path, "proc", SAFE, NULL), path);
}

static int go[2];

static void enter(const struct mode *mode, const char *rootfs,
                  const char *scratch, char **command) {
  char *environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  umask(0);
  if (mode->parts & HAS_CABLE) {
    char word;
    close(go[1]);
    check(read(go[0], &word, 1) == 1 ? 0 : -1, "go");
  }
  if (mode->parts & HAS_PROC) mount_visible_proc(rootfs);
  if (mode->parts & HAS_HOSTNAME) check(sethostname("floor", 5), "hostname");
  if (mode->parts & HAS_LOOPBACK) bring_loopback_up();
  if (mode->parts & HAS_CABLE) set_up_cable();
  if (mode->parts & HAS_OVERLAY) {
    enter_overlay(rootfs, scratch);
  } else {
    check(chroot(rootfs), rootfs);
    check(chdir("/"), "/");
  }
  execve(command[0], command, environment);
  check(-1, command[0]);
}

static void make_scratch(const char *parent, char *scratch, size_t size) {
  snprintf(scratch, size, "%s/%d", parent, getpid());
  mkdir(parent, 0700);
  check(mkdir(scratch, 0700), scratch);
  check(chdir(scratch), scratch);
  check(mkdir("upper", 0755), "upper");
  check(mkdir("work", 0755), "work");
  check(mkdir("merged", 0755), "merged");
}

// What a volatile overlay leaves in its work directory, and what we made. The
// command of the bench writes nothing, so upper is empty.
static void remove_scratch(const char *scratch) {
  static const char *const leftovers[] = {
      "work/work/incompat/volatile", "work/work/incompat", "work/work",
      "work", "upper", "merged",
  };
  unlink("work/work/incompat/volatile/dirty");
  for (size_t i = 0; i < COUNT(leftovers); i++) rmdir(leftovers[i]);
  check(rmdir(scratch), scratch);
}

static const struct mode *mode_named(const char *name) {
  for (size_t i = 0; i < COUNT(modes); i++)
    if (!strcmp(modes[i].name, name)) return &modes[i];
  return NULL;
}

int main(int argc, char **argv) {
  char rootfs[PATH_MAX], scratch[64];
  const struct mode *mode = argc > 3 ? mode_named(argv[1]) : NULL;
  if (!mode) {
    fputs("Usage: floor chroot|pid|overlay|network|run ROOTFS COMMAND [ARG…]\n", stderr);
    return 125;
  }
  check(realpath(argv[2], rootfs) ? 0 : -1, argv[2]);
  if (mode->parts & HAS_OVERLAY) make_scratch(mode->scratch, scratch, sizeof scratch);

  if (mode->parts & HAS_CABLE) check(pipe2(go, O_CLOEXEC), "pipe");

  struct clone_args arguments = {.flags = mode->namespaces,
                                 .exit_signal = SIGCHLD};
  pid_t child = syscall(SYS_clone3, &arguments, sizeof arguments);
  check(child, "clone3");
  if (child == 0) enter(mode, rootfs, scratch, argv + 3);

  if (mode->parts & HAS_CABLE) {
    lay_cable(child);
    check(write(go[1], "g", 1), "go");
  }

  int status;
  check(waitpid(child, &status, 0), "waitpid");
  if (mode->parts & HAS_OVERLAY) remove_scratch(scratch);
  if (mode->parts & HAS_CABLE) unplug();
  if (mode->parts & HAS_PROC) {
    strcat(rootfs, "/proc");
    check(umount2(rootfs, 0), rootfs);
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
