/*
 * The first process of a container: new namespaces, then a list of steps that the agent composed, then the program.
 * The steps say what is mounted, made, written and hidden, in order (runtime-spec config-linux.md is what they add up to);
 * here they are only carried out. From the step `pivot` on every path is looked up inside the container's own root, so
 * that no link of an image can lead out of it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "system.h"

#define MOST_STEPS 512
#define MOST_LIMITS 16

/* What the words mean depends on the kind; flags likewise. */
struct step { const char *kind, *words[3]; int32_t flags; };
struct limit { int32_t resource; struct rlimit value; };

/* mkdir -p; what is there already is fine. */
static int make_folders(const char *path, mode_t mode)
{
    char at[4096];
    size_t length = strlen(path);
    if (length >= sizeof at) { errno = ENAMETOOLONG; return -1; }
    memcpy(at, path, length + 1);
    for (char *slash = strchr(at + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (mkdir(at, 0755) < 0 && errno != EEXIST) return -1;
        *slash = '/';
    }
    return mkdir(at, mode) < 0 && errno != EEXIST ? -1 : 0;
}

/* An empty file to mount over, with the folders above it; at the end of a link, where there is one. */
static int make_file(const char *path, int links)
{
    char above[4096], target[4096];
    const char *slash = strrchr(path, '/');
    size_t length = slash == NULL ? 0 : (size_t)(slash - path);
    if (length >= sizeof above) { errno = ENAMETOOLONG; return -1; }
    memcpy(above, path, length);
    above[length] = 0;
    if (length > 0 && make_folders(above, 0755) < 0) return -1;
    struct stat there;
    if (lstat(path, &there) < 0) {
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        return fd < 0 ? -1 : close(fd);
    }
    if (!S_ISLNK(there.st_mode)) return 0;
    ssize_t size = readlink(path, target, sizeof target - 1);
    if (size < 0) return -1;
    if (links == 0) { errno = ELOOP; return -1; }
    target[size] = 0;
    if (target[0] == '/') return make_file(target, links - 1);
    char joined[sizeof above + sizeof target + 1];
    snprintf(joined, sizeof joined, "%s/%s", above, target);
    return make_file(joined, links - 1);
}

static int write_value(const char *path, const char *value)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    ssize_t put = write(fd, value, strlen(value));
    int saved = errno;
    close(fd);
    errno = saved;
    return put < 0 ? -1 : 0;
}

/* Nothing to see: an empty file or an empty folder over it, where it is there at all. */
static int mask(const char *path)
{
    struct stat info;
    if (stat(path, &info) < 0) return errno == ENOENT || errno == ENOTDIR ? 0 : -1;
    return S_ISDIR(info.st_mode) ? mount("tmpfs", path, "tmpfs", MS_RDONLY, "size=0") : mount("/dev/null", path, NULL, MS_BIND, NULL);
}

static int make_readonly(const char *path)
{
    if (mount(path, path, NULL, MS_BIND | MS_REC, NULL) < 0) return errno == ENOENT || errno == ENOTDIR ? 0 : -1;
    return mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL);
}

/* The new root in place of the old one, which nothing can reach any more (pivot_root(2), NOTES). */
static int pivot(const char *root)
{
    if (chdir(root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0) return -1;
    return chdir("/");
}

static int carry_out(const struct step *s)
{
    const char *a = s->words[0], *b = s->words[1], *c = s->words[2];
    if (strcmp(s->kind, "mount") == 0) return mount(b, a, b, (unsigned long)s->flags, c); /* target, type, options */
    if (strcmp(s->kind, "remount") == 0) return mount(NULL, a, NULL, (unsigned long)s->flags | MS_REMOUNT | MS_BIND, NULL);
    if (strcmp(s->kind, "private") == 0) return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
    if (strcmp(s->kind, "pivot") == 0) return pivot(a);
    if (strcmp(s->kind, "place") == 0) return (int)syscall(SYS_move_mount, s->flags, "", AT_FDCWD, a, 0x14 /* MOVE_MOUNT_F_EMPTY_PATH, MOVE_MOUNT_T_SYMLINKS */); /* a tree taken before */
    if (strcmp(s->kind, "folder") == 0) return make_folders(a, (mode_t)s->flags);
    if (strcmp(s->kind, "file") == 0) return make_file(a, 8);
    if (strcmp(s->kind, "link") == 0) return symlink(b, a) < 0 && errno != EEXIST ? -1 : 0;
    if (strcmp(s->kind, "write") == 0) return write_value(a, b);
    if (strcmp(s->kind, "mask") == 0) return mask(a);
    if (strcmp(s->kind, "readonly") == 0) return make_readonly(a);
    if (strcmp(s->kind, "hostname") == 0) return sethostname(a, strlen(a));
    errno = EINVAL;
    return -1;
}

/* What a first process is made of. */
struct start { const struct step *steps; int count; const struct limit *limits; int limit_count, cgroup, network; const struct entry *e; int error; };

static int enter(void *argument)
{
    const struct start *s = argument;
    const struct step *steps = s->steps;
    int count = s->count, limit_count = s->limit_count, cgroup = s->cgroup, network = s->network, error = s->error;
    const struct limit *limits = s->limits;
    const struct entry *e = s->e;
    char what[300];
    /* The cgroup first: its namespace begins where the process is. */
    if (write(cgroup, "0", 1) < 0) report(error, "cgroup");
    if (setns(network, CLONE_NEWNET) < 0 || unshare(CLONE_NEWCGROUP) < 0) report(error, "namespaces");
    umask(0022);
    for (int i = 0; i < count; i++) {
        if (carry_out(&steps[i]) == 0) continue;
        int saved = errno;
        snprintf(what, sizeof what, "%s %s", steps[i].kind, steps[i].words[0] ? steps[i].words[0] : "");
        errno = saved;
        report(error, what);
    }
    for (int i = 0; i < limit_count; i++) if (setrlimit((__rlimit_resource_t)limits[i].resource, &limits[i].value) < 0) report(error, "ulimit");
    syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL); /* not the agent's keys; kernels without keys have none to hide */
    become(e, error);
}

static int read_steps(JSContext *ctx, JSValueConst list, struct step *steps)
{
    int count = 0;
    for (; count < MOST_STEPS; count++) {
        JSValue one = JS_GetPropertyUint32(ctx, list, (uint32_t)count);
        if (JS_IsUndefined(one)) break;
        for (uint32_t word = 0; word < 5; word++) {
            JSValue value = JS_GetPropertyUint32(ctx, one, word);
            if (word == 0) steps[count].kind = text(ctx, value);
            else if (word == 4) steps[count].flags = JS_IsUndefined(value) ? 0 : number(ctx, value);
            else steps[count].words[word - 1] = text(ctx, value);
            JS_FreeValue(ctx, value);
        }
        JS_FreeValue(ctx, one);
    }
    return count;
}

static int read_limits(JSContext *ctx, JSValueConst list, struct limit *limits)
{
    int count = 0;
    for (; count < MOST_LIMITS; count++) {
        JSValue one = JS_GetPropertyUint32(ctx, list, (uint32_t)count);
        if (JS_IsUndefined(one)) break;
        int64_t values[3] = { 0, 0, 0 };
        for (uint32_t at = 0; at < 3; at++) { JSValue value = JS_GetPropertyUint32(ctx, one, at); JS_ToInt64(ctx, &values[at], value); JS_FreeValue(ctx, value); }
        limits[count] = (struct limit){ (int32_t)values[0], { values[1] < 0 ? RLIM_INFINITY : (rlim_t)values[1], values[2] < 0 ? RLIM_INFINITY : (rlim_t)values[2] } };
        JS_FreeValue(ctx, one);
    }
    return count;
}

/*
 * Starts a container's first process: what programs.c reads, and {cgroup: fd of cgroup.procs, network: fd of its
 * network namespace, steps: [kind, word, word, word, flags][], limits: [resource, soft, hard][]}. Returns [pid, fd]: the
 * descriptor ends once the program runs, or brings "<errno> <what>" where it does not.
 */
FUNCTION(js_start_container)
{
    JSValueConst o = argv[0];
    struct step *steps = calloc(MOST_STEPS, sizeof *steps);
    if (steps == NULL) return fail(ctx, "calloc");
    struct limit limits[MOST_LIMITS];
    struct entry e = entry_of(ctx, o);
    JSValue value = JS_GetPropertyStr(ctx, o, "steps");
    int count = read_steps(ctx, value, steps);
    JS_FreeValue(ctx, value);
    value = JS_GetPropertyStr(ctx, o, "limits");
    int limit_count = read_limits(ctx, value, limits);
    JS_FreeValue(ctx, value);
    int cgroup = field(ctx, o, "cgroup", -1), network = field(ctx, o, "network", -1), channel[2];
    long pid = -1;
    if (count == MOST_STEPS) errno = E2BIG;
    else if (pipe2(channel, O_CLOEXEC) == 0) {
        struct start start = { steps, count, limits, limit_count, cgroup, network, &e, channel[1] };
        pid = start_process(enter, &start, IN_OUR_MEMORY | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS);
        int saved = errno;
        close(channel[1]);
        if (pid < 0) close(channel[0]);
        errno = saved;
    }
    int saved = errno;
    for (int i = 0; i < count; i++) { JS_FreeCString(ctx, steps[i].kind); for (int word = 0; word < 3; word++) JS_FreeCString(ctx, steps[i].words[word]); }
    free(steps);
    free_entry(ctx, &e);
    errno = saved;
    if (pid < 0) return fail(ctx, "start container");
    JSValue pair = JS_NewArray(ctx);
    JS_SetPropertyUint32(ctx, pair, 0, JS_NewInt32(ctx, (int)pid));
    JS_SetPropertyUint32(ctx, pair, 1, JS_NewInt32(ctx, channel[0]));
    return pair;
}

const JSCFunctionListEntry container_functions[] = { JS_CFUNC_DEF("startContainer", 1, js_start_container) };
const int container_function_count = 1;
