/*
 * Asks the resident command line to carry a command out, and becomes the ordinary command where it does not.
 *
 *   client SOCKET NODE [OPTION...] MAIN -- [ARGUMENT...]
 *
 * A program of its own because what it saves is the start of Node: 2 ms instead of a hundred. It prints only what it
 * has whole, so that whatever goes wrong before (nobody listens, a limit passes, the answer ends early) the command
 * can still be run as if this program were not there: `NODE OPTION... MAIN -- ARGUMENT...`, with STRATA_RESIDENT telling
 * why: `absent` where nobody took the connection, else `declined`. The frames are those of frames.ts.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

extern char **environ;

/* A request must be small, an answer may be a long list. */
enum { request_most = 1 << 20, answer_most = 64 << 20, answer_head = 12, silence_seconds = 3 };
static const char protocol[] = "1";
static const unsigned char served = 1;

static unsigned char request[request_most];
static size_t length = 4; /* its first four bytes are the length of what follows */
static int too_long;

static void add(const char *text) {
  size_t size = strlen(text) + 1;
  if (size > request_most - length) { too_long = 1; return; }
  memcpy(request + length, text, size);
  length += size;
}

static void add_number(unsigned long long number) {
  char text[24];
  snprintf(text, sizeof text, "%llu", number);
  add(text);
}

/* Which files a path names: another root, or another list of mounts, and the resident would see others than we. */
static void add_place(const char *path) {
  struct stat about;
  if (stat(path, &about) != 0) memset(&about, 0, sizeof about);
  add_number(about.st_dev);
  add_number(about.st_ino);
}

static void add_stream(int fd) {
  struct winsize size = { 0 };
  int terminal = isatty(fd);
  if (terminal && ioctl(fd, TIOCGWINSZ, &size) != 0) memset(&size, 0, sizeof size);
  add_number(terminal);
  add_number(size.ws_col);
  add_number(size.ws_row);
}

static void put_u32(unsigned char *to, uint32_t number) { memcpy(to, &number, sizeof number); }
static uint32_t get_u32(const unsigned char *from) { uint32_t number; memcpy(&number, from, sizeof number); return number; }

/* 0, or -1 where the working folder is gone or all of it is too long. */
static int make_request(char *const arguments[]) {
  char *folder = getcwd(NULL, 0);
  if (folder == NULL) return -1;
  add(protocol);
  add("run");
  add_place("/");
  add_place("/proc/self/ns/mnt");
  add_stream(STDOUT_FILENO);
  add_stream(STDERR_FILENO);
  add(folder);
  free(folder);
  unsigned long count = 0;
  while (arguments[count] != NULL) count += 1;
  add_number(count);
  for (unsigned long at = 0; at < count; at += 1) add(arguments[at]);
  for (char **at = environ; *at != NULL; at += 1) add(*at);
  if (too_long) return -1;
  put_u32(request, (uint32_t)(length - 4));
  return 0;
}

/* A connection to a resident of our own user, or -1. */
static int reach(const char *path) {
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  if (strlen(path) >= sizeof address.sun_path) return -1;
  strcpy(address.sun_path, path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  struct timeval limit = { .tv_sec = silence_seconds };
  struct ucred peer;
  socklen_t size = sizeof peer;
  if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0 && setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0
    && connect(fd, (struct sockaddr *)&address, sizeof address) == 0
    && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == geteuid()) return fd;
  close(fd);
  return -1;
}

static int send_all(int fd, const unsigned char *data, size_t size) {
  while (size > 0) {
    ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return -1;
    data += sent;
    size -= (size_t)sent;
  }
  return 0;
}

static int receive_all(int fd, unsigned char *data, size_t size) {
  while (size > 0) {
    ssize_t got = recv(fd, data, size, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return -1;
    data += got;
    size -= (size_t)got;
  }
  return 0;
}

/* Ends the program where it cannot: a reader that has gone is no failure, as for the command itself. */
static void print(int fd, const unsigned char *data, size_t size) {
  while (size > 0) {
    ssize_t written = write(fd, data, size);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EAGAIN) {
      struct pollfd room = { .fd = fd, .events = POLLOUT };
      poll(&room, 1, -1);
      continue;
    }
    if (written < 0) _exit(errno == EPIPE ? 0 : 1);
    data += written;
    size -= (size_t)written;
  }
}

/* Prints the answer and ends, or returns where there is none. */
static void ask(int fd) {
  unsigned char head[answer_head];
  if (send_all(fd, request, length) != 0 || receive_all(fd, head, sizeof head) != 0 || head[0] != served) return;
  size_t out = get_u32(head + 4), err = get_u32(head + 8);
  if (out > answer_most || err > answer_most) return;
  unsigned char *text = malloc(out + err + 1);
  if (text == NULL || receive_all(fd, text, out + err) != 0) { free(text); return; }
  signal(SIGPIPE, SIG_IGN);
  print(STDOUT_FILENO, text, out);
  print(STDERR_FILENO, text + out, err);
  _exit(head[1]);
}

static void interrupted(int number) { (void)number; _exit(130); }

/* As the command does; not where whoever started us wants the signal ignored (nohup). */
static void end_at(int number) {
  struct sigaction before;
  if (sigaction(number, NULL, &before) == 0 && before.sa_handler == SIG_DFL) signal(number, interrupted);
}

int main(int argc, char *argv[]) {
  int marker = 3;
  while (marker < argc && strcmp(argv[marker], "--") != 0) marker += 1;
  if (marker >= argc) { fprintf(stderr, "usage: %s SOCKET NODE [OPTION...] MAIN -- [ARGUMENT...]\n", argv[0]); return 2; }
  end_at(SIGINT);
  end_at(SIGTERM);
  const char *why = "declined";
  if (make_request(argv + marker + 1) == 0) {
    int fd = reach(argv[1]);
    if (fd < 0) why = "absent";
    else { ask(fd); close(fd); }
  }
  if (setenv("STRATA_RESIDENT", why, 1) != 0) return 1;
  execv(argv[2], argv + 2);
  fprintf(stderr, "strata: %s cannot be run: %s\n", argv[2], strerror(errno));
  return 127;
}
