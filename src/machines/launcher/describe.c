/*
 * The description of a launch: pairs of NUL-terminated strings, key and value, on stdin. launch-description.ts
 * writes it. Keys: uid, gid, processes, traces, idle, huge-heap, kept-heap, copyable, console-before (a ring's path), cgroup, bind (source TAB target), link (target TAB path), device, memory
 * (bytes TAB path), own-fds (path), disks (path), mount-ro and mount-rw (disk TAB path), listen, listen-shared, console, line, tap, plain-tap, disk-ro, disk-rw, lock-alone, lock-shared,
 * zygote (number of a descriptor), copy-of (a zygote's socket TAB number of descriptors that stay as they are), copied-memory (a file), empty-memory (bytes), empty-state, template-memory, template-state, sealed-memory and sealed-state (a holder's socket), inherit, program, argument. What the kernel of our own daemon says is still checked.
 */
#include "launcher.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { max_bytes = 256 * 1024 };
static char text[max_bytes], whole[max_bytes];
static size_t whole_size;

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
  else if (same(key, "copyable")) description->copyable = true;
  else if (same(key, "idle")) description->idle = true;
  else if (same(key, "zygote")) description->zygote = value;
  else if (same(key, "copy-of")) {
    static char socket[120];
    description->copied_fds = number(split_at_tab(value, socket, sizeof socket));
    description->copy_of = socket;
  }
  else if (same(key, "program")) description->program = value;
  else if (same(key, "argument")) {
    if (description->argument_count + 1 >= max_arguments) fail("too many arguments");
    description->arguments[description->argument_count++] = value;
  } else {
    if (description->count >= max_entries) fail("too many entries");
    description->entries[description->count++] = (struct entry){ key, value };
  }
}

/* @param bytes is changed and kept */
void parse_description(char *bytes, size_t size, struct description *description)
{
  errno = 0;
  if (size == 0 || size >= max_bytes || bytes[size - 1] != '\0') fail("the description is empty, too long or cut off");
  for (size_t at = 0; at < size;) {
    char *key = bytes + at;
    at += strlen(key) + 1;
    if (at >= size) fail("the key '%s' has no value", key);
    char *value = bytes + at;
    at += strlen(value) + 1;
    take(description, key, value);
  }
  // A VMM that shares a uid with people or daemons of the host is no jail. A zygote has none and serves nobody.
  if (description->zygote == NULL && (description->uid < 100000 || description->gid < 100000)) fail("uid and gid of a VMM are at least 100000");
  if (description->copy_of == NULL && (description->program == NULL || description->argument_count == 0)) fail("the description names no program");
}

void read_description(int fd, struct description *description)
{
  for (ssize_t count; whole_size < max_bytes && (count = read(fd, whole + whole_size, max_bytes - whole_size)) != 0;) {
    if (count < 0) fail("cannot read the description");
    whole_size += (size_t)count;
  }
  memcpy(text, whole, whole_size);
  parse_description(text, whole_size, description);
}

/* The description as it came. */
const char *described(size_t *size)
{
  *size = whole_size;
  return whole;
}
