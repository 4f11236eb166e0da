/* What the keeper leaves for the daemon: small JSON files, whole or not there. */
#include "launcher.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Into the current folder: temporary file, fsync, rename, fsync of the folder. */
void write_record(const char *name, const char *text)
{
  char temporary[64];
  snprintf(temporary, sizeof temporary, "%s.new", name);
  int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  size_t size = strlen(text);
  if (fd < 0 || write(fd, text, size) != (ssize_t)size || fsync(fd) != 0) fail("cannot write %s", name);
  close(fd);
  if (rename(temporary, name) != 0) fail("cannot replace %s", name);
  int folder = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder >= 0) { fsync(folder); close(folder); }
}

static size_t read_file(const char *path, char *into, size_t size)
{
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail("cannot read %s", path);
  ssize_t count = read(fd, into, size - 1);
  close(fd);
  if (count < 0) fail("cannot read %s", path);
  into[count] = '\0';
  return (size_t)count;
}

/* Field 22 of /proc/<pid>/stat, proc(5); the name in brackets may hold anything, so count from its end. */
long long start_ticks(pid_t pid)
{
  char path[40], text[2048];
  snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
  read_file(path, text, sizeof text);
  char *field = strrchr(text, ')');
  for (int number = 2; field != NULL && number < 22; number += 1) field = strchr(field + 1, ' ');
  if (field == NULL) fail("cannot understand %s", path);
  return atoll(field + 1);
}

long long now_ms(void)
{
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

void boot_id(char *into, size_t size)
{
  read_file("/proc/sys/kernel/random/boot_id", into, size);
  into[strcspn(into, "\n")] = '\0';
}

/* Bytes that are no plain ASCII become '?': what a VMM prints is hostile. */
void escape_json(const char *from, size_t count, char *into, size_t size)
{
  size_t used = 0;
  for (size_t at = 0; at < count && used + 3 < size; at += 1) {
    unsigned char byte = (unsigned char)from[at];
    if (byte == '\n') { into[used++] = '\\'; into[used++] = 'n'; }
    else if (byte == '"' || byte == '\\') { into[used++] = '\\'; into[used++] = (char)byte; }
    else into[used++] = byte >= 32 && byte < 127 ? (char)byte : '?';
  }
  into[used] = '\0';
}
