/*
 * The guest's /init: the agent's bytecode (compiled in) on QuickJS. Pid 1 must never end, so nothing that goes
 * wrong in JavaScript ends it: exceptions and rejections are printed on the console, and the loop goes on.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <quickjs.h>
#include <quickjs-libc.h>

int run_as_container_init(char **argv);

/* Written by the build: {bytes, size} of every module, dependencies first, the main module last. */
struct module { const uint8_t *bytes; uint32_t size; };
extern const struct module agent_modules[];
extern const int agent_module_count;

/* Set by the agent: waits for something to happen and does it. */
extern JSValue agent_turn;
extern int agent_has_turn;

JSModuleDef *js_init_module_sys(JSContext *ctx, const char *name);

static void on_rejection(JSContext *ctx, JSValueConst promise, JSValueConst reason, JS_BOOL is_handled, void *opaque)
{
    if (is_handled) return;
    const char *message = JS_ToCString(ctx, reason);
    fprintf(stderr, "strata: unhandled rejection: %s\n", message ? message : "?");
    JS_FreeCString(ctx, message);
}

/* Modules of one program know each other by name once they are read; only the last one is evaluated. */
static void run_modules(JSContext *ctx)
{
    JSValue module = JS_UNDEFINED;
    for (int i = 0; i < agent_module_count; i++) module = JS_ReadObject(ctx, agent_modules[i].bytes, agent_modules[i].size, JS_READ_OBJ_BYTECODE);
    if (JS_IsException(module) || JS_ResolveModule(ctx, module) < 0) {
        js_std_dump_error(ctx);
        return;
    }
    JSValue result = JS_EvalFunction(ctx, module);
    if (JS_IsException(result)) js_std_dump_error(ctx);
    JS_FreeValue(ctx, result);
}

int main(int argc, char **argv)
{
    /* The same executable is the init process of containers that ask for one. */
    if (argc > 2 && strcmp(argv[1], "--") == 0) return run_as_container_init(argv + 2);
    signal(SIGPIPE, SIG_IGN);
    JSRuntime *runtime = JS_NewRuntime();
    js_std_init_handlers(runtime);
    JS_SetHostPromiseRejectionTracker(runtime, on_rejection, NULL);
    /* The heap after loading is a few MiB; collecting before it has grown only costs time at the start. */
    JS_SetGCThreshold(runtime, 8 * 1024 * 1024);
    JSContext *ctx = JS_NewContext(runtime);
    js_init_module_std(ctx, "std");
    js_init_module_os(ctx, "os");
    js_init_module_sys(ctx, "sys");
    run_modules(ctx);
    for (;;) {
        JSContext *of;
        for (int more = 1; more != 0;) if ((more = JS_ExecutePendingJob(runtime, &of)) < 0) js_std_dump_error(of);
        if (!agent_has_turn) poll(NULL, 0, 1000); /* the modules could not be loaded; the console says why */
        JSValue result = agent_has_turn ? JS_Call(ctx, agent_turn, JS_UNDEFINED, 0, NULL) : JS_UNDEFINED;
        if (JS_IsException(result)) js_std_dump_error(ctx);
        JS_FreeValue(ctx, result);
    }
}
