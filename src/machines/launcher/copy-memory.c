/*
 * Copies the memory of a QEMU's guest from outside, while QEMU stands still or runs, into a file of the same size whose
 * holes are what was never touched. Reading through the kernel costs far less here than page faults of a mapping do.
 *
 *   launcher copy-memory <pid> <ticks> <address> <bytes> <file>   makes the file, with what the memory began as (the sealed
 *                                          file it is a private mapping of, which nobody changes) and, where the kernel
 *                                          tells what is written meanwhile (written-pages.c), what is its own; says so in a
 *                                          line; adds what was written since, or all that is its own, when a byte on stdin
 *                                          says that it stands still, says that too, and lets go of the memory
 *
 *   launcher fill <pid> <ticks> (<number> <file>)…   fills what a VMM was started with empty: descriptors, by their numbers in it
 *
 * The address is what that QEMU says: it can name no memory but its own.
 */
#include "launcher.h"
#include "written-pages.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { page = 4096, at_once = 256, look_at_once = 4096, piece = look_at_once * page, max_parts = 1024, most_rounds = 3, little = 2 * 1024 * 1024, all_seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };

static _Atomic long long copied;

/* What is copied: what the memory began as; what is its own; what of that was written since it was last looked at. */
enum what { base, own, written };
static bool is_first_look = true; /* all is copied then, also what somebody protected who did not come to his end */

static uint64_t number(const char *text, int base, const char *what)
{
  char *end;
  errno = 0;
  uint64_t value = strtoull(text, &end, base);
  if (errno != 0 || end == text || *end != '\0' || value % page != 0) { errno = 0; fail("'%s' is no %s", text, what); }
  return value;
}

/* What has data of one file, from `from` on, to another at `to`. */
static void copy_data(int in, off_t from, off_t bytes, int out, off_t to)
{
  const off_t end = from + bytes;
  for (off_t at = from; at < end;) {
    off_t data = lseek(in, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) return;
    if (data < 0) fail("cannot look for data");
    if (data >= end) return;
    off_t hole = lseek(in, data, SEEK_HOLE);
    if (hole < 0) fail("cannot look for holes");
    if (hole > end) hole = end;
    if (lseek(out, to + (data - from), SEEK_SET) < 0) fail("seek");
    for (off_t position = data; position < hole;) {
      ssize_t count = sendfile(out, in, &position, (size_t)(hole - position));
      if (count <= 0) fail("cannot copy memory");
      copied += count;
    }
    at = hole;
  }
}

/* One mapping, or a part of it, of the process: where, of which file, and from where in that. */
struct part { uint64_t start, end, first, last, offset; bool is_file, is_shared; };

static int open_file_of(const char *pid, const struct part *part)
{
  char path[96];
  snprintf(path, sizeof path, "/proc/%s/map_files/%llx-%llx", pid, (unsigned long long)part->start, (unsigned long long)part->end);
  int in = open(path, O_RDONLY | O_CLOEXEC);
  if (in < 0) fail("cannot open what the memory is made of");
  return in;
}

static void copy_file(const char *pid, const struct part *part, uint64_t address, int out)
{
  int in = open_file_of(pid, part);
  errno = 0;
  if (!part->is_shared && fcntl(in, F_GET_SEALS) != all_seals) fail("the memory is made of something that may change");
  copy_data(in, (off_t)(part->offset + (part->first - part->start)), (off_t)(part->last - part->first), out, (off_t)(part->first - address));
  close(in);
}

static bool is_own(uint64_t entry) { return (entry >> 62) != 0 && (entry >> 61 & 1) == 0; }

static int open_pagemap(const char *pid)
{
  char path[64];
  snprintf(path, sizeof path, "/proc/%s/pagemap", pid);
  int map = open(path, O_RDONLY | O_CLOEXEC);
  if (map < 0) fail("the machine is gone");
  return map;
}

static void copy_pages(const char *pid, uint64_t first, uint64_t last, uint64_t address, int out)
{
  static __thread char buffer[at_once * page];
  while (first < last) {
    struct iovec ours = { buffer, last - first < sizeof buffer ? last - first : sizeof buffer }, its = { (void *)(uintptr_t)first, ours.iov_len };
    if (process_vm_readv((pid_t)atoi(pid), &ours, 1, &its, 1, 0) != (ssize_t)ours.iov_len) fail("cannot read its memory");
    if (pwrite(out, buffer, ours.iov_len, (off_t)(first - address)) != (ssize_t)ours.iov_len) fail("cannot write its memory down");
    copied += (long long)ours.iov_len;
    first += ours.iov_len;
  }
}

/* Pages of anonymous memory, and those of a private mapping that were written. */
static void copy_own(const char *pid, const struct part *part, uint64_t address, int out)
{
  static __thread uint64_t entries[look_at_once];
  int map = open_pagemap(pid);
  const uint64_t begin = part->first / page, pages = (part->last - part->first) / page;
  for (uint64_t at = 0; at < pages; at += look_at_once) {
    const size_t have = pages - at < look_at_once ? pages - at : look_at_once;
    if (pread(map, entries, have * 8, (off_t)((begin + at) * 8)) != (ssize_t)(have * 8)) fail("cannot see which pages it has");
    for (size_t first = 0, last; first < have; first = last) {
      last = first + 1;
      if (!is_own(entries[first])) continue;
      while (last < have && is_own(entries[last])) last += 1;
      copy_pages(pid, (begin + at + first) * page, (begin + at + last) * page, address, out);
    }
  }
  close(map);
}

static int tracker = -1; /* -1: what is written while it runs cannot be told */

static bool is_shared(const struct part *part) { return part->is_file && part->is_shared; }

/* What is written from here on is found the next time. */
static void copy_written(const char *pid, const struct part *part, uint64_t address, int out)
{
  static __thread struct run runs[look_at_once];
  int map = open_pagemap(pid);
  size_t count = written_since(map, part->first, part->last, !is_shared(part), runs, look_at_once);
  close(map);
  if (is_first_look && is_shared(part)) copy_file(pid, part, address, out);
  else if (is_first_look) copy_own(pid, part, address, out);
  else for (size_t at = 0; at < count; at += 1) copy_pages(pid, runs[at].first, runs[at].last, address, out);
}

static void copy_part(const char *pid, const struct part *part, uint64_t address, enum what what, int out)
{
  if (what == base) { if (part->is_file && !is_shared(part)) copy_file(pid, part, address, out); }
  else if (what == written) copy_written(pid, part, address, out);
  else if (is_shared(part)) copy_file(pid, part, address, out);
  else copy_own(pid, part, address, out);
}

static struct part parts[max_parts];
static size_t part_count;

/* What of the process' mappings lies there. Read once: it is some hundred lines. */
static void find_parts(const char *pid, uint64_t address, uint64_t bytes)
{
  char path[64], line[1024], rights[8];
  unsigned long long start, end, offset, inode;
  uint64_t seen = 0;
  snprintf(path, sizeof path, "/proc/%s/maps", pid);
  FILE *maps = fopen(path, "re");
  if (maps == NULL) fail("the machine is gone");
  while (fgets(line, sizeof line, maps) != NULL) {
    if (sscanf(line, "%llx-%llx %7s %llx %*s %llu", &start, &end, rights, &offset, &inode) != 5) continue;
    struct part part = { start, end, start > address ? start : address, end < address + bytes ? end : address + bytes, offset, inode != 0, rights[3] == 's' };
    if (part.first >= part.last) continue;
    if (part_count == max_parts) fail("the machine's memory lies in too many places");
    seen += part.last - part.first;
    parts[part_count++] = part;
  }
  fclose(maps);
  errno = 0;
  if (seen != bytes) fail("the machine's memory is not where it is said to be");
}

struct copying { const char *pid, *path; uint64_t address, bytes; enum what what; _Atomic uint64_t next; };

/* Piece by piece; another thread takes others meanwhile. */
static void *copy_pieces(void *argument)
{
  struct copying *copying = argument;
  int out = open(copying->path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC); // with a position of its own
  if (out < 0) fail("cannot open %s", copying->path);
  for (uint64_t at; (at = atomic_fetch_add(&copying->next, piece)) < copying->bytes;) {
    const uint64_t first = copying->address + at, last = at + piece < copying->bytes ? first + piece : copying->address + copying->bytes;
    for (size_t index = 0; index < part_count; index += 1) {
      struct part part = parts[index];
      if (part.first < first) part.first = first;
      if (part.last > last) part.last = last;
      if (part.first < part.last) copy_part(copying->pid, &part, copying->address, copying->what, out);
    }
  }
  close(out);
  return NULL;
}

/* A machine stands still for it, however busy the host is: so one of two threads comes before all others, and not both, or nobody else would go on. */
static void copy_at_once(struct copying *copying)
{
  pthread_t other;
  errno = pthread_create(&other, NULL, copy_pieces, copying);
  if (errno != 0) fail("cannot start a thread");
  if (sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){ 1 }) != 0) errno = 0; // not every host lets us
  copy_pieces(copying);
  pthread_join(other, NULL);
}

/* Whether the host may move a file's memory elsewhere: then the kernel forgets what was written of it. */
static bool may_swap(void)
{
  char text[512];
  int swaps = open("/proc/swaps", O_RDONLY | O_CLOEXEC);
  ssize_t length = swaps < 0 ? -1 : read(swaps, text, sizeof text - 1);
  if (swaps >= 0) close(swaps);
  if (length < 0) return errno != ENOENT;
  text[length] = '\0';
  const char *end = strchr(text, '\n'); // of its heading
  return end != NULL && end[1] != '\0';
}

/* All of it or nothing. */
static bool track_parts(int process, const char *pid)
{
  tracker = borrow_tracker(process, pid);
  for (size_t at = 0; tracker >= 0 && at < part_count; at += 1) {
    if (!(is_shared(&parts[at]) && may_swap()) && track(tracker, parts[at].first, parts[at].last)) continue;
    close(tracker);
    tracker = -1;
  }
  errno = 0;
  return tracker >= 0;
}

static void let_go(void)
{
  for (size_t at = 0; tracker >= 0 && at < part_count; at += 1) stop_tracking(tracker, parts[at].first, parts[at].last);
}

/* While it runs: as long as each round leaves much less for the next. */
static void copy_ahead(struct copying what_was_written)
{
  for (int round = 0; round < most_rounds; round += 1) {
    const long long before = copied;
    struct copying copying = what_was_written;
    copy_pieces(&copying);
    is_first_look = false;
    if (copied - before < little) return;
  }
}

/* Started ahead of that moment, it is ready when it has come. */
static void await_standstill(void)
{
  char byte;
  if (read(0, &byte, 1) != 1) fail("nobody said that the machine stands still");
}

/* pid, ticks, address, bytes, file */
int copy_memory(char **arguments)
{
  const uint64_t address = number(arguments[2], 16, "address"), bytes = number(arguments[3], 10, "size of memory");
  int process = (int)syscall(SYS_pidfd_open, atoi(arguments[0]), 0);
  if (process < 0) fail("the machine is gone");
  errno = 0;
  if (start_ticks(atoi(arguments[0])) != atoll(arguments[1])) fail("the machine is gone");
  int out = open_state_file(arguments[4]);
  if (ftruncate(out, (off_t)bytes) != 0) fail("cannot make the file %s", arguments[4]);
  close(out);
  find_parts(arguments[0], address, bytes);
  struct copying copying = { arguments[0], arguments[4], address, bytes, base, 0 };
  copy_pieces(&copying);
  const bool tracks = track_parts(process, arguments[0]);
  copying = (struct copying){ arguments[0], arguments[4], address, bytes, tracks ? written : own, 0 };
  if (tracks) copy_ahead(copying);
  if (write(1, "{\"begun\":true}\n", 15) != 15) fail("nobody listens");
  await_standstill();
  copy_at_once(&copying);
  printf("{\"copiedBytes\":%lld}\n", (long long)copied);
  if (fflush(stdout) != 0) return 1;
  let_go();
  return 0;
}

/* Memory that nobody can take away or make larger or smaller, all of it a hole; opened once more, since the VMM, which has the first, moves its position as it likes. */
static int new_memory(off_t bytes, int *again)
{
  int memory = memfd_create("memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (memory < 0 || ftruncate(memory, bytes) != 0) fail("cannot make the machine's memory");
  if (fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) fail("cannot seal the size of the machine's memory");
  if (again == NULL) return memory;
  char itself[32];
  snprintf(itself, sizeof itself, "/proc/self/fd/%d", memory);
  *again = open(itself, O_RDWR | O_CLOEXEC);
  if (*again < 0) fail("cannot open the machine's memory again");
  return memory;
}

/* To be filled when it is known what with. */
int empty_memory(const char *bytes) { return new_memory((off_t)number(bytes, 10, "size of memory"), NULL); }

/* The same of a state, which nobody knows the size of yet. */
int empty_state(void)
{
  int state = memfd_create("state", MFD_CLOEXEC);
  if (state < 0) fail("cannot make room for the machine's state");
  return state;
}

struct filling { int in, out; off_t bytes; };

/* One that is full already, of another size or no memory is not what was handed to the VMM to be filled. */
static struct filling open_filling(const char *pid, const char *descriptor, const char *path)
{
  char its[64];
  struct stat from, to;
  errno = 0;
  if (strlen(descriptor) > 9 || strspn(descriptor, "0123456789") != strlen(descriptor) || *descriptor == '\0') fail("'%s' is no number of a descriptor", descriptor);
  snprintf(its, sizeof its, "/proc/%s/fd/%s", pid, descriptor);
  int in = open_disk(path, false), out = open(its, O_WRONLY | O_CLOEXEC);
  if (out < 0 || fstat(in, &from) != 0 || fstat(out, &to) != 0) fail("the machine has nothing to be filled");
  int seals = fcntl(out, F_GET_SEALS);
  errno = 0;
  if (seals < 0 || (seals & F_SEAL_WRITE) != 0 || to.st_blocks != 0 || to.st_size != (seals & F_SEAL_GROW ? from.st_size : 0)) fail("what the machine has cannot be filled with %s", path);
  return (struct filling){ in, out, from.st_size };
}

/* pid, ticks, and numbers of descriptors, each with the file it is filled with */
int fill(char **arguments, int count)
{
  int process = (int)syscall(SYS_pidfd_open, atoi(arguments[0]), 0);
  if (process < 0) fail("the machine is gone");
  errno = 0;
  if (start_ticks(atoi(arguments[0])) != atoll(arguments[1])) fail("the machine is gone");
  static struct filling all[4];
  int fillings = 0;
  for (int at = 2; at + 1 < count && fillings < 4; at += 2) all[fillings++] = open_filling(arguments[0], arguments[at], arguments[at + 1]);
  // All or, where a file is not there any more, nothing: then it can be asked for again.
  for (int at = 0; at < fillings; at += 1) copy_data(all[at].in, 0, all[at].bytes, all[at].out, 0);
  return 0;
}

static pid_t copier;

/* The copy is made by a process of its own, while the VMM starts. */
int copied_memory(const char *path)
{
  int in = open_disk(path, false);
  struct stat status;
  if (fstat(in, &status) != 0) fail("fstat");
  int out, memory = new_memory(status.st_size, &out);
  copier = fork();
  if (copier < 0) fail("fork");
  if (copier == 0) {
    copy_data(in, 0, status.st_size, out, 0);
    _exit(0);
  }
  close(in);
  close(out);
  return memory;
}

/* @return whether the VMM has all of its memory; where not, the copier has said why */
bool has_memory(void)
{
  int status = 0;
  return copier == 0 || (waitpid(copier, &status, 0) == copier && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
