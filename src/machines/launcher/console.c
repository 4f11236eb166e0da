/*
 * The console's ring: the file `console` of at most 1 MiB. 16 bytes of head (magic, count of all bytes ever printed,
 * little endian), then a circle of the last bytes. read-console-ring.ts reads it.
 */
#include "launcher.h"
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

enum { head_bytes = 16, ring_bytes = 1024 * 1024 - head_bytes };
static int ring = -1;
static uint64_t total;

void open_ring(void)
{
  ring = open("console", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (ring < 0 || pwrite(ring, "STRATARG", 8, 0) != 8 || pwrite(ring, &total, 8, 8) != 8) fail("cannot make the console's ring");
}

/* A full disk loses console bytes, never the machine. */
void add_to_ring(const char *bytes, size_t count)
{
  while (count > 0) {
    size_t at = (size_t)(total % ring_bytes);
    size_t part = count < ring_bytes - at ? count : ring_bytes - at;
    if (pwrite(ring, bytes, part, (off_t)(head_bytes + at)) < 0) return;
    bytes += part;
    count -= part;
    total += part;
  }
  if (pwrite(ring, &total, 8, 8) < 0) return;
}
