/* What a program started by the agent becomes: its terminal, identity, rights, folder, and then itself. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "system.h"

/* More than any `begin` needs; the deepest follows a chain of 8 links, each with its paths (container.c). */
static char stack[512 * 1024] __attribute__((aligned(16)));

/*
 * As vfork(2). A copy of our memory would be dear where a process is (User-Mode Linux copies each page that either side
 * then touches). So `begin` must leave nothing of ours changed: it has its own stack, and what it writes to errno and,
 * before the exec, to `environ`, is put right here. As fork(2) where it goes among processes we do not trust: whoever
 * traced it there, in the moment before its exec, would otherwise write our memory.
 */
long start_process(int (*begin)(void *), void *argument, int flags)
{
    char **kept = environ;
    long pid = clone(begin, stack + sizeof stack, flags | SIGCHLD, argument);
    int saved = errno;
    environ = kept;
    errno = saved;
    return pid;
}

void report(int fd, const char *what)
{
    dprintf(fd, "%d %s", errno, what);
    _exit(errno == ENOENT ? 127 : 126);
}

/* The bounding set is for every user; root's other sets too, while those of another user go with setuid. */
static void limit_capabilities(const struct entry *e, int error)
{
    for (int cap = 0; cap < 64; cap++) {
        uint32_t word = cap < 32 ? e->capabilities_low : e->capabilities_high;
        if (!(word & (1u << (cap & 31))) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0) break; /* the kernel knows no more */
    }
    if (e->uid != 0) return;
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2] = {
        { e->capabilities_low, e->capabilities_low, 0 }, { e->capabilities_high, e->capabilities_high, 0 },
    };
    if (syscall(SYS_capset, &header, data) < 0) report(error, "capset");
}

void become(const struct entry *e, int error)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    setsid();
    if (e->terminal && ioctl(e->stdio[0], TIOCSCTTY, 0) < 0) report(error, "controlling terminal");
    if (e->terminal && fchown(e->stdio[0], (uid_t)e->uid, (gid_t)-1) < 0) report(error, "terminal's owner");
    for (int i = 0; i < 3; i++) if (dup2(e->stdio[i], i) < 0) report(error, "dup2");
    if (e->drop_capabilities) prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
    if (setgroups((size_t)e->group_count, e->groups) < 0) report(error, "setgroups");
    if (setgid((gid_t)e->gid) < 0) report(error, "setgid");
    if (e->drop_capabilities) limit_capabilities(e, error);
    if (setuid((uid_t)e->uid) < 0) report(error, "setuid");
    if (e->directory != NULL && chdir(e->directory) < 0) {
        dprintf(error, "chdir %d %.200s", errno, e->directory);
        _exit(126);
    }
    syscall(SYS_close_range, 3, ~0u, 4 /* CLOSE_RANGE_CLOEXEC */); /* nothing of ours goes in, the line to the host least of all */
    environ = e->env; /* so that the program is looked for in the PATH it will have */
    execvp(e->argv[0], e->argv);
    report(error, e->argv[0]);
}

static char **strings_of(JSContext *ctx, JSValueConst object, const char *name)
{
    JSValue value = JS_GetPropertyStr(ctx, object, name);
    char **list = strings(ctx, value);
    JS_FreeValue(ctx, value);
    return list;
}

/* {argv, env, stdio: [in, out, err], cwd?, terminal?, uid?, gid?, groups?, capabilities?: [low, high]} */
struct entry entry_of(JSContext *ctx, JSValueConst options)
{
    struct entry e = { .terminal = field(ctx, options, "terminal", 0), .uid = field(ctx, options, "uid", 0), .gid = field(ctx, options, "gid", 0) };
    e.argv = strings_of(ctx, options, "argv");
    e.env = strings_of(ctx, options, "env");
    numbers(ctx, options, "stdio", e.stdio, 3);
    e.group_count = numbers(ctx, options, "groups", (int32_t *)e.groups, 64);
    int32_t capabilities[2] = { 0, 0 };
    e.drop_capabilities = numbers(ctx, options, "capabilities", capabilities, 2) == 2;
    e.capabilities_low = (uint32_t)capabilities[0];
    e.capabilities_high = (uint32_t)capabilities[1];
    JSValue value = JS_GetPropertyStr(ctx, options, "cwd");
    e.directory = text(ctx, value);
    JS_FreeValue(ctx, value);
    return e;
}

void free_entry(JSContext *ctx, struct entry *e)
{
    JS_FreeCString(ctx, e->directory);
    free_strings(e->argv);
    free_strings(e->env);
}
