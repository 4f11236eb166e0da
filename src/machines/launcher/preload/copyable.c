/*
 * Loaded into a VMM that may be copied while it runs: it begins with a descriptor by which the launcher sees what is written of
 * its memory (written-pages.c). Made before QEMU's seccomp filter is there.
 */
#define _GNU_SOURCE
#include "../written-pages.h"
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of headers newer than the oldest that this is compiled with. */
enum { user_faults_only = 1, of_files = 1 << 12, of_holes = 1 << 13, asynchronous = 1 << 15 };

int make_tracker(void)
{
  int tracker = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | user_faults_only);
  if (tracker < 0) return -1;
  struct uffdio_api api = { .api = UFFD_API, .features = of_files | of_holes | asynchronous };
  if (ioctl(tracker, UFFDIO_API, &api) == 0) return tracker;
  close(tracker);
  return -1;
}

/* Nobody in the VMM needs to know its number. */
__attribute__((constructor)) static void begin(void) { make_tracker(); }
