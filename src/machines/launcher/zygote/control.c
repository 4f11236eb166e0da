/*
 * A zygote: a VMM that stands still with its guest ready, and is copied for each machine that starts, with its memory and
 * all the guest code it has translated. This library is loaded into it. Its one thread hears on a socket what is wished;
 * QEMU knows nothing of it.
 */
#include "zygote.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int control = -1, client = -1;
static bool settled; /* what has not been said so may be in the middle of something, with others at the ends of its lines */

/* QEMU keeps the guest's memory from children that it does not know of; these are to have it. */
IN_ITS_PLACE int madvise(void *start, size_t length, int advice)
{
  if (control >= 0 && advice == MADV_DONTFORK) return 0;
  return (int)syscall(SYS_madvise, start, length, advice);
}

/* Memory that copies would share and write: one would see the other's. */
static const char *look_at_memory(void)
{
  char line[512];
  FILE *maps = fopen("/proc/self/maps", "re");
  if (maps == NULL) return "it cannot see its memory";
  bool shares = false;
  while (fgets(line, sizeof line, maps) != NULL) {
    const char *rights = strchr(line, ' ');
    if (rights != NULL && rights[2] == 'w' && rights[4] == 's') shares = true;
  }
  fclose(maps);
  return shares ? "it shares memory that it writes" : NULL;
}

/* It was made behind everything else. Now it stands still, and those who ask for a copy wait for all of its threads. */
static void give_way_no_more(void)
{
  DIR *tasks = opendir("/proc/self/task");
  if (tasks == NULL) return;
  for (struct dirent *entry; (entry = readdir(tasks)) != NULL;) if (atoi(entry->d_name) != 0) sched_setscheduler(atoi(entry->d_name), SCHED_OTHER, &(struct sched_param){ 0 });
  closedir(tasks);
}

static void answer_settle(const char *line)
{
  char answer[300] = "ready";
  const char *why = look_at_descriptors();
  if (why == NULL) why = look_at_memory();
  if (why == NULL && !same(line, "-")) why = settle_line(atoi(line));
  if (why == NULL) lay_holes();
  if (why == NULL) give_way_no_more();
  settled = why == NULL;
  if (why != NULL) snprintf(answer, sizeof answer, "the zygote cannot be copied: %s", why);
  if (send(client, answer, strlen(answer), MSG_NOSIGNAL) < 0) errno = 0;
}

/* A wish for a copy comes with descriptors, all of them; a word comes with none. */
static void answer(void)
{
  static char text[max_wish];
  static int given[handed_vmm + max_copied];
  union { struct cmsghdr header; char space[CMSG_SPACE(sizeof given)]; } space;
  memset(text, 0, sizeof text); // of another's wish no copy is to have anything
  struct iovec part = { .iov_base = text, .iov_len = sizeof text };
  struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = space.space, .msg_controllen = sizeof space.space };
  ssize_t size = recvmsg(client, &message, MSG_CMSG_CLOEXEC);
  if (size <= 0) return;
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  size_t count = header == NULL ? 0 : (header->cmsg_len - CMSG_LEN(0)) / sizeof *given;
  if (header != NULL) memcpy(given, CMSG_DATA(header), count * sizeof *given);
  if (count >= handed_vmm && settled) make_copy(text, (size_t)size, given, count);
  else if (count >= handed_vmm) dprintf(given[handed_report], "the zygote is not ready to be copied\n");
  else if (count == 0 && size > 7 && text[size - 1] == '\0' && same(text, "settle")) answer_settle(text + sizeof "settle");
  for (size_t at = 0; at < count; at += 1) close(given[at]);
}

void close_control(void)
{
  close(client);
  close(control);
}

static void *serve(void *nothing)
{
  (void)nothing;
  sigset_t every;
  sigfillset(&every);
  pthread_sigmask(SIG_SETMASK, &every, NULL);
  signal(SIGCHLD, SIG_IGN); // keepers of copies are nobody's children here
  prepare_threads();
  for (;;) {
    client = accept4(control, NULL, NULL, SOCK_CLOEXEC);
    if (client < 0) continue;
    answer();
    close(client);
  }
  return NULL;
}

static char *name;
static size_t name_room;

/* What lists of processes show. */
void take_name(const char *own)
{
  if (name == NULL || own == NULL) return;
  memset(name, 0, name_room);
  memcpy(name, own, strnlen(own, name_room));
}

/* glibc gives constructors what it gives to main. */
__attribute__((constructor)) static void begin(int count, char **arguments)
{
  const char *number = getenv("STRATA_ZYGOTE");
  pthread_t thread;
  if (number == NULL) return;
  for (int at = 1; at < count; at += 1) {
    if (!same(arguments[at - 1], "-name")) continue;
    name = arguments[at];
    name_room = strlen(name);
  }
  control = atoi(number);
  remember_descriptors();
  if (fcntl(control, F_SETFL, 0) != 0) _exit(1); // we wait for whoever comes, and do nothing else
  if (pthread_create(&thread, NULL, serve, NULL) != 0) _exit(1);
}
