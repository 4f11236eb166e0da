/*
 * The jail: own mount, pid, network, ipc and uts namespaces (keeper.c made them), a root folder with nothing but what
 * the VMM needs to run, an own uid, no capability, no way to gain one. The VMM is pid 1 of its pid namespace, so
 * that nothing of it outlives it. seccomp is ours (forbid-calls.c) and then QEMU's own (-sandbox), which knows what
 * each device needs; a copy of a zygote gets the like of it from us.
 */
#include "launcher.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static char place[4200];

/* `root/<path>`, its parent folders made. */
static const char *inside(const char *path)
{
  errno = 0;
  if (path[0] != '/' || strstr(path, "/..") != NULL || strlen(path) > 4000) fail("'%s' is no place in a jail", path);
  snprintf(place, sizeof place, "root%s", path);
  for (char *slash = strchr(place + 5, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
    *slash = '\0';
    if (mkdir(place, 0755) != 0 && errno != EEXIST) fail("mkdir %s", place);
    *slash = '/';
  }
  return place;
}

const char *split_at_tab(const char *value, char *first, size_t size)
{
  const char *tab = strchr(value, '\t');
  errno = 0;
  if (tab == NULL || (size_t)(tab - value) >= size) fail("'%s' lacks its second part", value);
  memcpy(first, value, (size_t)(tab - value));
  first[tab - value] = '\0';
  return tab + 1;
}

static void bind_read_only(const char *value)
{
  static char source[4096];
  const char *target = inside(split_at_tab(value, source, sizeof source));
  struct stat status;
  if (stat(source, &status) != 0) fail("the jail needs %s", source);
  if (S_ISDIR(status.st_mode)) {
    if (mkdir(target, 0755) != 0 && errno != EEXIST) fail("mkdir %s", target);
  } else {
    int fd = open(target, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    if (fd < 0) fail("create %s", target);
    close(fd);
  }
  if (mount(source, target, NULL, MS_BIND, NULL) != 0) fail("bind %s", source);
  if (mount(NULL, target, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) != 0) fail("make %s read-only", target);
}

static void make_link(const char *value)
{
  static char target[4096];
  const char *path = inside(split_at_tab(value, target, sizeof target));
  if (symlink(target, path) != 0) fail("link %s", path);
}

/*
 * Memory of the VMM's own, of a bounded size. It may run code from it: UML maps its guest's memory so. In huge pages where the
 * host has them for files: a guest's boot is a third page faults otherwise.
 */
static void make_memory(const char *value, uid_t owner)
{
  static char bytes[32], options[128];
  const char *path = split_at_tab(value, bytes, sizeof bytes);
  int usual = snprintf(options, sizeof options, "size=%s,nr_inodes=64,mode=700,uid=%u,gid=%u", bytes, (unsigned)owner, (unsigned)owner);
  snprintf(options + usual, sizeof options - (size_t)usual, ",huge=always");
  const char *target = inside(path);
  if (mkdir(target, 0700) != 0 && errno != EEXIST) fail("mkdir %s", target);
  if (mount("memory", target, "tmpfs", MS_NOSUID | MS_NODEV, options) == 0) return;
  options[usual] = '\0'; // of a kernel without them
  if (mount("memory", target, "tmpfs", MS_NOSUID | MS_NODEV, options) != 0) fail("mount %s", path);
  errno = 0;
}

/* Where disks are mounted, now and later (disk-tree.c); the VMM cannot write there. */
static void make_disks_folder(const char *path)
{
  const char *target = inside(path);
  if (mkdir(target, 0755) != 0 && errno != EEXIST) fail("mkdir %s", target);
  if (mount("disks", target, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=64k,nr_inodes=128,mode=755") != 0) fail("mount %s", path);
}

/*
 * The VMM's own descriptors by name, and nothing else of /proc: QEMU opens a machine's memory by a path only. What it may
 * open so is what it has, with the rights its uid has on each file.
 */
static void show_own_descriptors(const char *path)
{
  static const char whole[] = "root/.proc", own[] = "root/.proc/self/fd";
  if (mkdir(whole, 0700) != 0 || mount("proc", whole, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0) fail("mount /proc");
  const char *target = inside(path);
  if (mkdir(target, 0755) != 0 && errno != EEXIST) fail("mkdir %s", target);
  if (mount(own, target, NULL, MS_BIND, NULL) != 0) fail("bind %s", path);
  if (mount(NULL, target, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0) fail("make %s read-only", path);
  if (umount2(whole, MNT_DETACH) != 0 || rmdir(whole) != 0) fail("let go of /proc");
}

static void mount_disk(const char *value, int tree)
{
  static char source[4096];
  mount_disk_tree(tree, inside(split_at_tab(value, source, sizeof source)));
}

/* A node of our own: the host's /dev/kvm stays root's. */
static void make_device(const char *path, uid_t owner)
{
  struct stat status;
  if (stat(path, &status) != 0) fail("the jail needs %s", path);
  errno = 0;
  if (!S_ISCHR(status.st_mode)) fail("%s is no character device", path);
  const char *node = inside(path);
  if (mknod(node, S_IFCHR | 0600, status.st_rdev) != 0 || chown(node, owner, owner) != 0) fail("make %s", node);
}

static void build_root(const struct description *description, const struct descriptors *all)
{
  size_t tree = 0;
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) fail("make mounts private");
  if (mkdir("root", 0755) != 0 && errno != EEXIST) fail("mkdir root");
  if (mount("jail", "root", "tmpfs", MS_NOSUID, "size=256k,nr_inodes=200,mode=755") != 0) fail("mount the jail's root");
  for (size_t at = 0; at < description->count; at += 1) {
    const struct entry *entry = &description->entries[at];
    if (same(entry->key, "bind")) bind_read_only(entry->value);
    else if (same(entry->key, "link")) make_link(entry->value);
    else if (same(entry->key, "device")) make_device(entry->value, description->uid);
    else if (same(entry->key, "memory")) make_memory(entry->value, description->uid);
    else if (same(entry->key, "own-fds")) show_own_descriptors(entry->value);
    else if (same(entry->key, "disks")) make_disks_folder(entry->value);
    else if (is_mount(entry)) mount_disk(entry->value, all->trees[tree++]);
  }
  if (mount(NULL, "root", NULL, MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NOEXEC, NULL) != 0) fail("make the jail's root read-only");
}

static void enter_root(void)
{
  if (chdir("root") != 0) fail("chdir root");
  if (syscall(SYS_pivot_root, ".", ".") != 0) fail("pivot_root");
  if (umount2(".", MNT_DETACH) != 0) fail("let go of the host's files");
  if (chdir("/") != 0) fail("chdir /");
}

/* Only ever lowers: raising needs a capability that some hosts lack, lowering never does. */
static void lower_limit(int what, rlim_t value)
{
  struct rlimit limit;
  if (getrlimit(what, &limit) != 0) return;
  if (limit.rlim_max > value) limit.rlim_max = value;
  if (limit.rlim_cur > limit.rlim_max) limit.rlim_cur = limit.rlim_max;
  if (setrlimit(what, &limit) != 0) fail("setrlimit %d", what);
}

/* The kernel ends a VMM before it ends the daemon. Not every host lets us say so. */
static void offer_to_the_oom_killer(void)
{
  int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  if (write(fd, "500", 3) < 0) errno = 0;
  close(fd);
}

static void give_way(void)
{
  if (sched_setscheduler(0, SCHED_IDLE, &(struct sched_param){ 0 }) != 0) fail("sched_setscheduler");
}

/* A copy of a descriptor where no VMM has any. */
int above(int fd)
{
  int high = fcntl(fd, F_DUPFD_CLOEXEC, 400);
  if (high < 0) fail("fcntl");
  return high;
}

/* Descriptors 0 to 2, then the VMM's in order from 3; all others end with exec. */
static void arrange_descriptors(const struct descriptors *all, int *go, int *report)
{
  int high[max_entries];
  *go = above(*go);
  report_failures_to(*report = above(*report));
  int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null < 0) fail("open /dev/null");
  int errors = above(all->vmm_errors);
  for (size_t at = 0; at < all->count; at += 1) high[at] = above(all->vmm[at]);
  if (dup2(null, 0) < 0 || dup2(errors, 1) < 0 || dup2(errors, 2) < 0) fail("dup2");
  unsigned next = first_vmm_fd;
  for (size_t at = 0; at < all->count; at += 1) if (dup2(high[at], (int)next++) < 0) fail("dup2");
  if (syscall(SYS_close_range, next, ~0U, CLOSE_RANGE_CLOEXEC) != 0) fail("close_range (Linux 5.11 or later is needed)");
}

/* @param kept capabilities that stay, as a mask of the first 32 */
void drop_privileges(unsigned kept)
{
  for (int one = 0; prctl(PR_CAPBSET_DROP, one, 0, 0, 0) == 0; one += 1) { /* until the kernel knows no more */ }
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
  struct __user_cap_data_struct left[2] = { { .effective = kept, .permitted = kept } };
  if (syscall(SYS_capset, &header, left) != 0) fail("drop capabilities");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) fail("no_new_privs");
}

static void become(uid_t uid, gid_t gid)
{
  // The bounding set goes while the right to lower it is there; the rest after the uid has changed.
  for (int one = 0; prctl(PR_CAPBSET_DROP, one, 0, 0, 0) == 0; one += 1) { /* until the kernel knows no more */ }
  // Of the kernel: the library's functions wait for every thread that it knows, and in a copy (zygote/) these are not there yet.
  if (syscall(SYS_setgroups, 0, NULL) != 0 || syscall(SYS_setresgid, gid, gid, gid) != 0 || syscall(SYS_setresuid, uid, uid, uid) != 0) fail("become uid %u", uid);
  drop_privileges(0);
}

/* The VMM never outlives its keeper. A change of the uid clears the wish, so it comes last; a keeper that died before it has hung up `go`. */
static void end_with_keeper(int go)
{
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) fail("prctl");
  struct pollfd end = { .fd = go };
  if (poll(&end, 1, 0) != 0) _exit(1);
}

/*
 * UML ends itself by signals that the kernel keeps from a pid 1, and would spin for ever. So where it runs, we stay as
 * pid 1 with nothing but its end to wait for; our end, at its own or by SIGKILL, is the end of all in the namespace.
 */
static void stay_as_first_process(void)
{
  pid_t program = fork();
  if (program < 0) fail("fork");
  if (program == 0) return;
  syscall(SYS_close_range, 0, ~0U, 0);
  for (;;) {
    int status = 0;
    pid_t ended = waitpid(-1, &status, 0);
    if (ended == program) _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    if (ended < 0 && errno != EINTR) _exit(1);
  }
}

/* All of the jail but the VMM's descriptors; the current folder is the machine's. */
void confine(const struct description *description, const struct descriptors *all, int go)
{
  umask(022);
  setsid();
  if (sethostname("machine", 7) != 0) fail("sethostname");
  offer_to_the_oom_killer();
  build_root(description, all);
  enter_root();
  lower_limit(RLIMIT_CORE, 0);
  lower_limit(RLIMIT_NOFILE, 1024);
  lower_limit(RLIMIT_NPROC, description->processes);
  if (description->idle) give_way();
  become(description->uid, description->gid);
  end_with_keeper(go);
  forbid_calls(description->traces);
}

static void await_keeper(int go, int report)
{
  report_failures_to(report);
  char byte;
  if (read(go, &byte, 1) != 1) _exit(1); // it is gone
}

static _Noreturn void become_program(const struct description *description, char **environment)
{
  for (int one = 1; one < 32; one += 1) signal(one, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  execve(description->program, description->arguments, environment);
  fail("exec %s", description->program);
}

void enter_jail(const struct description *description, const struct descriptors *all, int go, int report)
{
  await_keeper(go, report);
  arrange_descriptors(all, &go, &report);
  confine(description, all, go);
  char *environment[5] = { "PATH=/usr/bin", "LC_ALL=C" };
  size_t count = 2;
  if (description->huge_heap) environment[count++] = "GLIBC_TUNABLES=glibc.malloc.hugetlb=1";
  if (description->kept_heap && description->copyable) environment[count++] = "LD_PRELOAD=/heap.so:/copyable.so";
  else if (description->kept_heap) environment[count++] = "LD_PRELOAD=/heap.so";
  else if (description->copyable) environment[count++] = "LD_PRELOAD=/copyable.so";
  if (description->traces) stay_as_first_process();
  become_program(description, environment);
}

/* A zygote runs where the launcher does: its copies are jailed, and nobody but them and their keepers comes of it. */
void run_bare(const struct description *description, const struct descriptors *all, int go, int report)
{
  static char library[4200], control[32];
  await_keeper(go, report);
  ssize_t length = readlink("/proc/self/exe", library + sizeof "LD_PRELOAD=" - 1, sizeof library - 40);
  if (length <= 0) fail("where is the launcher");
  memcpy(library, "LD_PRELOAD=", sizeof "LD_PRELOAD=" - 1);
  strcpy(library + sizeof "LD_PRELOAD=" - 1 + length, "-zygote.so");
  snprintf(control, sizeof control, "STRATA_ZYGOTE=%s", description->zygote);
  arrange_descriptors(all, &go, &report);
  setsid();
  if (description->idle) give_way();
  forbid_rings();
  end_with_keeper(go);
  become_program(description, (char *[]){ "PATH=/usr/bin", "LC_ALL=C", library, control, NULL });
}
