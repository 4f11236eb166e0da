/*
 * A wish for a copy of a zygote, and other words to it. One message on a connection of its own: text, and descriptors. A
 * copy is made by the zygote, so who stays with it as its keeper must come of the zygote too: it gets all that the keeper
 * which asks has opened, and that one ends.
 */
#include "launcher.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The zygote's answer is the report of the copy's keeper, on the pipe that our starter reads. */
void ask_for_copy(const struct description *description, const struct descriptors *all, const int handed[handed_vmm_errors + 1])
{
  static int given[handed_vmm + max_copied];
  union { struct cmsghdr header; char space[CMSG_SPACE(sizeof given)]; } control = { 0 };
  errno = 0;
  if (all->count > max_copied) fail("more than %d descriptors for a copy", max_copied);
  memcpy(given, handed, handed_vmm * sizeof *given);
  memcpy(given + handed_vmm, all->vmm, all->count * sizeof *given);
  size_t bytes = (handed_vmm + all->count) * sizeof *given, size;
  const char *text = described(&size);
  struct iovec part = { .iov_base = (void *)text, .iov_len = size };
  struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = CMSG_SPACE(bytes) };
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(bytes);
  memcpy(CMSG_DATA(header), given, bytes);
  int zygote = connect_to(description->copy_of, "the zygote", 5);
  if (size > max_wish || sendmsg(zygote, &message, MSG_NOSIGNAL) != (ssize_t)size) fail("the zygote does not take what is wished");
  char byte;
  if (read(zygote, &byte, 1) < 0) fail("the zygote does not answer"); // it has them now, or has ended
  _exit(0);
}

/* @param line number of the descriptor on which the zygote listens for the agent's line */
int settle(const char *socket_path, const char *line)
{
  char text[64], answer[400];
  int length = snprintf(text, sizeof text, "settle%c%s", '\0', line) + 1;
  int zygote = connect_to(socket_path, "the zygote", 5);
  if (length > (int)sizeof text || send(zygote, text, (size_t)length, MSG_NOSIGNAL) != length) fail("the zygote does not take what is wished");
  ssize_t count = read(zygote, answer, sizeof answer - 1);
  if (count <= 0) fail("the zygote does not answer");
  answer[count] = '\0';
  errno = 0;
  if (!same(answer, "ready")) fail("%s", answer);
  return 0;
}
