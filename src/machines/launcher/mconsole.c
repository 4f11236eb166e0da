/*
 * Commands to a running UML over its mconsole, a datagram socket in its jail:
 *
 *   launcher mconsole <pid> <ticks> <uid> <socket> <command> …
 *
 * prints an answer and a newline for each. Done inside the jail and with the VMM's rights, so that whatever lies at that path leads nowhere.
 * The wire format: arch/um/drivers/mconsole.h of the kernel.
 */
#include "launcher.h"
#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { magic = (int)0xcafebabe, version = 2, text_bytes = 512, limit_ms = 5000, max_parts = 64 };
struct request { uint32_t magic; uint32_t version; int32_t length; char text[text_bytes]; };
struct reply { int32_t failed; int32_t more; int32_t length; char text[text_bytes]; };

static int open_socket(const char *path)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX }, own = { .sun_family = AF_UNIX };
  errno = 0;
  if (strlen(path) >= sizeof address.sun_path) fail("'%s' is no name of a socket", path);
  strcpy(address.sun_path, path);
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  // A name without a file, given by the kernel: the VMM, in the same network namespace, answers to it.
  if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof(sa_family_t)) != 0) fail("cannot make a socket");
  if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) fail("the machine's console for commands cannot be reached");
  return fd;
}

/* One command; its answer goes to stdout, a refusal ends all. */
static void tell(int fd, const char *command)
{
  struct request request = { .magic = (uint32_t)magic, .version = version };
  size_t length = strlen(command);
  errno = 0;
  if (length >= text_bytes) fail("the command is too long");
  memcpy(request.text, command, length);
  request.length = (int32_t)length;
  if (send(fd, &request, sizeof request, MSG_NOSIGNAL) != (ssize_t)sizeof request) fail("the machine takes no command");
  for (int part = 0; part < max_parts; part += 1) {
    struct pollfd waited = { .fd = fd, .events = POLLIN };
    if (poll(&waited, 1, limit_ms) != 1) { errno = ETIMEDOUT; fail("the machine does not answer"); }
    struct reply reply = { 0 };
    ssize_t count = recv(fd, &reply, sizeof reply, 0);
    if (count < (ssize_t)offsetof(struct reply, text)) fail("the machine's answer is no answer");
    size_t said = strnlen(reply.text, (size_t)count - offsetof(struct reply, text));
    errno = 0;
    if (reply.failed != 0) fail("%.*s", (int)said, reply.text);
    if (write(1, reply.text, said) < 0) fail("write");
    if (reply.more == 0) return;
  }
  errno = 0;
  fail("the machine's answer has no end");
}

int mconsole(char **arguments, int count)
{
  uid_t uid = (uid_t)atoi(arguments[2]);
  errno = 0;
  if (uid < 100000) fail("the uid is not as it should be");
  enter_namespaces(arguments[0], arguments[1], CLONE_NEWNS | CLONE_NEWNET);
  if (setgroups(0, NULL) != 0 || setresgid(uid, uid, uid) != 0 || setresuid(uid, uid, uid) != 0) fail("become uid %u", uid);
  drop_privileges(0);
  int fd = open_socket(arguments[3]);
  for (int at = 4; at < count; at += 1) {
    tell(fd, arguments[at]);
    if (write(1, "\n", 1) < 0) return 1;
  }
  return 0;
}
