// The floor's network: what one more container on a bridge needs of netlink(7). Four messages
// to ask, one to lay the cable, one for everything inside, one to pull the plug.
#define _GNU_SOURCE
#include "floor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

// The bridge, as Sources/Isolation/NetworkSettings.swift has it.
#define BRIDGE "hull0"
#define GATEWAY "10.77.0.1"
#define GATEWAY6 "fd68:756c:6c::1"

static char cable[IFNAMSIZ], address[INET_ADDRSTRLEN], address6[INET6_ADDRSTRLEN];

// Messages ---------------------------------------------------------------------

static char buffer[4096];  // one or more messages, on their way
static size_t used;
static int expected;  // answers
static struct nlmsghdr *message;

static void *append(const void *bytes, size_t size) {
  void *place = buffer + used;
  if (bytes) memcpy(place, bytes, size);
  used += NLMSG_ALIGN(size);
  message->nlmsg_len = buffer + used - (char *)message;
  return place;
}

static void begin(int type, int flags, const void *header, size_t size) {
  message = (struct nlmsghdr *)(buffer + used);
  used += NLMSG_HDRLEN;
  *message = (struct nlmsghdr){.nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | flags};
  append(header, size);
  if (flags & NLM_F_ACK) expected++;
}

static struct rtattr *attribute(int type, const void *bytes, size_t size) {
  struct rtattr head = {.rta_type = type, .rta_len = RTA_LENGTH(size)};
  struct rtattr *place = append(&head, sizeof head);
  if (size) append(bytes, size);
  return place;
}

static void text(int type, const char *string) {
  attribute(type, string, strlen(string) + 1);
}

static void number(int type, int value) { attribute(type, &value, sizeof value); }

static void end_nested(struct rtattr *nested) {
  nested->rta_len = buffer + used - (char *)nested;
}

#define NEW (NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL)

static void link_message(int type, int flags, int up, const char *name) {
  struct ifinfomsg header = {.ifi_change = up < 0 ? 0 : IFF_UP,
                             .ifi_flags = up > 0 ? IFF_UP : 0};
  begin(type, flags, &header, sizeof header);
  text(IFLA_IFNAME, name);
}

static int open_socket(void) {
  int descriptor = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  check(descriptor, "socket");
  return descriptor;
}

// Sends what was built and waits until the kernel has done it. ENODEV may be
// the answer: a cable goes with the namespace of either end.
static void exchange(int descriptor, const char *what) {
  char answers[16384];
  check(send(descriptor, buffer, used, 0), what);
  used = 0;
  while (expected > 0) {
    ssize_t left = recv(descriptor, answers, sizeof answers, 0);
    check(left, what);
    for (struct nlmsghdr *answer = (struct nlmsghdr *)answers; NLMSG_OK(answer, left);
         answer = NLMSG_NEXT(answer, left)) {
      struct nlmsgerr *error = NLMSG_DATA(answer);
      expected--;
      errno = -error->error;
      if (error->error && errno != ENODEV) check(-1, what);
    }
  }
}

static int index_of(int descriptor, const char *name) {
  char answer[16384];
  link_message(RTM_GETLINK, 0, -1, name);
  check(send(descriptor, buffer, used, 0), name);
  used = 0;
  check(recv(descriptor, answer, sizeof answer, 0), name);
  struct nlmsghdr *head = (struct nlmsghdr *)answer;
  if (head->nlmsg_type != RTM_NEWLINK) {
    errno = ENODEV;
    check(-1, name);
  }
  return ((struct ifinfomsg *)NLMSG_DATA(head))->ifi_index;
}

// The work ---------------------------------------------------------------------

// Hull takes the next free address; this one takes one that is free in a bench.
void choose_address(void) {
  int process = getpid();
  snprintf(cable, sizeof cable, "floor%d", process);
  snprintf(address, sizeof address, "10.77.%d.%d", 100 + process / 200 % 100, process % 200 + 10);
  snprintf(address6, sizeof address6, "fd68:756c:6c::%x:%x", 100 + process / 200 % 100,
           process % 200 + 10);
}

void plug_in(pid_t child) {
  struct ifinfomsg far_end = {0};
  int descriptor = open_socket();
  int bridge = index_of(descriptor, BRIDGE);
  link_message(RTM_NEWLINK, NEW, 1, cable);
  number(IFLA_MASTER, bridge);
  struct rtattr *info = attribute(IFLA_LINKINFO, NULL, 0);
  text(IFLA_INFO_KIND, "veth");
  struct rtattr *data = attribute(IFLA_INFO_DATA, NULL, 0);
  struct rtattr *peer = attribute(VETH_INFO_PEER, NULL, 0);
  append(&far_end, sizeof far_end);
  text(IFLA_IFNAME, "eth0");
  number(IFLA_NET_NS_PID, child);
  end_nested(peer);
  end_nested(data);
  end_nested(info);
  exchange(descriptor, "veth");
  close(descriptor);
}

static void add_address(int family, const char *text, int prefix, int link) {
  unsigned char bytes[16];
  size_t size = family == AF_INET ? 4 : 16;
  struct ifaddrmsg header = {.ifa_family = family, .ifa_prefixlen = prefix, .ifa_index = link};
  if (family == AF_INET6) header.ifa_flags = IFA_F_NODAD;
  inet_pton(family, text, bytes);
  begin(RTM_NEWADDR, NEW, &header, sizeof header);
  attribute(IFA_LOCAL, bytes, size);
  attribute(IFA_ADDRESS, bytes, size);
}

static void add_default_route(int family, const char *gateway) {
  unsigned char bytes[16];
  struct rtmsg header = {.rtm_family = family, .rtm_table = RT_TABLE_MAIN,
                         .rtm_protocol = RTPROT_STATIC, .rtm_scope = RT_SCOPE_UNIVERSE,
                         .rtm_type = RTN_UNICAST};
  inet_pton(family, gateway, bytes);
  begin(RTM_NEWROUTE, NEW, &header, sizeof header);
  attribute(RTA_GATEWAY, bytes, family == AF_INET ? 4 : 16);
}

void enter_network(void) {
  int descriptor = open_socket();
  int link = index_of(descriptor, "eth0");
  write_file("/proc/sys/net/ipv6/conf/eth0/accept_ra", "0", 0);
  link_message(RTM_NEWLINK, NLM_F_ACK, 1, "lo");
  link_message(RTM_NEWLINK, NLM_F_ACK, 1, "eth0");
  add_address(AF_INET, address, 16, link);
  add_address(AF_INET6, address6, 64, link);
  add_default_route(AF_INET, GATEWAY);
  add_default_route(AF_INET6, GATEWAY6);
  exchange(descriptor, "addresses and routes");
  close(descriptor);
}

void unplug(void) {
  int descriptor = open_socket();
  link_message(RTM_NEWLINK, NLM_F_ACK, 0, cable);
  number(IFLA_MASTER, 0);
  exchange(descriptor, "unplug");
  close(descriptor);
}

void bring_loopback_up(void) {
  int descriptor = open_socket();
  link_message(RTM_NEWLINK, NLM_F_ACK, 1, "lo");
  exchange(descriptor, "lo");
  close(descriptor);
}
