/*
 * The guest's memory of a zygote, which is a private mapping of its template's. Where that has holes the kernel fills the file
 * first and copies then, with each page that a copy touches: the template would grow to the size of its machines, and each
 * first touch take a quarter longer. So holes are laid over with memory of nobody's, which copies touch as their own.
 */
#include "zygote.h"
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { least = 1024 * 1024, max_laid = 64 /* each is a mapping more to copy */, seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW };

struct mapping { uintptr_t start, end; off_t offset; dev_t device; ino_t inode; };

static bool read_mapping(const char *line, struct mapping *found)
{
  unsigned long long start, end, offset, inode;
  unsigned major_number, minor_number;
  char rights[8];
  if (strstr(line, "/memfd:") == NULL || sscanf(line, "%llx-%llx %7s %llx %x:%x %llu", &start, &end, rights, &offset, &major_number, &minor_number, &inode) != 7) return false;
  *found = (struct mapping){ (uintptr_t)start, (uintptr_t)end, (off_t)offset, makedev(major_number, minor_number), (ino_t)inode };
  return same(rights, "rw-p");
}

/* Nobody has touched what is a hole of the file: who reads or writes there fills it. */
static int lay_mapping(const struct mapping *mapping, int file, int left)
{
  const off_t end = mapping->offset + (off_t)(mapping->end - mapping->start);
  int laid = 0;
  for (off_t at = mapping->offset; at < end && laid < left;) {
    off_t hole = lseek(file, at, SEEK_HOLE), data = hole < 0 || hole >= end ? -1 : lseek(file, hole, SEEK_DATA);
    if (hole < 0 || hole >= end) break;
    if (data < 0 || data > end) data = end; // there is no data behind it
    at = data;
    if (data - hole < least) continue;
    if (mmap((void *)(mapping->start + (uintptr_t)(hole - mapping->offset)), (size_t)(data - hole), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) == MAP_FAILED) break;
    laid += 1;
  }
  return laid;
}

/* While all other threads stand still. Again is fine: what was laid over is no file's any more. */
void lay_holes(void)
{
  static struct mapping all[16];
  char line[512];
  int count = 0, laid = 0;
  FILE *maps = fopen("/proc/self/maps", "re");
  if (maps == NULL) return;
  while (count < 16 && fgets(line, sizeof line, maps) != NULL) if (read_mapping(line, &all[count])) count += 1;
  fclose(maps);
  for (int at = 0; at < count; at += 1) {
    int file = file_of(all[at].device, all[at].inode);
    if (file >= 0 && (fcntl(file, F_GET_SEALS) & seals) == seals) laid += lay_mapping(&all[at], file, max_laid - laid);
  }
  errno = 0;
}
