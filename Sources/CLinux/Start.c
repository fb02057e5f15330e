#include "CLinux.h"

#include <stdlib.h>
#include <string.h>

// What a static Swift program lacks in a root file system without /proc.
//
// Swift's runtime finds its own directory, and CommandLine its arguments, through
// /proc/self. Without it the one aborts before main and the other is empty. The
// C library knows better: it hands the arguments to every constructor, and this
// one runs before the runtime's, which have no priority.

static int count;
static char **values;
static int root_is_lent;

__attribute__((constructor(101))) static void before_swift(int argc,
                                                           char **argv) {
  count = argc;
  values = argv;
  // The runtime asks nothing where this is set. There are no files of Swift's
  // that a static program could need.
  root_is_lent = getenv("SWIFT_ROOT") == NULL;
  if (root_is_lent) setenv("SWIFT_ROOT", "/", 0);
}

int program_argument_count(void) { return count; }

const char *program_argument(int index) { return values[index]; }

void return_lent_environment(void) {
  if (root_is_lent) unsetenv("SWIFT_ROOT");
}
