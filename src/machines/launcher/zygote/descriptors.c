/*
 * What a zygote has open. A copy shares all of it with the zygote unless it is replaced: events are made anew, what the
 * copy was given takes the place of the zygote's, what is only read is opened again, other connections are hung up. A filled
 * epoll set and the like cannot be copied.
 */
#include "zygote.h"
#include "../written-pages.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { max_open = 200 };
enum kind { other, event, watch /* of events: an epoll(7) set */, tracker /* of its memory */ };
struct opened { int number; dev_t device; ino_t inode; enum kind kind; bool has_two_ends; };
static struct opened all[max_open];
static size_t count;

enum { max_first = 80 };
static struct { dev_t device; ino_t inode; } first[max_first]; /* what the process began with */

void remember_descriptors(void)
{
  struct stat status;
  for (int number = 0; number < max_first; number += 1) {
    if (fstat(number, &status) != 0) continue;
    first[number].device = status.st_dev;
    first[number].inode = status.st_ino;
  }
}

/* A set holds on to the files themselves; QEMU fills its own only when it has very many. */
static bool watches_nothing(int set)
{
  char path[40], text[2048];
  snprintf(path, sizeof path, "/proc/self/fdinfo/%d", set);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  close(fd);
  if (length < 0) return false;
  text[length] = '\0';
  return strstr(text, "tfd:") == NULL;
}

/* An event, a signal's descriptor, what tells of its memory, or no anonymous one: anything else holds on to what the process was. */
static const char *look_at(int number)
{
  static char what[160];
  char path[40], target[100];
  struct stat status;
  snprintf(path, sizeof path, "/proc/self/fd/%d", number);
  ssize_t length = readlink(path, target, sizeof target - 1);
  if (length < 0 || fstat(number, &status) != 0) return NULL; // closed since
  target[length] = '\0';
  enum kind kind = same(target, "anon_inode:[eventfd]") ? event : same(target, "anon_inode:[eventpoll]") && watches_nothing(number) ? watch : same(target, "anon_inode:[userfaultfd]") ? tracker : other;
  if (kind == other && strncmp(target, "anon_inode:", 11) == 0 && !same(target, "anon_inode:[signalfd]")) {
    snprintf(what, sizeof what, "it has an open %s", target);
    return what;
  }
  if (count == max_open) return "it has too much open";
  all[count++] = (struct opened){ .number = number, .device = status.st_dev, .inode = status.st_ino, .kind = kind, .has_two_ends = S_ISSOCK(status.st_mode) || S_ISFIFO(status.st_mode) };
  return NULL;
}

const char *look_at_descriptors(void)
{
  count = 0;
  DIR *folder = opendir("/proc/self/fd");
  if (folder == NULL) return "it cannot see what it has open";
  const char *why = NULL;
  for (struct dirent *entry; why == NULL && (entry = readdir(folder)) != NULL;) {
    int number = atoi(entry->d_name);
    if (entry->d_name[0] != '.' && number != dirfd(folder)) why = look_at(number);
  }
  closedir(folder);
  return why;
}

/* Events of the copy's own, and what tells of its own memory. Each has happened: a look too many does no harm, one too few would. */
void renew_events(void)
{
  for (size_t at = 0; at < count; at += 1) {
    if (all[at].kind == other) continue;
    int own = all[at].kind == event ? eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC) : all[at].kind == watch ? epoll_create1(EPOLL_CLOEXEC) : make_tracker();
    if (own < 0 || dup3(own, all[at].number, O_CLOEXEC) < 0) fail("cannot make the copy's events");
    close(own);
  }
}

void wake_loops(void)
{
  for (size_t at = 0; at < count; at += 1) if (all[at].kind == event && eventfd_write(all[at].number, 1) != 0) errno = 0; // it is full: awake already
}

/* In the place of what the zygote began with under this number, wherever it has it now: QEMU moves and doubles what it is given. */
void replace_descriptor(int number, int with)
{
  if (number >= max_first || first[number].device == 0) fail("the zygote never had a descriptor %d", number);
  for (size_t at = 0; at < count; at += 1) {
    if (all[at].number == with || all[at].kind != other || all[at].device != first[number].device || all[at].inode != first[number].inode) continue;
    if (dup3(with, all[at].number, O_CLOEXEC) < 0) fail("dup3");
  }
}

/* Of what the copy keeps from the zygote a file of its own, to be read only: with a position and locks that are nobody else's. */
void reopen_descriptor(int number)
{
  for (size_t at = 0; at < count; at += 1) {
    if (all[at].kind != other || all[at].device != first[number].device || all[at].inode != first[number].inode) continue;
    char path[40];
    snprintf(path, sizeof path, "/proc/self/fd/%d", all[at].number);
    int own = open(path, O_RDONLY | O_CLOEXEC);
    if (own < 0 || dup3(own, all[at].number, O_CLOEXEC) < 0) fail("open the zygote's memory again");
    close(own);
  }
}

static bool is_first(const struct opened *one)
{
  for (int number = 0; number < max_first; number += 1) if (first[number].device == one->device && first[number].inode == one->inode) return true;
  return false;
}

/* Connections and pipes of the zygote's that are neither what it began with nor the line: somebody is at their other ends. Here nobody is. */
void hang_up(int line, const int *handed, size_t handed_count)
{
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) fail("socketpair");
  close(pair[1]);
  for (size_t at = 0; at < count; at += 1) {
    bool kept = !all[at].has_two_ends || all[at].number == line || all[at].number == pair[0] || is_first(&all[at]);
    for (size_t one = 0; one < handed_count; one += 1) if (handed[one] == all[at].number) kept = true;
    if (!kept && dup3(pair[0], all[at].number, O_CLOEXEC) < 0) fail("dup3");
  }
  close(pair[0]);
}

int file_of(dev_t device, ino_t inode)
{
  for (size_t at = 0; at < count; at += 1) if (all[at].kind == other && all[at].device == device && all[at].inode == inode) return all[at].number;
  return -1;
}

/* What was accepted on this listening socket bears its name. -1 where there is none. */
int connection_of(int listener)
{
  struct sockaddr_un wanted = { 0 }, seen;
  socklen_t wanted_size = sizeof wanted;
  if (getsockname(listener, (struct sockaddr *)&wanted, &wanted_size) != 0) return -1;
  for (size_t at = 0; at < count; at += 1) {
    socklen_t size = sizeof seen;
    memset(&seen, 0, sizeof seen);
    int listens = 0;
    socklen_t listens_size = sizeof listens;
    if (getsockopt(all[at].number, SOL_SOCKET, SO_ACCEPTCONN, &listens, &listens_size) != 0 || listens != 0) continue;
    if (getsockname(all[at].number, (struct sockaddr *)&seen, &size) != 0) continue;
    if (size == wanted_size && memcmp(&seen, &wanted, size) == 0) return all[at].number;
  }
  return -1;
}
