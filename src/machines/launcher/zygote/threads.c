/*
 * A process with threads is copied with all of them. fork(2) copies memory, and of the threads the calling one. So each
 * other one is first brought into a signal's handler, where it stores where it is and waits; in the copy a new thread with
 * the same stack and the same thread-local storage jumps there, returns from the handler and goes on as if nothing had
 * been: within a lock if it was within one (but for those that ask who has them: QEMU has none of these where it stands still).
 * What the kernel keeps for a thread is registered again (set_robust_list(2),
 * rseq(2), clone(2)'s CLONE_CHILD_CLEARTID).
 */
#include "zygote.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
  max_threads = 48,
  /* QEMU blocks all signals in its threads but those that a thread's own fault raises. */
  parking = SIGILL,
  limit_ms = 2000,
};

struct thread {
  atomic_int id; /* 0: it has ended */
  atomic_bool parked;
  char *storage; /* its thread-local storage: glibc's struct pthread begins there */
  void *robust;
  size_t robust_size;
  jmp_buf place;
  char stack[4096] __attribute__((aligned(16))); /* for the moment until it is on its own */
};

static struct thread threads[max_threads];
static size_t thread_count;
static atomic_int released;
static atomic_bool in_parking;
static bool id_is_known;
static long id_offset; /* of a thread's id in its storage, where glibc keeps it */
static struct sigaction before;

static void futex(int what, int value) { syscall(SYS_futex, &released, what | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0); }
static pid_t own_id(void) { return (pid_t)syscall(SYS_gettid); }
static pid_t *id_in(char *storage) { return (pid_t *)(storage + id_offset); }

static long long now(void)
{
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000LL + time.tv_nsec / 1000000;
}

static struct thread *find(pid_t id)
{
  for (size_t at = 0; at < thread_count; at += 1) if (atomic_load(&threads[at].id) == id) return &threads[at];
  return NULL;
}

static void park(int number, siginfo_t *information, void *context)
{
  (void)context;
  int error = errno, seen = atomic_load(&released);
  struct thread *self = find(own_id());
  if (information->si_code != SI_TKILL) {
    // A fault of its own: as it would have ended without us.
    sigaction(number, &before, NULL);
    return;
  }
  if (!atomic_load(&in_parking) || self == NULL) { // too late for a wish that has been given up
    errno = error;
    return;
  }
  self->storage = __builtin_thread_pointer();
  syscall(SYS_get_robust_list, 0, &self->robust, &self->robust_size);
  if (_setjmp(self->place) == 0) {
    atomic_store(&self->parked, true);
    while (atomic_load(&released) == seen) futex(FUTEX_WAIT, seen);
  }
  errno = error;
}

/* glibc's struct pthread, of less than 2304 bytes, begins at the thread pointer or ends there (its sysdeps' tls.h: TLS_TCB_AT_TP, TLS_DTV_AT_TP). */
#if defined(__x86_64__)
enum { first_offset = 0 };
#else
enum { first_offset = -2304 };
#endif

/* Where in it a thread's id is, is glibc's own affair: it is looked for, and every thread must have it there. */
void prepare_threads(void)
{
  char *own = __builtin_thread_pointer();
  for (id_offset = first_offset; id_offset < first_offset + 2304 && *id_in(own) != own_id(); id_offset += (long)sizeof(pid_t)) { /* on */ }
  id_is_known = id_offset < first_offset + 2304;
  struct sigaction action = { .sa_sigaction = park, .sa_flags = SA_SIGINFO | SA_RESTART };
  sigfillset(&action.sa_mask);
  sigaction(parking, &action, &before);
}

/* One more that is not known yet. False where there are too many. */
static bool signal_new_one(pid_t id)
{
  if (id == 0 || id == own_id() || find(id) != NULL) return true;
  if (thread_count == max_threads) return false;
  atomic_store(&threads[thread_count].parked, false);
  atomic_store(&threads[thread_count].id, id);
  thread_count += 1;
  syscall(SYS_tgkill, getpid(), id, parking);
  return true;
}

/* Of the kernel, without opendir(3): that would ask malloc, whose lock one that is parked may have. */
static bool signal_new_ones(void)
{
  struct entry { uint64_t inode; int64_t next; unsigned short length; unsigned char type; char name[]; };
  static char entries[8192] __attribute__((aligned(8)));
  int tasks = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  bool fits = tasks >= 0;
  for (long size; fits && (size = syscall(SYS_getdents64, tasks, entries, sizeof entries)) > 0;) {
    for (long at = 0; at < size && fits; at += ((struct entry *)(entries + at))->length) fits = signal_new_one(atoi(((struct entry *)(entries + at))->name));
  }
  close(tasks);
  return fits;
}

/* What a parked one holds, malloc's lock perhaps, is held: until they are released nothing may be called that could wait. */
const char *park_threads(void)
{
  if (!id_is_known) return "this C library keeps its threads otherwise";
  thread_count = 0;
  atomic_store(&in_parking, true);
  long long limit = now() + limit_ms;
  // One that is parked last may have made another meanwhile; a worker may have ended.
  for (size_t settled = 0;;) {
    if (!signal_new_ones()) return "it has more threads than can be copied";
    size_t waiting = 0;
    for (size_t at = 0; at < thread_count; at += 1) {
      if (threads[at].id == 0 || atomic_load(&threads[at].parked)) continue;
      if (syscall(SYS_tgkill, getpid(), threads[at].id, 0) != 0) threads[at].id = 0; else waiting += 1;
    }
    if (waiting == 0 && settled == thread_count) break;
    settled = waiting == 0 ? thread_count : (size_t)-1;
    if (now() > limit) return "one of its threads does not stand still";
    sched_yield();
  }
  for (size_t at = 0; at < thread_count; at += 1) if (threads[at].id != 0 && *id_in(threads[at].storage) != threads[at].id) return "this C library keeps its threads otherwise";
  return NULL;
}

void release_threads(void)
{
  atomic_store(&in_parking, false);
  atomic_fetch_add(&released, 1);
  futex(FUTEX_WAKE, max_threads);
}

/* glibc asks the kernel to write the processor's number there; where nobody does, it must not be taken for one. */
static void register_sequences(char *storage)
{
  if (__rseq_size == 0) return;
  struct rseq *area = (struct rseq *)(storage + __rseq_offset);
  area->cpu_id = (uint32_t)RSEQ_CPU_ID_REGISTRATION_FAILED;
  syscall(SYS_rseq, area, 32, 0, RSEQ_SIG);
}

static int go_on(void *argument)
{
  struct thread *self = argument;
  syscall(SYS_set_robust_list, self->robust, self->robust_size);
  register_sequences(self->storage);
  _longjmp(self->place, 1);
}

/* In the copy, of which the calling thread is the only one. */
void revive_threads(void)
{
  char *own = __builtin_thread_pointer();
  *id_in(own) = own_id();
  register_sequences(own);
  atomic_store(&in_parking, false);
  for (size_t at = 0; at < thread_count; at += 1) {
    struct thread *one = &threads[at];
    if (one->id == 0) continue;
    pid_t *id = id_in(one->storage);
    int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
    if (clone(go_on, one->stack + sizeof one->stack, flags, one, id, one->storage, id) < 0) fail("cannot make the copy's threads");
  }
}
