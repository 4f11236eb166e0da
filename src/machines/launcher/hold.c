/*
 * The holder of a template: a small process that keeps the frozen memory and device state of a machine, so that both
 * outlive the daemon and vanish with their last user. Both are memfds. The template's VMM writes them; then they are
 * sealed for good (hold_seal), and only sealed ones are handed to clones: no VMM can change what others start from.
 * Whoever may enter the folder (0700, root) gets both over the socket `h`.
 */
#include "launcher.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { all_seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };

static int new_memory(const char *name, off_t bytes)
{
  int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0 || ftruncate(fd, bytes) != 0) fail("cannot make the template's %s", name);
  return fd;
}

static void tell_held(int report)
{
  char boot[64], text[200];
  boot_id(boot, sizeof boot);
  snprintf(text, sizeof text, "{\"bootId\":\"%s\",\"pid\":%d,\"startTicks\":%lld}\n", boot, (int)getpid(), start_ticks(getpid()));
  write_record("holder.json", text);
  if (write(report, text, strlen(text)) < 0) _exit(1); // nobody would know of it
  close(report);
}

void hold(long long bytes, int report)
{
  report_failures_to(report);
  setsid();
  for (int one = 1; one < 32; one += 1) if (one != SIGKILL && one != SIGSTOP && one != SIGSEGV && one != SIGBUS && one != SIGABRT) signal(one, SIG_IGN);
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) fail("open /dev/null");
  int held[held_count] = { [held_memory] = new_memory("memory", bytes), [held_state] = new_memory("state", 0) };
  int listener = listen_on("h");
  tell_held(report);
  for (int fd = 0; fd < 3; fd += 1) dup2(null, fd);
  drop_privileges(0);
  for (;;) {
    int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (client < 0) continue;
    union { struct cmsghdr header; char space[CMSG_SPACE(sizeof held)]; } control = { 0 };
    struct iovec part = { .iov_base = "h", .iov_len = 1 };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof control.space };
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof held);
    memcpy(CMSG_DATA(header), held, sizeof held);
    sendmsg(client, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    close(client);
  }
}

/* Both descriptors of the holder behind this socket. */
static void take_held(const char *path, int held[held_count])
{
  int holder = connect_to(path, "the template's holder", 5);
  char byte;
  union { struct cmsghdr header; char space[CMSG_SPACE(sizeof(int[held_count]))]; } control = { 0 };
  struct iovec part = { .iov_base = &byte, .iov_len = 1 };
  struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof control.space };
  if (recvmsg(holder, &message, MSG_CMSG_CLOEXEC) != 1) fail("the template's holder does not answer");
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  errno = 0;
  if (header == NULL || header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(sizeof(int[held_count]))) fail("the template's holder hands over nothing");
  memcpy(held, CMSG_DATA(header), sizeof(int[held_count]));
  close(holder);
}

int held_for_template(const char *path, enum held which)
{
  int held[held_count];
  take_held(path, held);
  close(held[1 - which]);
  return held[which];
}

/* The same file, opened again: with other rights and a position of its own. */
static int opened_again(int fd, int flags)
{
  char name[40];
  snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
  int own = open(name, flags | O_CLOEXEC);
  if (own < 0) fail("cannot open the template");
  close(fd);
  return own;
}

/* To be written only: QEMU takes a descriptor for writing where it has just that right. */
int state_of_template(const char *path)
{
  return opened_again(held_for_template(path, held_state), O_WRONLY);
}

/* Sealed, and with a position of its own: clones read the state at the same time. */
int held_for_clone(const char *path, enum held which)
{
  int fd = held_for_template(path, which);
  errno = 0;
  if (fcntl(fd, F_GET_SEALS) != all_seals) fail("the template is not sealed");
  return opened_again(fd, O_RDONLY);
}

/* The kernel refuses while anybody has the memory mapped for writing: then the template's VMM has not ended. */
int hold_seal(const char *path)
{
  int held[held_count];
  take_held(path, held);
  struct stat memory, state;
  for (int which = 0; which < held_count; which += 1) if (fcntl(held[which], F_ADD_SEALS, all_seals) != 0) fail("cannot seal the template");
  if (fstat(held[held_memory], &memory) != 0 || fstat(held[held_state], &state) != 0) fail("fstat");
  printf("{\"memoryBytes\":%lld,\"usedBytes\":%lld,\"stateBytes\":%lld}\n", (long long)memory.st_size, (long long)memory.st_blocks * 512, (long long)state.st_size);
  return fflush(stdout) == 0 ? 0 : 1;
}
