/* Programs: started in the guest or inside a container, reaped, signalled. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include "system.h"

/*
 * Starts a program. {argv, env, stdio: [in, out, err], cwd?, terminal?, namespaces?: [fd…], pidNamespace?: fd and
 * ownPidNamespace?: fd to come back to, cgroup?: fd of cgroup.procs,
 * root?: fd of the root folder, uid?, gid?, groups?, capabilities?: [low, high]}. Returns [pid as this namespace sees it,
 * fd]: the descriptor ends once the program runs, or brings "<errno> <what>" where it does not (ENOENT: no such program),
 * "chdir <errno> <folder>" where there is no such folder. It is not waited for here: those in a container can hold up
 * what comes to them before its exec.
 */
struct spawned { const struct entry *e; const int32_t *namespaces; int namespace_count, cgroup, root, error; };

static int enter_and_become(void *argument)
{
    const struct spawned *s = argument;
    if (s->cgroup >= 0 && write(s->cgroup, "0", 1) < 0) report(s->error, "cgroup");
    for (int i = 0; i < s->namespace_count; i++) if (setns(s->namespaces[i], 0) < 0) report(s->error, "setns");
    if (s->root >= 0 && (fchdir(s->root) < 0 || chroot(".") < 0)) report(s->error, "root");
    become(s->e, s->error);
}

FUNCTION(js_spawn)
{
    JSValueConst o = argv[0];
    struct entry e = entry_of(ctx, o);
    int32_t namespaces[6];
    int namespace_count = numbers(ctx, o, "namespaces", namespaces, 6);
    int cgroup = field(ctx, o, "cgroup", -1), root = field(ctx, o, "root", -1);
    int pid_namespace = field(ctx, o, "pidNamespace", -1), own_pid_namespace = field(ctx, o, "ownPidNamespace", -1);
    int channel[2];
    pid_t pid = -1;
    /* A pid namespace takes only children of whoever entered it; entering and leaving it here keeps us the child's parent. */
    int entered = pid_namespace < 0 || setns(pid_namespace, CLONE_NEWPID) == 0;
    if (entered && pipe2(channel, O_CLOEXEC) == 0) {
        struct spawned spawned = { &e, namespaces, namespace_count, cgroup, root, channel[1] };
        int alone = pid_namespace < 0 && namespace_count == 0;
        pid = (pid_t)start_process(enter_and_become, &spawned, alone ? IN_OUR_MEMORY : 0);
        int saved = errno;
        if (pid_namespace >= 0) setns(own_pid_namespace, CLONE_NEWPID);
        close(channel[1]);
        if (pid < 0) close(channel[0]);
        errno = saved;
    }
    int saved = errno;
    free_entry(ctx, &e);
    errno = saved;
    if (pid < 0) return fail(ctx, "clone");
    JSValue pair = JS_NewArray(ctx);
    JS_SetPropertyUint32(ctx, pair, 0, JS_NewInt32(ctx, pid));
    JS_SetPropertyUint32(ctx, pair, 1, JS_NewInt32(ctx, channel[0]));
    return pair;
}

/*
 * A descriptor that is readable when a child has ended or a watched port changed. Instead of a signal handler: one that sets a flag can be
 * missed between the look at the flag and the wait for descriptors.
 */
FUNCTION(js_signals)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGIO);
    sigaddset(&set, SIGINT); /* Ctrl-Alt-Del, where the kernel leaves it to us */
    int fd = sigprocmask(SIG_BLOCK, &set, NULL) < 0 ? -1 : signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? fail(ctx, "signalfd") : JS_NewInt32(ctx, fd);
}

/* The next ended child as [pid, status], or null. */
FUNCTION(js_reap)
{
    int status = 0;
    pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid <= 0) return JS_NULL;
    JSValue pair = JS_NewArray(ctx);
    JS_SetPropertyUint32(ctx, pair, 0, JS_NewInt32(ctx, pid));
    JS_SetPropertyUint32(ctx, pair, 1, JS_NewInt32(ctx, WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status)));
    return pair;
}

FUNCTION(js_kill) { return kill(number(ctx, argv[0]), number(ctx, argv[1])) < 0 && errno != ESRCH ? fail(ctx, "kill") : JS_UNDEFINED; }

const JSCFunctionListEntry process_functions[] = {
    JS_CFUNC_DEF("spawn", 1, js_spawn),
    JS_CFUNC_DEF("signals", 0, js_signals),
    JS_CFUNC_DEF("reap", 0, js_reap),
    JS_CFUNC_DEF("kill", 2, js_kill),
};
const int process_function_count = (int)(sizeof process_functions / sizeof process_functions[0]);
