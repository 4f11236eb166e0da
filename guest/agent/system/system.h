/*
 * The system calls that QuickJS' own os module lacks, as one native module `sys`.
 *
 * Every function throws a TypeError-free plain Error "<call>: <strerror>" on failure, so that the agent's
 * TypeScript never has to look at return codes. Nothing here decides anything: mounts, namespaces,
 * processes and netlink are composed in TypeScript. Linked statically into /init of the guest OS.
 */
#ifndef STRATA_SYSTEM_H
#define STRATA_SYSTEM_H
#include <errno.h>
#include <stdint.h>
#include <sys/types.h>
#include <quickjs.h>

#define FUNCTION(name) static JSValue name(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)

/* values.c */
JSValue fail(JSContext *ctx, const char *call);
/* A C string argument, or NULL for null and undefined; free with JS_FreeCString. */
const char *text(JSContext *ctx, JSValueConst value);
int32_t number(JSContext *ctx, JSValueConst value);
int32_t field(JSContext *ctx, JSValueConst object, const char *name, int32_t otherwise);
/* Up to `room` numbers of the array with that name; how many there were. */
int numbers(JSContext *ctx, JSValueConst object, const char *name, int32_t *into, int room);
char **strings(JSContext *ctx, JSValueConst array);
void free_strings(char **list);

/* programs.c: what a program becomes, inside a container or not */
struct entry {
    int stdio[3], terminal, uid, gid, group_count;
    gid_t groups[64];
    uint32_t capabilities_low, capabilities_high;
    int drop_capabilities;
    const char *directory;
    char **argv, **env;
};
struct entry entry_of(JSContext *ctx, JSValueConst options);
void free_entry(JSContext *ctx, struct entry *e);
/* Tells the parent "<errno> <what>" and ends. */
void report(int fd, const char *what) __attribute__((noreturn));
/* A process that runs `begin`; its pid, or -1. @param flags IN_OUR_MEMORY or 0, and CLONE_NEW* */
long start_process(int (*begin)(void *), void *argument, int flags);
/* We wait for its exec or end. */
#define IN_OUR_MEMORY (CLONE_VM | CLONE_VFORK)
/* Terminal, identity, exec. */
void become(const struct entry *e, int error) __attribute__((noreturn));
#endif
