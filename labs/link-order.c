// Prints where a static program executes, in the order in which it first gets there: one address a
// line, of the program and of what it clones, up to their execve(2).
//
//     link-order FILE COMMAND [ARG…]
//
// It goes instruction by instruction. See `ptrace(2)`, PTRACE_SINGLESTEP.
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <elf.h>

#define HIGHEST (64UL << 20)  // static programs are far below
static unsigned char seen[HIGHEST / 4];

static unsigned long place_of(pid_t process) {
  struct user_regs_struct registers;
  struct iovec all = {&registers, sizeof registers};
  if (ptrace(PTRACE_GETREGSET, process, NT_PRSTATUS, &all) < 0) return HIGHEST;
#if defined(__x86_64__)
  return registers.rip;
#elif defined(__aarch64__)
  return registers.pc;
#endif
}

static void note(FILE *output, unsigned long place) {
  if (place >= HIGHEST || seen[place / 4]) return;
  seen[place / 4] = 1;
  fprintf(output, "%016lx\n", place);
}

int main(int argc, char **argv) {
  FILE *output = argc > 2 ? fopen(argv[1], "we") : NULL;
  int status, code = 125;
  if (!output) return 125;
  pid_t program = fork(), process;
  if (program == 0) {
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    execvp(argv[2], argv + 2);
    _exit(127);
  }
  waitpid(program, &status, 0);
  ptrace(PTRACE_SETOPTIONS, program, 0,
         PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC);
  ptrace(PTRACE_SINGLESTEP, program, 0, 0);
  while ((process = waitpid(-1, &status, __WALL)) > 0) {
    if (!WIFSTOPPED(status)) {
      if (process != program) continue;
      // Whatever it leaves behind goes on by itself when its tracer ends.
      code = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
      break;
    }
    int signal = WSTOPSIG(status), event = status >> 16;
    // What a clone executes is not this program any more.
    if (event == PTRACE_EVENT_EXEC && process != program) {
      ptrace(PTRACE_DETACH, process, 0, 0);
      continue;
    }
    if (signal == SIGTRAP && !event) note(output, place_of(process));
    // A new clone begins with a SIGSTOP that is not meant for it.
    if (signal == SIGTRAP || signal == SIGSTOP) signal = 0;
    ptrace(PTRACE_SINGLESTEP, process, 0, signal);
  }
  return fclose(output) ? 125 : code;
}
