/* The module `sys`: what each of the files here has for the agent. */
#include <sys/prctl.h>
#include "system.h"

#define PART(name) extern const JSCFunctionListEntry name##_functions[]; extern const int name##_function_count;
PART(mount)
PART(kernel)
PART(file)
PART(terminal)
PART(network)
PART(process)
PART(container)
PART(bytes)

static const struct part { const JSCFunctionListEntry *list; const int *count; } parts[] = {
    { mount_functions, &mount_function_count },
    { kernel_functions, &kernel_function_count },
    { file_functions, &file_function_count },
    { terminal_functions, &terminal_function_count },
    { network_functions, &network_function_count },
    { process_functions, &process_function_count },
    { container_functions, &container_function_count },
    { bytes_functions, &bytes_function_count },
};
#define PARTS (sizeof parts / sizeof parts[0])

static int fill(JSContext *ctx, JSModuleDef *module)
{
    for (size_t i = 0; i < PARTS; i++) if (JS_SetModuleExportList(ctx, module, parts[i].list, *parts[i].count) < 0) return -1;
    return 0;
}

JSModuleDef *js_init_module_sys(JSContext *ctx, const char *name)
{
    /* What we know of all containers is nothing for a process in one that finds a child of ours before its exec. */
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    JSModuleDef *module = JS_NewCModule(ctx, name, fill);
    for (size_t i = 0; module != NULL && i < PARTS; i++) JS_AddModuleExportList(ctx, module, parts[i].list, *parts[i].count);
    return module;
}
