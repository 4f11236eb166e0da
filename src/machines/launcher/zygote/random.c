/*
 * QEMU gives its guests random numbers (virtio-rng, and under translation RDRAND and RDSEED) from GnuTLS, whose generator
 * lies in the process's memory: all copies would give the same ones. GnuTLS begins anew where a process was forked, but
 * hears of that from fork(3) only. So the kernel's numbers take the place of its own, in the zygote and in its copies.
 */
#include "zygote.h"
#include <errno.h>
#include <sys/random.h>
#include <unistd.h>

/* Declared as in gnutls/crypto.h; never fails, as the kernel's generator is ready before anything of ours runs. */
IN_ITS_PLACE int gnutls_rnd(int level, void *data, size_t size)
{
  (void)level;
  for (char *at = data; size > 0;) {
    ssize_t count = getrandom(at, size, 0);
    if (count < 0 && errno != EINTR) _exit(1);
    if (count > 0) { at += count; size -= (size_t)count; }
  }
  return 0;
}
