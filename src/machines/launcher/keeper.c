/*
 * The keeper: the VMM's parent and the only process that must live as long as it. It survives the daemon. It reads
 * the console all the time (a guest never blocks on an unread console), relays it to a few clients, and writes down how
 * the VMM ended. Memory is bounded: nothing is queued for a slow client, its bytes are dropped and it is told.
 */
#include "launcher.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { max_clients = 4, max_watchers = 8, error_bytes = 4096, input_bytes = 4096 };

struct client {
  int fd;
  bool skipped;
  char input[input_bytes];
  size_t from, to;
};

static struct client clients[max_clients];
static int watchers[max_watchers];
static char errors[error_bytes];
static size_t error_count;
static char relay[16384];

static void drop_client(struct client *client)
{
  close(client->fd);
  *client = (struct client){ .fd = -1 };
}

static void relay_to(struct client *client, const char *bytes, size_t count)
{
  static const char mark[] = "\r\n[output was dropped: this client reads too slowly]\r\n";
  if (client->skipped) {
    if (send(client->fd, mark, sizeof mark - 1, MSG_DONTWAIT | MSG_NOSIGNAL) != sizeof mark - 1) return;
    client->skipped = false;
  }
  ssize_t sent = send(client->fd, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN) drop_client(client);
  else if (sent < (ssize_t)count) client->skipped = true;
}

/* False when the console has nothing more to say now. */
static bool read_console(int console)
{
  ssize_t count = read(console, relay, sizeof relay);
  if (count <= 0) return false;
  add_to_ring(relay, (size_t)count);
  for (size_t at = 0; at < max_clients; at += 1) if (clients[at].fd >= 0) relay_to(&clients[at], relay, (size_t)count);
  return true;
}

/* The last bytes stay: what a program says just before it ends tells why. */
static bool read_errors(int fd)
{
  char bytes[1024];
  ssize_t count = read(fd, bytes, sizeof bytes);
  if (count <= 0) return false;
  size_t surplus = error_count + (size_t)count > error_bytes ? error_count + (size_t)count - error_bytes : 0;
  memmove(errors, errors + surplus, error_count - surplus);
  error_count -= surplus;
  memcpy(errors + error_count, bytes, (size_t)count);
  error_count += (size_t)count;
  return true;
}

static void accept_client(int listener)
{
  int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return;
  for (size_t at = 0; at < max_clients; at += 1) {
    if (clients[at].fd >= 0) continue;
    clients[at] = (struct client){ .fd = fd };
    return;
  }
  static const char full[] = "the console has its 4 clients already\r\n";
  send(fd, full, sizeof full - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
  close(fd);
}

static void accept_watcher(int listener)
{
  int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return;
  for (size_t at = 0; at < max_watchers; at += 1) {
    if (watchers[at] >= 0) continue;
    watchers[at] = fd;
    return;
  }
  close(fd);
}

/* Input waits in the client's own small buffer while the guest does not read; then the client waits too. */
static void take_input(struct client *client, short events, int console)
{
  if (client->to == client->from && (events & (POLLIN | POLLHUP | POLLERR)) != 0) {
    ssize_t count = read(client->fd, client->input, input_bytes);
    if (count == 0 || (count < 0 && errno != EAGAIN)) { drop_client(client); return; }
    client->from = 0;
    client->to = count > 0 ? (size_t)count : 0;
  }
  if (client->to == client->from) return;
  ssize_t sent = send(console, client->input + client->from, client->to - client->from, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent > 0) client->from += (size_t)sent;
}

/* A watcher only waits for the end; whatever it sends ends it. */
static void check_watcher(int *watcher)
{
  close(*watcher);
  *watcher = -1;
}

static void write_exit(int status)
{
  static char escaped[2 * error_bytes + 8], text[2 * error_bytes + 200];
  char code[16] = "null", signal_name[32] = "null";
  if (WIFEXITED(status)) snprintf(code, sizeof code, "%d", WEXITSTATUS(status));
  else snprintf(signal_name, sizeof signal_name, "\"SIG%s\"", sigabbrev_np(WTERMSIG(status)) ?: "UNKNOWN");
  escape_json(errors, error_count, escaped, sizeof escaped);
  snprintf(text, sizeof text, "{\"code\":%s,\"signal\":%s,\"at\":%lld,\"stderr\":\"%s\"}\n", code, signal_name, now_ms(), escaped);
  write_record("exit.json", text);
}

_Noreturn static void serve(pid_t vmm, struct descriptors *all, int console_listener, int watch_listener)
{
  int ended = (int)syscall(SYS_pidfd_open, vmm, 0);
  if (ended < 0) fail("pidfd_open");
  for (;;) {
    enum { console_at, errors_at, ended_at, console_listener_at, watch_listener_at, line_at, clients_at = line_at + line_polled, watchers_at = clients_at + max_clients, count = watchers_at + max_watchers };
    struct pollfd polled[count];
    bool waiting = false;
    for (int at = 0; at < max_clients; at += 1) {
      bool full = clients[at].fd >= 0 && clients[at].to > clients[at].from;
      waiting = waiting || full;
      polled[clients_at + at] = (struct pollfd){ .fd = full ? -1 : clients[at].fd, .events = POLLIN };
    }
    for (int at = 0; at < max_watchers; at += 1) polled[watchers_at + at] = (struct pollfd){ .fd = watchers[at], .events = POLLIN };
    polled[console_at] = (struct pollfd){ .fd = all->console, .events = waiting ? POLLIN | POLLOUT : POLLIN };
    polled[errors_at] = (struct pollfd){ .fd = all->errors, .events = POLLIN };
    polled[ended_at] = (struct pollfd){ .fd = ended, .events = POLLIN };
    polled[console_listener_at] = (struct pollfd){ .fd = console_listener, .events = POLLIN };
    polled[watch_listener_at] = (struct pollfd){ .fd = watch_listener, .events = POLLIN };
    poll_line(&polled[line_at]);
    if (poll(polled, count, -1) < 0) continue;
    serve_line(&polled[line_at]);
    if (polled[console_at].revents & (POLLIN | POLLHUP)) {
      if (!read_console(all->console) && (polled[console_at].revents & POLLHUP)) { close(all->console); all->console = -1; }
    }
    if (polled[errors_at].revents != 0 && !read_errors(all->errors) && (polled[errors_at].revents & POLLHUP)) { close(all->errors); all->errors = -1; }
    for (int at = 0; at < max_clients; at += 1) {
      if (clients[at].fd >= 0) take_input(&clients[at], polled[clients_at + at].fd >= 0 ? polled[clients_at + at].revents : 0, all->console);
    }
    for (int at = 0; at < max_watchers; at += 1) if (watchers[at] >= 0 && polled[watchers_at + at].revents != 0) check_watcher(&watchers[at]);
    if (polled[console_listener_at].revents != 0) accept_client(console_listener);
    if (polled[watch_listener_at].revents != 0) accept_watcher(watch_listener);
    if (polled[ended_at].revents == 0) continue;
    int status = 0;
    if (waitpid(vmm, &status, WNOHANG) != vmm) continue;
    while (all->console >= 0 && read_console(all->console)) { /* its last words */ }
    while (all->errors >= 0 && read_errors(all->errors)) { /* its last words */ }
    write_exit(status);
    _exit(0); // closes every client's and watcher's socket: that is the news
  }
}

static void join_cgroup(const char *folder, pid_t vmm)
{
  char path[4200], text[16];
  int length = snprintf(text, sizeof text, "%d", (int)vmm);
  snprintf(path, sizeof path, "%s/cgroup.procs", folder);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return; // limits are set where the host allows it
  if (write(fd, text, (size_t)length) < 0) errno = 0;
  close(fd);
}

static void join_cgroups(const struct description *description, pid_t vmm)
{
  for (size_t at = 0; at < description->count; at += 1) if (same(description->entries[at].key, "cgroup")) join_cgroup(description->entries[at].value, vmm);
}

static void detach(int lock)
{
  setsid();
  for (int one = 1; one < 32; one += 1) if (one != SIGKILL && one != SIGSTOP && one != SIGCHLD && one != SIGSEGV && one != SIGBUS && one != SIGABRT) signal(one, SIG_IGN);
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) fail("open /dev/null");
  for (int fd = 0; fd < 3; fd += 1) dup2(null, fd);
  (void)lock; // stays open as long as we live
  for (size_t at = 0; at < max_clients; at += 1) clients[at].fd = -1;
  for (size_t at = 0; at < max_watchers; at += 1) watchers[at] = -1;
}

static _Noreturn void end_unstarted(pid_t vmm)
{
  kill(vmm, SIGKILL);
  waitpid(vmm, NULL, 0);
  _exit(1);
}

/* Waits until the VMM's program runs; its own word on failure, as the jail reported it, goes on to our starter. */
static void await_exec(int from, pid_t vmm, int report)
{
  char text[1024];
  struct pollfd polled[] = { { .fd = from, .events = POLLIN }, { .fd = report } };
  while (poll(polled, 2, -1) < 0) { /* again */ }
  if (polled[0].revents == 0) end_unstarted(vmm); // nobody waits for it any more
  ssize_t count = read(from, text, sizeof text);
  close(from);
  if (count <= 0) return;
  if (write(report, text, (size_t)count) < 0) errno = 0;
  end_unstarted(vmm);
}

static void tell_started(pid_t vmm, uid_t uid, int report)
{
  char boot[64], text[400];
  boot_id(boot, sizeof boot);
  snprintf(text, sizeof text,
    "{\"keeper\":{\"bootId\":\"%s\",\"pid\":%d,\"startTicks\":%lld},\"vmm\":{\"bootId\":\"%s\",\"pid\":%d,\"startTicks\":%lld},\"uid\":%u,\"at\":%lld}\n",
    boot, (int)getpid(), start_ticks(getpid()), boot, (int)vmm, start_ticks(vmm), (unsigned)uid, now_ms());
  write_record("keeper.json", text);
  if (write(report, text, strlen(text)) >= 0) { close(report); return; }
  // Who asked for this machine is gone: a machine nobody knows of must not run.
  kill(vmm, SIGKILL);
  waitpid(vmm, NULL, 0);
  unlink("keeper.json");
  _exit(1);
}

/* The VMM is there and waits for our word; we stay with it. */
static _Noreturn void stay(pid_t vmm, uid_t uid, struct descriptors *all, int console_listener, int watch_listener, int go, int failed, int report)
{
  if (write(go, "g", 1) != 1) fail("cannot start the VMM");
  await_exec(failed, vmm, report);
  if (!has_memory()) end_unstarted(vmm);
  tell_started(vmm, uid, report);
  // The kernel asks a dying keeper for the right to end its VMM, which has another uid.
  drop_privileges(1u << CAP_KILL);
  serve(vmm, all, console_listener, watch_listener);
}

void keep(const struct description *description, int report, int lock)
{
  report_failures_to(report);
  detach(lock);
  unlink("exit.json");
  unlink("keeper.json");
  static struct descriptors all;
  if (description->copy_of == NULL) open_ring(description->console_before);
  open_descriptors(description, &all);
  int console_listener = listen_on("c"), watch_listener = listen_on("w");
  if (description->copy_of != NULL) {
    int folder = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) fail("open the machine's folder");
    ask_for_copy(description, &all, (int[]){ [handed_lock] = lock, [handed_report] = report, [handed_console] = all.console, [handed_errors] = all.errors, [handed_console_listener] = console_listener, [handed_watch_listener] = watch_listener, [handed_folder] = folder, [handed_vmm_errors] = all.vmm_errors });
  }
  open_line(all.line);
  int go[2], failed[2];
  if (pipe2(go, O_CLOEXEC) != 0 || pipe2(failed, O_CLOEXEC) != 0) fail("pipe");
  unsigned long namespaces = description->zygote != NULL ? 0 : CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
  pid_t vmm = (pid_t)syscall(SYS_clone, namespaces | SIGCHLD, 0, 0, 0, 0);
  if (vmm < 0) fail("cannot make namespaces");
  if (vmm == 0) {
    close(go[1]);
    if (description->zygote != NULL) run_bare(description, &all, go[0], failed[1]);
    enter_jail(description, &all, go[0], failed[1]);
  }
  close(go[0]);
  close(failed[1]);
  for (size_t at = 0; at < all.count; at += 1) close(all.vmm[at]);
  for (size_t at = 0; at < all.tree_count; at += 1) close(all.trees[at]);
  close(all.vmm_errors);
  join_cgroups(description, vmm);
  stay(vmm, description->uid, &all, console_listener, watch_listener, go[1], failed[0], report);
}

/* keep-copy <name, for lists of processes> <vmm> <uid> <ring that the console begins with, or nothing> <cgroup>…: with descriptors as `enum handed` and kept_* say, in the machine's folder. */
void keep_copy(char **arguments, int count)
{
  enum { base = first_vmm_fd };
  pid_t vmm = atoi(arguments[1]);
  umask(077);
  report_failures_to(base + handed_report);
  detach(base + handed_lock);
  for (int fd = base; fd < base + kept_count; fd += 1) if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) fail("the zygote handed over too little");
  static struct descriptors all = { .console = base + handed_console, .errors = base + handed_errors, .line = -1 };
  open_ring(*arguments[3] == '\0' ? NULL : arguments[3]);
  open_line(-1);
  for (int at = 4; at < count; at += 1) join_cgroup(arguments[at], vmm);
  stay(vmm, (uid_t)atoi(arguments[2]), &all, base + handed_console_listener, base + handed_watch_listener, base + kept_go, base + kept_failed, base + handed_report);
}
