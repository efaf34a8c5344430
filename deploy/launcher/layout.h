/* How the packed file ends; deploy/build/static.ts writes the same. */
#include <stdint.h>

enum { most_parts = 8 };

/* A whole file inside the packed one, at a multiple of the largest page (64 KiB). */
struct part {
  char name[32];
  uint64_t offset, bytes;
};

/* The last bytes: the program, the loader, then the libraries. */
struct index {
  struct part parts[most_parts];
  uint64_t count, magic;
};

#define INDEX_MAGIC 0x316b636170696c63ul /* "clipack1", as a number */

/* Bun runs 256 fetches at once unless this was set when the process began. */
#define FETCH_CAP "BUN_CONFIG_MAX_HTTP_REQUESTS=65535"
