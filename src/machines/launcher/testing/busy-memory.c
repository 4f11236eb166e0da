/*
 * In the place of a VMM whose guest is busy: memory as a clone's is (a private mapping of a sealed file) or, with an argument,
 * as that of a machine that went on from a copy (a file's of its own), which it goes on writing from one end to the other,
 * a word in each page. Prints where it lies, and again after each round.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { page = 4096, pages = 16384, begun = pages / 2, busy = pages * 3 / 4 };

int main(int count, char **arguments)
{
  int file = memfd_create("memory", MFD_ALLOW_SEALING);
  if (file < 0 || ftruncate(file, (off_t)pages * page) != 0) return 1;
  char *all = mmap(NULL, (size_t)pages * page, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  for (int at = 0; at < begun; at += 1) memset(all + (size_t)at * page, 'b', page);
  if (count == 1) {
    munmap(all, (size_t)pages * page);
    if (fcntl(file, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) return 1;
    all = mmap(NULL, (size_t)pages * page, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
  }
  (void)arguments;
  for (uint64_t round = 1;; round += 1) {
    for (int at = 0; at < busy; at += 1) *(volatile uint64_t *)(all + (size_t)at * page) = round;
    if (printf("%llx\n", (unsigned long long)(uintptr_t)all) < 0 || fflush(stdout) != 0) return 1;
  }
}
