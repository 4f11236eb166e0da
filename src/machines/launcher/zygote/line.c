/*
 * The line to the agent is open in the zygote's guest, and must be in a copy's from its first instruction on: to open it
 * costs the guest more than all else it does. So QEMU's end of the connection is one of our own, of which nobody has the
 * other end; in the copy the daemon's, once it is there, is put in its place behind QEMU's back.
 */
#include "zygote.h"
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

static int listener = -1, line = -1;
static int other_end = -1;

static void put_ours_in_place(void)
{
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0 || dup3(pair[0], line, O_CLOEXEC) < 0) fail("socketpair");
  close(pair[0]);
  other_end = pair[1];
}

/* @param number of the socket on which QEMU listens for the line; NULL where it has been done */
const char *settle_line(int number)
{
  listener = number;
  line = connection_of(number);
  if (line < 0) return "the agent's line is not open";
  put_ours_in_place();
  wake_loops();
  return NULL;
}

/* In the copy, before anything runs in it. */
void begin_line(void)
{
  if (line < 0) return;
  close(other_end);
  put_ours_in_place();
}

int line_now(void) { return line; }

/* All that the copy's first thread does any more: QEMU's are the others. */
void take_line(void)
{
  struct pollfd coming = { .fd = listener, .events = POLLIN };
  while (line >= 0) {
    if (poll(&coming, 1, -1) != 1) continue;
    int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (connection < 0) continue;
    if (dup3(connection, line, O_CLOEXEC) < 0) fail("dup3");
    close(connection);
    close(other_end);
    wake_loops(); // those that wait for what was there before
    break;
  }
  for (;;) pause();
}
