/*
 * Loaded into a VMM that goes on from a state, whose start is half page faults otherwise: one heap for all of its threads, which
 * grows in large steps, and what is freed in it is used again and not given back.
 */
#include <malloc.h>

enum { MiB = 1024 * 1024 };

__attribute__((constructor)) static void keep_heap(void)
{
  mallopt(M_ARENA_MAX, 1);
  mallopt(M_TOP_PAD, 4 * MiB);
  mallopt(M_MMAP_THRESHOLD, 64 * MiB);
  mallopt(M_TRIM_THRESHOLD, 256 * MiB);
}

/*
 * In the place of the C library's. QEMU calls it each time it has freed something behind its readers' backs, dozens of times while
 * it takes a state: each is a look through the whole heap, a flush on all processors, and faults for the same pages a moment later.
 */
__attribute__((visibility("default"))) int malloc_trim(size_t pad)
{
  (void)pad;
  return 0;
}
