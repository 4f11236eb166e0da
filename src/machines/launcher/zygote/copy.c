/*
 * One copy: a process with all that the zygote has, in a jail of its own, and the keeper that is its parent. The keeper
 * runs in the zygote's memory for the moment it takes to make the copy (vfork(2)), so that it is copied once.
 */
#include "zygote.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { keeper_arguments = 40, first_kept = first_vmm_fd };

static struct description description;
static const int *handed;
static size_t handed_count;
static char *wish;
static size_t wish_size;
static char stack[65536] __attribute__((aligned(16)));

static _Noreturn void live(const int go[2], const int failed[2])
{
  static const struct descriptors none;
  close(go[1]);
  close(failed[0]);
  int report = failed[1];
  report_failures_to(report);
  char byte;
  if (read(go[0], &byte, 1) != 1) _exit(1); // its keeper is gone
  renew_events();
  hang_up(line_now(), handed, handed_count);
  begin_line();
  for (unsigned at = 0; at < description.copied_fds; at += 1) reopen_descriptor((int)(first_vmm_fd + at));
  for (size_t at = handed_vmm; at < handed_count; at += 1) {
    set_up_tap(handed[at]);
    replace_descriptor((int)(first_vmm_fd + description.copied_fds + (at - handed_vmm)), handed[at]);
  }
  replace_descriptor(2, handed[handed_vmm_errors]);
  for (size_t at = 0; at < handed_count; at += 1) close(handed[at]);
  close_control();
  take_name(description.argument_count > 0 ? description.arguments[0] : NULL);
  confine(&description, &none, go[0]);
  forbid_as_sandbox();
  memset(wish, 0, wish_size); // who it is for is nothing that its guest should find in it
  revive_threads();
  close(go[0]);
  report_failures_to(2);
  close(report); // that is the word that it runs
  take_line();
}

/* Shares the zygote's memory until it becomes the keeper's program: nothing of it may be changed for good. */
static int become_keeper(void *nothing)
{
  (void)nothing;
  static char launcher[4096], number[16], uid[16];
  int go[2], failed[2];
  signal(SIGCHLD, SIG_DFL);
  // A zygote gives way to everything else; what comes of it does so only where it is told to.
  if (sched_setscheduler(0, SCHED_OTHER, &(struct sched_param){ 0 }) != 0) fail("sched_setscheduler");
  report_failures_to(handed[handed_report]);
  if (fchdir(handed[handed_folder]) != 0) fail("enter the machine's folder");
  if (pipe2(go, O_CLOEXEC) != 0 || pipe2(failed, O_CLOEXEC) != 0) fail("pipe");
  pid_t copy = (pid_t)syscall(SYS_clone, CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | SIGCHLD, 0, 0, 0, 0);
  if (copy < 0) fail("cannot copy the zygote");
  if (copy == 0) live(go, failed);
  int kept[kept_count];
  for (int at = 0; at < handed_folder; at += 1) kept[at] = above(handed[at]);
  kept[kept_go] = above(go[1]);
  kept[kept_failed] = above(failed[0]);
  report_failures_to(kept[handed_report]);
  for (int at = 0; at < kept_count; at += 1) if (dup2(kept[at], first_kept + at) < 0) fail("dup2");
  report_failures_to(first_kept + handed_report);
  if (syscall(SYS_close_range, first_kept + kept_count, ~0U, 0) != 0) fail("close_range");
  const char *arguments[keeper_arguments] = { launcher, "keep-copy", description.argument_count > 0 ? description.arguments[0] : "", number, uid, description.console_before ?: "" };
  size_t count = 6;
  for (size_t at = 0; at < description.count; at += 1) if (same(description.entries[at].key, "cgroup") && count + 1 < keeper_arguments) arguments[count++] = description.entries[at].value;
  snprintf(launcher, sizeof launcher, "%s", description.program);
  snprintf(number, sizeof number, "%d", (int)copy);
  snprintf(uid, sizeof uid, "%u", (unsigned)description.uid);
  execve(launcher, (char **)arguments, (char *[]){ "PATH=/usr/bin", "LC_ALL=C", NULL });
  int error = errno;
  kill(copy, SIGKILL);
  errno = error;
  fail("exec %s", launcher);
}

/* @param given descriptors as `enum handed` says; the caller closes them */
void make_copy(char *text, size_t size, const int *given, size_t count)
{
  handed = given;
  handed_count = count;
  wish = text;
  wish_size = size;
  description = (struct description){ .processes = 256 };
  report_failures_to(given[handed_report]);
  parse_description(text, size, &description);
  const char *why = look_at_descriptors();
  if (why == NULL) why = park_threads();
  if (why == NULL && clone(become_keeper, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL) < 0) why = "clone fails";
  release_threads();
  report_failures_to(2);
  if (why != NULL && dprintf(given[handed_report], "the zygote cannot be copied: %s\n", why) < 0) errno = 0;
}
