/* What the parts of the launcher share. One static program: reads a description, builds a jail, keeps one VMM. */
#ifndef LAUNCHER_H
#define LAUNCHER_H
#define _GNU_SOURCE
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { max_copied = 64, max_wish = 65536, max_disk_trees = 16, max_entries = 320, max_arguments = 320, first_vmm_fd = 3 };

/* A key with its value, as they came. Order matters for descriptors and arguments. */
struct entry { const char *key; const char *value; };

struct description {
  struct entry entries[max_entries];
  size_t count;
  uid_t uid;
  gid_t gid;
  unsigned processes; /* limit of the VMM's processes */
  bool idle;          /* runs only while nobody else wants the processor */
  bool huge_heap;     /* what it allocates in large pieces lies in huge pages, where the host has them */
  bool kept_heap;     /* what it frees it uses again (preload/kept-heap.c) */
  bool copyable;      /* its memory can be copied while it runs (preload/copyable.c) */
  bool traces;        /* its program runs guests' processes as its own children, with ptrace, and is no pid 1 (UML) */
  const char *console_before; /* a ring that the console's begins with; NULL for none */
  const char *zygote; /* number of the descriptor on which it hears what is to be copied; NULL where it is an ordinary VMM */
  const char *copy_of; /* socket of the zygote that is copied instead of starting a program; NULL for none */
  unsigned copied_fds; /* so many of the first descriptors are as in the zygote */
  const char *program;
  char *arguments[max_arguments];
  size_t argument_count;
};

/* Descriptors of the VMM, in the order its command line counts on: the first is number 3. */
struct descriptors {
  int vmm[max_entries];
  size_t count;
  int console;  /* the keeper's end */
  int line;     /* the keeper's end of a serial line to the agent; -1 where the VMM has a port of its own */
  int trees[max_disk_trees]; /* mounts of disks that the VMM opens by name */
  size_t tree_count;
  int errors;   /* the keeper's end of the VMM's stderr */
  int vmm_errors;
};

/* describe.c */
void read_description(int fd, struct description *description);
void parse_description(char *text, size_t size, struct description *description);
const char *described(size_t *size);

/* jail.c */
const char *split_at_tab(const char *value, char *first, size_t size);

/* descriptors.c */
void open_descriptors(const struct description *description, struct descriptors *all);
int listen_on(const char *name);
int connect_to(const char *path, const char *whom, int seconds);
int open_disk(const char *path, bool writable);

/* jail.c: never returns; on failure the reason goes to `report` and the process ends. */
_Noreturn void enter_jail(const struct description *description, const struct descriptors *all, int go, int report);
_Noreturn void run_bare(const struct description *description, const struct descriptors *all, int go, int report);
void confine(const struct description *description, const struct descriptors *all, int go);
void drop_privileges(unsigned kept);
int above(int fd);

/* forbid-calls.c; no_new_privs must be set. */
void forbid_calls(bool traces);
void forbid_as_sandbox(void);
void forbid_rings(void);

/* disk-tree.c */
int open_disk_tree(const char *path, bool writable, uid_t reader);
void mount_disk_tree(int tree, const char *target);
int plug(char **arguments);
int unplug(char **arguments);
void enter_namespaces(const char *pid, const char *ticks, int kinds);

/* mconsole.c */
int mconsole(char **arguments, int count);

/* keeper.c: neither returns. */
_Noreturn void keep(const struct description *description, int report, int lock);
_Noreturn void keep_copy(char **arguments, int count);

/*
 * ask-zygote.c and zygote/: what a keeper hands over with its wish for a copy, and what that copy's keeper finds as its
 * descriptors 3 and on. `handed_vmm` and what follows is the copy's.
 */
enum handed { handed_lock, handed_report, handed_console, handed_errors, handed_console_listener, handed_watch_listener, handed_folder, handed_vmm_errors, handed_vmm };
enum { kept_go = handed_folder, kept_failed, kept_count };
_Noreturn void ask_for_copy(const struct description *description, const struct descriptors *all, const int handed[handed_vmm_errors + 1]);
int settle(const char *socket_path, const char *line);

/* line.c: the relay between the daemon's socket and the guest's serial line. */
struct pollfd;
enum { line_polled = 3 };
void open_line(int guest);
void poll_line(struct pollfd *polled);
void serve_line(const struct pollfd *polled);

/* console.c */
void open_ring(const char *before);
void add_to_ring(const char *bytes, size_t count);

/* records.c */
void write_record(const char *name, const char *text);
long long start_ticks(pid_t pid);
long long now_ms(void);
void boot_id(char *into, size_t size);
void escape_json(const char *from, size_t count, char *into, size_t size);

/* measure-tsc.c */
int measure_tsc(void);

/* pass-disk.c */
int pass_disks(const char *socket_path, char **words, int count);
int save_state(const char *socket_path, int state);
int open_state_file(const char *path);

/* copy-memory.c: copies of a machine's memory; one of a file, for one VMM to begin with */
int copy_memory(char **arguments);
int copied_memory(const char *path);
int empty_memory(const char *bytes);
int empty_state(void);
int fill(char **arguments, int count);
bool has_memory(void);

/* hold.c: what a template's holder holds, and its verbs. `hold` never returns. */
enum held { held_memory, held_state, held_count };
_Noreturn void hold(long long bytes, int report);
int held_for_template(const char *path, enum held which);
int state_of_template(const char *path);
int held_for_clone(const char *path, enum held which);
int hold_seal(const char *path);

/* launcher.c: prints 'launcher: <message>: <errno>' to stderr (or the report pipe once there is one), ends with 1. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
void report_failures_to(int fd);
bool same(const char *left, const char *right);
static inline bool is_mount(const struct entry *entry) { return same(entry->key, "mount-ro") || same(entry->key, "mount-rw"); }

#endif
