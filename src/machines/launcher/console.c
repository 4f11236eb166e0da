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

/* What another machine's console printed up to now: a clone has its template's past. Without it the ring begins empty. */
static void begin_with(const char *path)
{
  char bytes[16384];
  int before = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (before < 0) return;
  if (read(before, bytes, head_bytes) == head_bytes && memcmp(bytes, "STRATARG", 8) == 0) {
    memcpy(&total, bytes + 8, sizeof total);
    off_t at = head_bytes;
    for (ssize_t count; at < head_bytes + ring_bytes && (count = read(before, bytes, sizeof bytes)) > 0; at += count) if (pwrite(ring, bytes, (size_t)count, at) < 0) break;
    if (pwrite(ring, &total, 8, 8) < 0) total = 0;
  }
  close(before);
}

void open_ring(const char *before)
{
  ring = open("console", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (ring < 0 || pwrite(ring, "STRATARG", 8, 0) != 8 || pwrite(ring, &total, 8, 8) != 8) fail("cannot make the console's ring");
  if (before != NULL) begin_with(before);
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
