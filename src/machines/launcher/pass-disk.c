/*
 * Hands a disk, or where to save its state, to a running QEMU as a descriptor (QMP add-fd and getfd with SCM_RIGHTS, which
 * Node cannot do). So the VMM needs no right on the file and the jail no folder. The answers come from a VMM that may be captured: little is read, in time.
 */
#include "launcher.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char line[65536];
static size_t have;

/* The next line of the monitor, without its end. */
static const char *next_line(int monitor, size_t *length)
{
  static size_t taken;
  memmove(line, line + taken, have - taken);
  have -= taken;
  for (taken = 0;;) {
    char *end = memchr(line, '\n', have);
    if (end != NULL) {
      *end = '\0';
      taken = (size_t)(end - line) + 1;
      *length = taken - 1;
      return line;
    }
    errno = 0;
    if (have == sizeof line) fail("the monitor's answer is too long");
    ssize_t count = read(monitor, line + have, sizeof line - have);
    if (count < 0) fail("the monitor does not answer");
    if (count == 0) fail("the monitor has hung up");
    have += (size_t)count;
  }
}

static void await_answer(int monitor, const char *what)
{
  for (int lines = 0; lines < 1000; lines += 1) {
    size_t length;
    const char *answer = next_line(monitor, &length);
    if (strncmp(answer, "{\"return\"", 9) == 0) return;
    errno = 0;
    if (strncmp(answer, "{\"error\"", 8) == 0) fail("%s: %.300s", what, answer);
  }
  fail("%s: no answer among 1000 lines", what);
}

static int open_monitor(const char *path)
{
  int monitor = connect_to(path, "the monitor", 10);
  alarm(20);
  return monitor;
}

static void send_with(int monitor, const char *text, int fd)
{
  union { struct cmsghdr header; char space[CMSG_SPACE(sizeof(int))]; } control = { 0 };
  struct iovec part = { .iov_base = (void *)text, .iov_len = strlen(text) };
  struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
  if (fd >= 0) {
    message.msg_control = control.space;
    message.msg_controllen = sizeof control.space;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  if (sendmsg(monitor, &message, MSG_NOSIGNAL) != (ssize_t)strlen(text)) fail("cannot talk to the monitor");
}

/* A monitor that takes commands. */
static int enter_monitor(const char *path)
{
  int monitor = open_monitor(path);
  size_t length;
  next_line(monitor, &length); // the greeting
  send_with(monitor, "{\"execute\":\"qmp_capabilities\"}\n", -1);
  await_answer(monitor, "qmp_capabilities");
  return monitor;
}

static int open_for_set(const char *set, const char *mode, const char *path)
{
  errno = 0;
  if (strlen(set) > 9 || strspn(set, "0123456789") != strlen(set) || *set == '\0') fail("'%s' is no number of a set", set);
  if (!same(mode, "ro") && !same(mode, "rw") && !same(mode, "new")) fail("the mode is ro, rw or new");
  return same(mode, "new") ? open_state_file(path) : open_disk(path, same(mode, "rw"));
}

/* words: set, mode and path of each; what was handed in stays where a later one cannot be */
int pass_disks(const char *socket_path, char **words, int count)
{
  int monitor = -1;
  for (int at = 0; at < count; at += 3) {
    int disk = open_for_set(words[at], words[at + 1], words[at + 2]);
    if (monitor < 0) monitor = enter_monitor(socket_path); // one that has nothing to get is not asked
    char command[120];
    snprintf(command, sizeof command, "{\"execute\":\"add-fd\",\"arguments\":{\"fdset-id\":%s}}\n", words[at]);
    send_with(monitor, command, disk);
    await_answer(monitor, "add-fd");
    close(disk);
  }
  return 0;
}

/* New: whatever lies there already is somebody's. */
int open_state_file(const char *path)
{
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) fail("cannot make the file %s", path);
  return fd;
}

/* QEMU knows a descriptor by its name only on the connection it came over, so the migration is begun here. */
int save_state(const char *socket_path, int state)
{
  int monitor = enter_monitor(socket_path);
  send_with(monitor, "{\"execute\":\"getfd\",\"arguments\":{\"fdname\":\"state\"}}\n", state);
  await_answer(monitor, "getfd");
  send_with(monitor, "{\"execute\":\"migrate\",\"arguments\":{\"uri\":\"fd:state\"}}\n", -1);
  await_answer(monitor, "migrate");
  return 0;
}
