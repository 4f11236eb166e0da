/*
 * Which pages of a VMM's memory were written since somebody last looked, so that most of it can be copied while it runs.
 * The kernel tells that of memory a userfaultfd(2) of the process write-protects (UFFD_FEATURE_WP_ASYNC; PAGEMAP_SCAN
 * in Documentation/admin-guide/mm/pagemap.rst; Linux 6.7). Such a descriptor is of the process that makes it: so the VMM begins
 * with one, as it begins to run (preload/copyable.c), and the launcher borrows it. It gives the VMM nothing it could
 * not do with its own memory. Older kernels have none; then all is copied while the VMM stands still.
 */
#include "launcher.h"
#include "written-pages.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of headers newer than the oldest that the launcher is compiled with. */
enum { page_is_written = 1 << 1, page_is_file = 1 << 2, page_is_present = 1 << 3, page_is_swapped = 1 << 4 };
enum { free_at_once = 4 * 1024 * 1024 };
enum { protect_matching = 1 << 0, check_wp_async = 1 << 1 };
struct scan { uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages, inverted, all_of, any_of, returned; };
#define SCAN _IOWR('f', 16, struct scan)

static const char own_kind[] = "anon_inode:[userfaultfd]";

static bool is_tracker(const char *pid, const char *number)
{
  char path[64], target[sizeof own_kind + 1];
  if (snprintf(path, sizeof path, "/proc/%s/fd/%s", pid, number) >= (int)sizeof path) return false;
  ssize_t length = readlink(path, target, sizeof target - 1);
  if (length < 0) return false;
  target[length] = '\0';
  return same(target, own_kind);
}

/* @param process a pidfd of `pid`; @return -1 where it has none */
int borrow_tracker(int process, const char *pid)
{
  char path[64], number[16];
  int tracker = -1;
  snprintf(path, sizeof path, "/proc/%s/fd", pid);
  DIR *folder = opendir(path);
  if (folder == NULL) return -1;
  for (struct dirent *entry; tracker < 0 && (entry = readdir(folder)) != NULL;) {
    if (!is_tracker(pid, entry->d_name)) continue;
    tracker = (int)syscall(SYS_pidfd_getfd, process, atoi(entry->d_name), 0);
    snprintf(number, sizeof number, "%d", tracker);
    if (tracker < 0 || is_tracker("self", number)) continue;
    close(tracker); // it was another one by then
    tracker = -1;
  }
  closedir(folder);
  errno = 0;
  return tracker;
}

bool track(int tracker, uint64_t first, uint64_t last)
{
  struct uffdio_register range = { .range = { first, last - first }, .mode = UFFDIO_REGISTER_MODE_WP };
  return ioctl(tracker, UFFDIO_REGISTER, &range) == 0;
}

/*
 * What is still protected can be written without a fault again. Piece by piece, since unregistering alone would do all of it
 * while the VMM can take no fault at all.
 */
void stop_tracking(int tracker, uint64_t first, uint64_t last)
{
  for (uint64_t at = first; at < last; at += free_at_once) {
    struct uffdio_writeprotect freed = { .range = { at, last - at < free_at_once ? last - at : free_at_once }, .mode = UFFDIO_WRITEPROTECT_MODE_DONTWAKE };
    if (ioctl(tracker, UFFDIO_WRITEPROTECT, &freed) != 0) errno = 0; // then it is freed with the rest
  }
  struct uffdio_range range = { first, last - first };
  if (ioctl(tracker, UFFDIO_UNREGISTER, &range) != 0) errno = 0; // the VMM is gone
}

/*
 * Runs of pages that were written since they were last protected, and are protected by this. Holes are left alone, and, of a
 * private mapping, what was only read of its file: once written they count.
 * @param room for as many runs as there are pages
 */
size_t written_since(int pagemap, uint64_t first, uint64_t last, bool is_private, struct run *runs, size_t room)
{
  struct scan scan = {
    .size = sizeof scan, .flags = protect_matching | check_wp_async, .start = first, .end = last,
    .vec = (uint64_t)(uintptr_t)runs, .vec_len = room, .inverted = is_private ? page_is_file : 0, .all_of = page_is_written | (is_private ? page_is_file : 0), .any_of = page_is_present | page_is_swapped, .returned = page_is_written,
  };
  int found = ioctl(pagemap, SCAN, &scan);
  if (found < 0 || scan.walk_end != last) fail("cannot see which pages it has written");
  return (size_t)found;
}
