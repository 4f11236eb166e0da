/*
 * In the place of a VMM that is copied: threads that wait for one another by events, locks and conditions, have memory of
 * their own, and answer on the console (descriptor 3). Words: `count` says how often it was asked, as main, as a thread with
 * its own storage and as a busy thread saw it; `try` what the kernel refuses; `talk` whether its connection leads anywhere; `draw` random numbers as QEMU does; `threads` their number; `leave` ends with 7.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t answered = PTHREAD_COND_INITIALIZER;
static _Thread_local int own;
static int asked, by_worker = -1, event, ends[2] = { -1, -1 };
static atomic_int seen, wanted;

static void *work(void *nothing)
{
  for (eventfd_t value;;) {
    if (eventfd_read(event, &value) != 0) continue;
    pthread_mutex_lock(&lock);
    if (asked > own) by_worker = ++own; // an event too many is none
    pthread_cond_signal(&answered);
    pthread_mutex_unlock(&lock);
  }
  return nothing;
}

static void *spin(void *nothing)
{
  for (;;) {
    for (int one = 0; one < 500000; one += 1) atomic_store(&seen, atomic_load(&wanted));
    usleep(2000);
  }
  return nothing;
}

static void count(void)
{
  pthread_mutex_lock(&lock);
  asked += 1;
  by_worker = -1;
  eventfd_write(event, 1);
  while (by_worker != asked) pthread_cond_wait(&answered, &lock);
  pthread_mutex_unlock(&lock);
  atomic_store(&wanted, asked);
  while (atomic_load(&seen) != asked) sched_yield();
  dprintf(3, "%d %d %d\n", asked, by_worker, atomic_load(&seen));
}

static void threads(void)
{
  int found = 0;
  DIR *all = opendir("/proc/self/task"); // of a jail there is no /proc
  if (all != NULL) while (readdir(all) != NULL) found += 1;
  dprintf(3, "%d\n", all == NULL ? -1 : found - 2);
}

/* GnuTLS is not linked: what is there is what the zygote's library puts in its place. */
int gnutls_rnd(int level, void *data, size_t size) __attribute__((weak));

static void draw(void)
{
  unsigned char bytes[16] = { 0 };
  if (gnutls_rnd == NULL || gnutls_rnd(1, bytes, sizeof bytes) != 0) dprintf(3, "none");
  for (size_t at = 0; gnutls_rnd != NULL && at < sizeof bytes; at += 1) dprintf(3, "%02x", bytes[at]);
  dprintf(3, "\n");
}

static void tell(const char *what, long result)
{
  dprintf(3, "%s:%s ", what, result >= 0 ? "done" : strerrorname_np(errno));
}

static void try_all(void)
{
  char *none[] = { NULL };
  tell("open", open("/etc/passwd", O_RDONLY));
  tell("inet", socket(AF_INET, SOCK_STREAM, 0));
  tell("mount", mount("x", "/", "tmpfs", 0, NULL));
  tell("unshare", unshare(CLONE_NEWUSER));
  tell("setuid", syscall(SYS_setresuid, 0, 0, 0));
  tell("exec", execve("/bin/true", none, none));
  tell("fork", syscall(SYS_clone, 0, 0, 0, 0, 0));
  tell("write", open("/new", O_CREAT | O_WRONLY, 0600));
  tell("kill", syscall(SYS_kill, 4000, 0));
  dprintf(3, "\n");
}

/* What a copy says there, somebody would hear who listens to the zygote. */
static void talk(void)
{
  tell("send", send(ends[0], "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT));
  dprintf(3, "\n");
}

int main(int argc, char **argv)
{
  pthread_t thread;
  event = eventfd(0, EFD_CLOEXEC);
  if (argc > 3 && strcmp(argv[3], "watches") == 0) {
    struct epoll_event wish = { .events = EPOLLIN };
    epoll_ctl(epoll_create1(EPOLL_CLOEXEC), EPOLL_CTL_ADD, 3, &wish);
  }
  if (argc > 3 && strcmp(argv[3], "shares") == 0) mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (argc > 3 && strcmp(argv[3], "connects") == 0) socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends);
  if (pthread_create(&thread, NULL, work, NULL) != 0 || pthread_create(&thread, NULL, spin, NULL) != 0) return 1;
  char word[64];
  for (ssize_t size; (size = read(3, word, sizeof word - 1)) > 0;) {
    word[size] = '\0';
    if (strncmp(word, "count", 5) == 0) count();
    else if (strncmp(word, "try", 3) == 0) try_all();
    else if (strncmp(word, "draw", 4) == 0) draw();
    else if (strncmp(word, "talk", 4) == 0) talk();
    else if (strncmp(word, "threads", 7) == 0) threads();
    else if (strncmp(word, "leave", 5) == 0) { fprintf(stderr, "told to\n"); exit(7); }
  }
  return 2;
}
