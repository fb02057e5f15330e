// Debian: libjansson-dev
#include <jansson.h>
