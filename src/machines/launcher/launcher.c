/*
 * The launcher: jail and keeper of one VMM.
 *
 *   launcher run <folder>       reads a description on stdin (describe.c), starts the VMM jailed (jail.c), leaves a
 *                               keeper behind (keeper.c), prints the keeper's record as JSON
 *   launcher held <folder>      exit code 0 where a keeper holds the folder's lock, 1 where none does
 *   launcher pass-disk <socket> (<set> ro|rw|new <path>)…
 *                               opens disks and hands them to a running QEMU over a QMP socket (pass-disk.c)
 *
 *   launcher hold <folder> <bytes>    leaves a holder of a template's memory and state behind (hold.c), prints who it is
 *   launcher seal <holder>      after that nobody can change them; prints their sizes
 *
 *   launcher keep-copy …        what comes of a zygote as the keeper of a copy (keeper.c, zygote/copy.c)
 *   launcher settle <socket> <line>   has a zygote make itself ready to be copied
 *
 *   launcher copy-memory …      copies the memory of a machine's guest into a file (copy-memory.c)
 *   launcher fill …             fills the memory and state that a VMM was started without
 *
 *   launcher tsc                prints how fast the time-stamp counter runs, in kHz (measure-tsc.c)
 *
 *   launcher plug|unplug|mconsole …   disks and commands of a running UML (disk-tree.c, mconsole.c)
 *
 * The caller makes the folder (0700, root). Everything in it is written by the keeper alone; the VMM never sees it.
 */
#include "launcher.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int failure_fd = 2;

void report_failures_to(int fd) { failure_fd = fd; }

bool same(const char *left, const char *right) { return strcmp(left, right) == 0; }

void fail(const char *format, ...)
{
  int error = errno;
  char text[900];
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (length < 0) length = 0;
  if ((size_t)length >= sizeof text) length = sizeof text - 1;
  // Neither dprintf nor strerror: they take locks, which in a copy (zygote/) one of its threads may have.
  char line[1000];
  length = error != 0 ? snprintf(line, sizeof line, "%.*s: %s\n", length, text, strerrordesc_np(error) ?: "unknown error") : snprintf(line, sizeof line, "%.*s\n", length, text);
  if (write(failure_fd, line, (size_t)length) < 0) _exit(1);
  _exit(1);
}

/* The lock says 'a keeper lives'; the kernel lets go of it however the keeper ends. */
static int open_lock(void)
{
  int lock = open("lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (lock < 0) fail("cannot open the folder's lock");
  return lock;
}

static void enter_folder(const char *folder)
{
  struct stat status;
  if (chdir(folder) != 0 || stat(".", &status) != 0) fail("cannot enter %s", folder);
  errno = 0;
  if (status.st_uid != 0 || (status.st_mode & 077) != 0) fail("the folder %s must belong to root alone (0700)", folder);
}

/* What the process we leave behind says of its start goes to our caller. */
static int relay_answer(int from)
{
  static char answer[8192];
  size_t have = 0;
  // Every answer is a line. The pipe's end says nothing: a zygote that was asked may have it too, and hang.
  for (ssize_t count; have < sizeof answer && (count = read(from, answer + have, sizeof answer - have)) > 0;) {
    have += (size_t)count;
    if (answer[have - 1] == '\n') break;
  }
  errno = 0;
  if (have == 0) fail("the keeper ended without a word");
  bool good = answer[0] == '{';
  if (write(good ? 1 : 2, answer, have) < 0) return 1;
  return good ? 0 : 1;
}

/* A process of our own that keeps the folder's lock and goes on when we end; zero in it. */
static pid_t leave_behind(const char *folder, int report[2], int *lock)
{
  umask(077);
  enter_folder(folder);
  *lock = open_lock();
  if (flock(*lock, LOCK_EX | LOCK_NB) != 0) { errno = 0; fail("already runs: a keeper holds %s", folder); }
  if (pipe2(report, O_CLOEXEC) != 0) fail("pipe");
  pid_t left = fork();
  if (left < 0) fail("fork");
  close(report[left == 0 ? 0 : 1]);
  return left;
}

static int run(const char *folder)
{
  static struct description description;
  description.processes = 256;
  read_description(0, &description);
  int report[2], lock;
  if (leave_behind(folder, report, &lock) == 0) keep(&description, report[1], lock);
  return relay_answer(report[0]);
}

static int start_holder(const char *folder, const char *bytes)
{
  errno = 0;
  if (strlen(bytes) > 14 || strspn(bytes, "0123456789") != strlen(bytes) || *bytes == '\0') fail("'%s' is no size", bytes);
  int report[2], lock;
  if (leave_behind(folder, report, &lock) == 0) hold(atoll(bytes), report[1]);
  return relay_answer(report[0]);
}

static int held(const char *folder)
{
  if (chdir(folder) != 0) return 1;
  int lock = open("lock", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (lock < 0) return 1;
  return flock(lock, LOCK_EX | LOCK_NB) != 0 ? 0 : 1;
}

int main(int count, char **arguments)
{
  if (count == 3 && same(arguments[1], "run")) return run(arguments[2]);
  if (count == 3 && same(arguments[1], "held")) return held(arguments[2]);
  if (count >= 6 && count % 3 == 0 && same(arguments[1], "pass-disk")) return pass_disks(arguments[2], arguments + 3, count - 3);
  if (count == 4 && same(arguments[1], "hold")) return start_holder(arguments[2], arguments[3]);
  if (count == 4 && same(arguments[1], "save-file")) return save_state(arguments[2], open_state_file(arguments[3]));
  if (count == 3 && same(arguments[1], "seal")) return hold_seal(arguments[2]);
  if (count == 8 && same(arguments[1], "plug")) return plug(arguments + 2);
  if (count == 2 && same(arguments[1], "tsc")) return measure_tsc();
  if (count == 5 && same(arguments[1], "unplug")) return unplug(arguments + 2);
  if (count == 7 && same(arguments[1], "copy-memory")) return copy_memory(arguments + 2);
  if (count >= 6 && count % 2 == 0 && same(arguments[1], "fill")) return fill(arguments + 2, count - 2);
  if (count >= 6 && same(arguments[1], "keep-copy")) keep_copy(arguments + 2, count - 2);
  if (count == 4 && same(arguments[1], "settle")) return settle(arguments[2], arguments[3]);
  if (count >= 7 && same(arguments[1], "mconsole")) return mconsole(arguments + 2, count - 2);
  errno = 0;
  fail("usage: launcher run <folder> | held <folder> | pass-disk <socket> <set> ro|rw <path> | hold <folder> <bytes> | save-file <socket> <path> | seal <holder>");
}
