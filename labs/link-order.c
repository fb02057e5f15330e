// Prints which functions a static program executes, in the order in which it first gets there: one
// address a line, of the program and of what it clones, up to their execve(2).
//
//     link-order FILE FUNCTIONS COMMAND [ARG…]
//
// FUNCTIONS has the addresses of all there are. A breakpoint is put on each, and taken off when
// somebody comes by. See `ptrace(2)`, and `proc(5)` on /proc/PID/mem, which lets a tracer write
// where the program itself may only read.
#define _GNU_SOURCE
#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__)
static const unsigned char trap[] = {0xcc};  // int3
#define COUNTER rip
#define BEHIND 1  // it stands behind the instruction that stopped it
#elif defined(__aarch64__)
static const unsigned char trap[] = {0x00, 0x00, 0x20, 0xd4};  // brk #0
#define COUNTER pc
#define BEHIND 0
#endif

struct function {
  unsigned long place;
  unsigned char original[sizeof trap];
  int seen;
};
static struct function *functions;
static size_t count;

static int by_place(const void *a, const void *b) {
  unsigned long x = ((const struct function *)a)->place, y = ((const struct function *)b)->place;
  return (x > y) - (x < y);
}

static void read_functions(const char *path) {
  FILE *file = fopen(path, "re");
  unsigned long place;
  if (!file) exit(125);
  while (fscanf(file, "%lx", &place) == 1) {
    functions = realloc(functions, (count + 1) * sizeof *functions);
    functions[count++] = (struct function){.place = place};
  }
  fclose(file);
  qsort(functions, count, sizeof *functions, by_place);
}

static int memory_of(pid_t process) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/mem", process);
  return open(path, O_RDWR | O_CLOEXEC);
}

// All at once: they lie close together.
static void set_breakpoints(pid_t process) {
  unsigned long start = functions[0].place;
  size_t length = functions[count - 1].place + sizeof trap - start;
  unsigned char *text = malloc(length);
  int memory = memory_of(process);
  if (pread(memory, text, length, start) != (ssize_t)length) exit(125);
  for (size_t i = 0; i < count; i++)
    memcpy(functions[i].original, text + functions[i].place - start, sizeof trap);
  for (size_t i = 0; i < count; i++) memcpy(text + functions[i].place - start, trap, sizeof trap);
  if (pwrite(memory, text, length, start) != (ssize_t)length) exit(125);
  close(memory);
  free(text);
}

static void pass_breakpoint(pid_t process, FILE *output) {
  struct user_regs_struct registers;
  struct iovec all = {&registers, sizeof registers};
  if (ptrace(PTRACE_GETREGSET, process, NT_PRSTATUS, &all) < 0) return;
  struct function key = {.place = registers.COUNTER - BEHIND};
  struct function *here = bsearch(&key, functions, count, sizeof key, by_place);
  if (!here) return;
  if (!here->seen) fprintf(output, "%016lx\n", here->place);
  here->seen = 1;
  int memory = memory_of(process);
  if (pwrite(memory, here->original, sizeof trap, here->place) != sizeof trap) exit(125);
  close(memory);
  registers.COUNTER = here->place;
  ptrace(PTRACE_SETREGSET, process, NT_PRSTATUS, &all);
}

int main(int argc, char **argv) {
  FILE *output = argc > 3 ? fopen(argv[1], "we") : NULL;
  int status, code = 125;
  if (!output) return 125;
  read_functions(argv[2]);
  pid_t program = fork(), process;
  if (program == 0) {
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    execvp(argv[3], argv + 3);
    _exit(127);
  }
  waitpid(program, &status, 0);
  ptrace(PTRACE_SETOPTIONS, program, 0,
         PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC);
  ptrace(PTRACE_CONT, program, 0, 0);
  while ((process = waitpid(-1, &status, __WALL)) > 0) {
    if (!WIFSTOPPED(status)) {
      if (process != program) continue;
      // Whatever it leaves behind ends at its next breakpoint.
      code = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
      break;
    }
    int signal = WSTOPSIG(status), event = status >> 16;
    // What a clone executes is not this program any more.
    if (event == PTRACE_EVENT_EXEC && process != program) {
      ptrace(PTRACE_DETACH, process, 0, 0);
      continue;
    }
    if (event == PTRACE_EVENT_EXEC) set_breakpoints(process);
    if (signal == SIGTRAP && !event) pass_breakpoint(process, output);
    // A new clone begins with a SIGSTOP that is not meant for it.
    if (signal == SIGTRAP || signal == SIGSTOP) signal = 0;
    ptrace(PTRACE_CONT, process, 0, signal);
  }
  return fclose(output) ? 125 : code;
}
