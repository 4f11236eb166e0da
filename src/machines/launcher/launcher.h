/* What the parts of the launcher share. One static program: reads a description, builds a jail, keeps one VMM. */
#ifndef LAUNCHER_H
#define LAUNCHER_H
#define _GNU_SOURCE
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { max_entries = 320, max_arguments = 320, first_vmm_fd = 3 };

/* A key with its value, as they came. Order matters for descriptors and arguments. */
struct entry { const char *key; const char *value; };

struct description {
  struct entry entries[max_entries];
  size_t count;
  uid_t uid;
  gid_t gid;
  const char *program;
  char *arguments[max_arguments];
  size_t argument_count;
};

/* Descriptors of the VMM, in the order its command line counts on: the first is number 3. */
struct descriptors {
  int vmm[max_entries];
  size_t count;
  int console;  /* the keeper's end */
  int errors;   /* the keeper's end of the VMM's stderr */
  int vmm_errors;
};

/* describe.c */
void read_description(int fd, struct description *description);

/* descriptors.c */
void open_descriptors(const struct description *description, struct descriptors *all);
int listen_on(const char *name);
int open_disk(const char *path, bool writable);

/* jail.c: never returns; on failure the reason goes to `report` and the process ends. */
_Noreturn void enter_jail(const struct description *description, const struct descriptors *all, int go, int report);
void drop_privileges(unsigned kept);

/* forbid-calls.c; no_new_privs must be set. */
void forbid_calls(void);

/* keeper.c: never returns. */
_Noreturn void keep(const struct description *description, int report, int lock);

/* console.c */
void open_ring(void);
void add_to_ring(const char *bytes, size_t count);

/* records.c */
void write_record(const char *name, const char *text);
long long start_ticks(pid_t pid);
long long now_ms(void);
void boot_id(char *into, size_t size);
void escape_json(const char *from, size_t count, char *into, size_t size);

/* pass-disk.c */
int pass_disk(const char *socket_path, const char *set, const char *mode, const char *path);

/* launcher.c: prints 'launcher: <message>: <errno>' to stderr (or the report pipe once there is one), ends with 1. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
void report_failures_to(int fd);
bool same(const char *left, const char *right);

#endif
