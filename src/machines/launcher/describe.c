/*
 * The description of a launch: pairs of NUL-terminated strings, key and value, on stdin. launch-description.ts
 * writes it. Keys: uid, gid, processes, traces, idle, huge-heap, kept-heap, console-before (a ring's path), cgroup, bind (source TAB target), link (target TAB path), device, memory
 * (bytes TAB path), own-fds (path), disks (path), mount-ro and mount-rw (disk TAB path), listen, listen-shared, console, line, tap, plain-tap, disk-ro, disk-rw, lock-alone, lock-shared,
 * copied-memory (a file), template-memory, template-state, sealed-memory and sealed-state (a holder's socket), inherit, program, argument. What the kernel of our own daemon says is still checked.
 */
#include "launcher.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { max_bytes = 256 * 1024 };
static char text[max_bytes];

static unsigned number(const char *value)
{
  char *end = NULL;
  errno = 0;
  unsigned long result = strtoul(value, &end, 10);
  if (errno != 0 || *value < '0' || *value > '9' || *end != '\0' || result > 0x7fffffff) { errno = 0; fail("'%s' is no number", value); }
  return (unsigned)result;
}

static void take(struct description *description, const char *key, char *value)
{
  if (same(key, "uid")) description->uid = number(value);
  else if (same(key, "gid")) description->gid = number(value);
  else if (same(key, "processes")) description->processes = number(value);
  else if (same(key, "traces")) description->traces = true;
  else if (same(key, "console-before")) description->console_before = value;
  else if (same(key, "huge-heap")) description->huge_heap = true;
  else if (same(key, "kept-heap")) description->kept_heap = true;
  else if (same(key, "idle")) description->idle = true;
  else if (same(key, "program")) description->program = value;
  else if (same(key, "argument")) {
    if (description->argument_count + 1 >= max_arguments) fail("too many arguments");
    description->arguments[description->argument_count++] = value;
  } else {
    if (description->count >= max_entries) fail("too many entries");
    description->entries[description->count++] = (struct entry){ key, value };
  }
}

void read_description(int fd, struct description *description)
{
  size_t have = 0;
  for (ssize_t count; have < max_bytes && (count = read(fd, text + have, max_bytes - have)) != 0;) {
    if (count < 0) fail("cannot read the description");
    have += (size_t)count;
  }
  errno = 0;
  if (have == 0 || have == max_bytes || text[have - 1] != '\0') fail("the description is empty, too long or cut off");
  for (size_t at = 0; at < have;) {
    char *key = text + at;
    at += strlen(key) + 1;
    if (at >= have) fail("the key '%s' has no value", key);
    char *value = text + at;
    at += strlen(value) + 1;
    take(description, key, value);
  }
  // A VMM that shares a uid with people or daemons of the host is no jail.
  if (description->uid < 100000 || description->gid < 100000) fail("uid and gid of a VMM are at least 100000");
  if (description->program == NULL || description->argument_count == 0) fail("the description names no program");
}
