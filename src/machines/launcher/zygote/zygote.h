/* What the parts of the library share that is loaded into a zygote (README.md of the launcher). */
#ifndef ZYGOTE_H
#define ZYGOTE_H
#include "../launcher.h"

/* What the program it is loaded into calls instead of the C library's. */
#define IN_ITS_PLACE __attribute__((visibility("default")))

/* threads.c: all threads of the process but the calling one. */
void prepare_threads(void);
const char *park_threads(void);
void release_threads(void);
void revive_threads(void);

/* descriptors.c: what the process has open, as it was when it was last looked at. */
void remember_descriptors(void);
const char *look_at_descriptors(void);
void renew_events(void);
void wake_loops(void);
void replace_descriptor(int number, int with);
void reopen_descriptor(int number);
void hang_up(int line, const int *handed, size_t handed_count);
int connection_of(int listener);
int file_of(dev_t device, ino_t inode); /* -1: none that is open */

/* memory.c */
void lay_holes(void);

/* tap.c */
void set_up_tap(int tap);

/* line.c */
const char *settle_line(int listener);
void begin_line(void);
int line_now(void); /* -1: none */
_Noreturn void take_line(void);

/* control.c: a copy is no zygote, and has a name of its own. */
void close_control(void);
void take_name(const char *own);

/* copy.c */
void make_copy(char *text, size_t size, const int *handed, size_t count);

#endif
