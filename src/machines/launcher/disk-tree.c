/*
 * Disks for a VMM that opens its disks by name (UML): each is mounted into the jail alone, and there belongs to the
 * VMM's uid (an idmapped mount: the file keeps its owner, its folder is not seen). The same for a VMM that runs:
 *
 *   launcher plug <pid> <ticks> <uid> ro|rw <disk> <path in the jail>
 *   launcher unplug <pid> <ticks> <path in the jail>
 */
#include "launcher.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int mount(const char *, const char *, const char *, unsigned long, const void *);
int umount2(const char *, int);
enum { detach = 2 /* MNT_DETACH; sys/mount.h and linux/mount.h do not go together */ };

static void write_map(pid_t of, const char *name, unsigned from, unsigned to)
{
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", (int)of, name);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || dprintf(fd, "%u %u 1\n", from, to) < 0) fail("cannot map users for a disk");
  close(fd);
}

/* A user namespace in which `owner` is `reader`; it lives as long as its descriptor. */
static int open_user_map(uid_t owner, gid_t group, uid_t reader)
{
  pid_t child = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
  if (child < 0) fail("cannot map users for a disk (user namespaces are needed)");
  if (child == 0) for (;;) pause();
  write_map(child, "uid_map", owner, reader);
  write_map(child, "gid_map", group, reader);
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/ns/user", (int)child);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail("cannot map users for a disk");
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  return fd;
}

/*
 * A VMM that has a disk open says so by locks: QEMU holds byte 101 where it may write and others where it reads, UML the whole
 * file. UML asks for its own only when the guest opens the disk, and tells nobody where it gets none; so they are looked at here.
 * A lock to read on the whole file is that of a UML that only reads: it disturbs nobody who only reads.
 */
static void refuse_held(int disk, const char *path, bool writable)
{
  enum { qemu_writes = 101 };
  struct flock held = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = writable ? 0 : qemu_writes, .l_len = writable ? 0 : 1 };
  if (fcntl(disk, F_OFD_GETLK, &held) != 0) fail("cannot ask who uses the disk %s", path);
  errno = 0;
  bool only_read = held.l_type == F_RDLCK && held.l_start == 0 && held.l_len == 0;
  if (held.l_type != F_UNLCK && (writable || !only_read)) fail("the disk %s is in use by another machine", path);
}

int open_disk_tree(const char *path, bool writable, uid_t reader)
{
  int disk = open_disk(path, writable); // says what is wrong with it, in the words of all disks
  refuse_held(disk, path, writable);
  close(disk);
  int tree = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
  if (tree < 0) fail("cannot open the disk %s", path);
  struct stat status;
  if (fstat(tree, &status) != 0) fail("cannot look at the disk %s", path);
  errno = 0;
  if (!S_ISREG(status.st_mode)) fail("the disk %s is no file", path);
  int map = open_user_map(status.st_uid, status.st_gid, reader);
  struct mount_attr wanted = {
    .attr_set = MOUNT_ATTR_IDMAP | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | (writable ? 0 : MOUNT_ATTR_RDONLY), .userns_fd = (unsigned)map,
  };
  if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &wanted, sizeof wanted) != 0) fail("the file system of the disk %s cannot be mounted for another user", path);
  close(map);
  return tree;
}

void mount_disk_tree(int tree, const char *target)
{
  int fd = open(target, O_CREAT | O_EXCL | O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0400);
  if (fd < 0 && errno != EEXIST) fail("create %s", target);
  if (fd >= 0) close(fd);
  if (syscall(SYS_move_mount, tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) != 0) fail("mount a disk on %s", target);
}

/* Ends where the process is no longer the one that is meant. */
void enter_namespaces(const char *pid, const char *ticks, int kinds)
{
  int process = (int)syscall(SYS_pidfd_open, atoi(pid), 0);
  if (process < 0) fail("the machine is gone");
  errno = 0;
  if (start_ticks(atoi(pid)) != atoll(ticks)) fail("the machine is gone");
  if (setns(process, kinds) != 0) fail("cannot enter the jail");
  if (chdir("/") != 0) fail("chdir /");
}

int plug(char **arguments)
{
  int tree = open_disk_tree(arguments[4], same(arguments[3], "rw"), (uid_t)atoi(arguments[2]));
  enter_namespaces(arguments[0], arguments[1], CLONE_NEWNS);
  umount2(arguments[5], detach); // of an attempt that was cut off
  mount_disk_tree(tree, arguments[5]);
  return 0;
}

int unplug(char **arguments)
{
  enter_namespaces(arguments[0], arguments[1], CLONE_NEWNS);
  if (umount2(arguments[2], detach) != 0 && errno != EINVAL && errno != ENOENT) fail("unmount %s", arguments[2]);
  if (unlink(arguments[2]) != 0 && errno != ENOENT) fail("remove %s", arguments[2]);
  return 0;
}
