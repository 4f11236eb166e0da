/* A tap remembers what QEMU told it once, when the zygote was made; a copy's own tap must be told the same. */
#include "zygote.h"
#include <errno.h>
#include <linux/if_tun.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static unsigned long offload;
static int header_size, send_buffer;
static bool has_offload;

IN_ITS_PLACE int ioctl(int fd, unsigned long request, ...)
{
  va_list rest;
  va_start(rest, request);
  void *argument = va_arg(rest, void *);
  va_end(rest);
  if (request == TUNSETOFFLOAD) {
    offload = (unsigned long)argument;
    has_offload = true;
  }
  if (request == TUNSETVNETHDRSZ) header_size = *(int *)argument;
  if (request == TUNSETSNDBUF) send_buffer = *(int *)argument;
  return (int)syscall(SYS_ioctl, fd, request, argument);
}

/* Fine where it is no tap. */
void set_up_tap(int tap)
{
  struct stat status;
  if (fstat(tap, &status) != 0 || !S_ISCHR(status.st_mode) || status.st_rdev != makedev(10, 200)) return;
  if (header_size != 0 && syscall(SYS_ioctl, tap, TUNSETVNETHDRSZ, &header_size) != 0) fail("TUNSETVNETHDRSZ");
  if (send_buffer != 0 && syscall(SYS_ioctl, tap, TUNSETSNDBUF, &send_buffer) != 0) fail("TUNSETSNDBUF");
  // Without it the host cuts packets before it hands them over.
  if (has_offload && syscall(SYS_ioctl, tap, TUNSETOFFLOAD, offload) != 0) errno = 0;
}
