// Where hull-runtime and hull begin, before the C library and Swift do.
//
// Their program file must be out of the container's reach (CVE-2019-5736; see
// Sources/Isolation/RuntimeProgram.swift): a program executes itself once more, through a
// mount of its own that is read-only. The two libraries take two thirds of a millisecond to
// start, an eighth of what a whole container takes, and would do so twice. So this is done by the
// very first instructions, with system calls and nothing else.
//
// Package.swift makes `start_out_of_reach` the entry point in place of `_start`. Whatever goes
// wrong here is left to RuntimeProgram, which tries again and can say what it was.
#define _GNU_SOURCE
#include <asm/unistd.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stddef.h>
#include <sys/statfs.h>

#include "CLinux.h"

#define READ_ONLY 1  // ST_RDONLY of statvfs(3)

// There is no stack guard and no instrumentation before the libraries have started.
#define EARLY __attribute__((no_stack_protector, used))

EARLY static long call(long number, long a, long b, long c, long d, long e) {
#if defined(__x86_64__)
  register long fourth __asm__("r10") = d;
  register long fifth __asm__("r8") = e;
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth)
                   : "rcx", "r11", "memory");
  return result;
#elif defined(__aarch64__)
  register long which __asm__("x8") = number;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  register long x4 __asm__("x4") = e;
  __asm__ volatile("svc 0"
                   : "+r"(x0)
                   : "r"(which), "r"(x1), "r"(x2), "r"(x3), "r"(x4)
                   : "memory");
  return x0;
#endif
}

EARLY static int is(const char *word, const char *other) {
  while (*word && *word == *other) word++, other++;
  return *word == *other;
}

// Whether a word is `--explain`, or as much of it as tells it from others, or that with a format.
EARLY static int is_explain(const char *word) {
  const char *option = "--explain";
  int length = 0;
  while (*word && *word == *option) word++, option++, length++;
  return length > 3 && (*word == 0 || *word == '=');
}

// Of the commands, these let a container's process run our program.
EARLY static int enters_container(char **argv) {
  int enters = 0;
  for (; *argv; argv++) {
    if (is(*argv, "run") || is(*argv, "create") || is(*argv, "exec")) enters = 1;
    // That is left to RuntimeProgram: nobody can tell anything from here.
    if (is_explain(*argv)) return 0;
  }
  return enters;
}

static int out_of_reach;

int program_is_out_of_reach(void) { return out_of_reach; }

// book: begin early-start
EARLY void go_out_of_reach(long *stack) {
  char **argv = (char **)(stack + 1);
  char **environment = argv + *stack + 1;
  struct statfs status;
  struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY};
  if (!enters_container(argv)) return;
  long program = call(__NR_openat, AT_FDCWD, (long)"/proc/self/exe", O_RDONLY | O_CLOEXEC, 0, 0);
  if (program < 0) return;
  long failed = call(__NR_fstatfs, program, (long)&status, 0, 0, 0);
  out_of_reach = !failed && status.f_flags & READ_ONLY;
  if (!failed && !out_of_reach) {
    long mount = call(__NR_open_tree, program, (long)"",
                      OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH, 0, 0);
    if (mount >= 0) {
      if (call(__NR_mount_setattr, mount, (long)"", AT_EMPTY_PATH, (long)&attributes,
               sizeof attributes) == 0)
        call(__NR_execveat, mount, (long)"", (long)argv, (long)environment, AT_EMPTY_PATH);
      call(__NR_close, mount, 0, 0, 0, 0);
    }
  }
  call(__NR_close, program, 0, 0, 0, 0);
}
// book: end early-start

// The kernel hands over a stack with the arguments on it, which `_start` is to find as it was.
#if defined(__x86_64__)
__asm__(
    ".globl start_out_of_reach\n"
    ".type start_out_of_reach, @function\n"
    "start_out_of_reach:\n"
    "  mov %rsp, %rdi\n"
    "  mov %rsp, %rbx\n"
    "  mov %rdx, %r12\n"
    "  and $-16, %rsp\n"
    "  call go_out_of_reach\n"
    "  mov %rbx, %rsp\n"
    "  mov %r12, %rdx\n"
    "  jmp _start\n");
#elif defined(__aarch64__)
__asm__(
    ".globl start_out_of_reach\n"
    ".type start_out_of_reach, @function\n"
    "start_out_of_reach:\n"
    "  mov x19, x0\n"
    "  mov x0, sp\n"
    "  bl go_out_of_reach\n"
    "  mov x0, x19\n"
    "  b _start\n");
#endif
