// Debian: libisal-dev
#include <isa-l/igzip_lib.h>
