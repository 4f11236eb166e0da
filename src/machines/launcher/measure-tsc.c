/*
 * How fast the host's time-stamp counter runs. QEMU without KVM hands that counter to guests as it is, and a guest that has
 * to find its speed out by itself, while others have the processor, can be wrong many times over. What /proc/cpuinfo says
 * is the processor's speed, which is another figure.
 */
#include "launcher.h"
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#ifdef __x86_64__
#include <x86intrin.h>

enum { tries = 50, window_ns = 20 * 1000 * 1000 };

struct moment { int64_t ns; uint64_t ticks; };

static int64_t raw_ns(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC_RAW, &now); // the adjusted one runs at another speed
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* The try that took the shortest is one that nobody broke into: its two readings belong together. */
static struct moment read_moment(void)
{
  struct moment best = { 0, 0 };
  int64_t shortest = INT64_MAX;
  for (int at = 0; at < tries; at++) {
    int64_t before = raw_ns();
    uint64_t ticks = __rdtsc();
    int64_t after = raw_ns();
    if (after - before >= shortest) continue;
    shortest = after - before;
    best = (struct moment){ before + (after - before) / 2, ticks };
  }
  return best;
}

int measure_tsc(void)
{
  struct moment first = read_moment();
  struct timespec pause = { 0, window_ns };
  nanosleep(&pause, NULL); // cut short by a signal: the window is shorter, and still measured
  struct moment second = read_moment();
  int64_t ns = second.ns - first.ns;
  errno = 0;
  if (ns <= 0 || second.ticks <= first.ticks) fail("the time-stamp counter does not count");
  printf("%llu\n", (unsigned long long)((double)(second.ticks - first.ticks) * 1e6 / (double)ns + 0.5));
  return 0;
}
#else
int measure_tsc(void)
{
  errno = 0;
  fail("this processor has no time-stamp counter");
}
#endif
