/* What was written of a VMM's memory (written-pages.c). Apart from launcher.h, for what is loaded into the VMM. */
#ifndef WRITTEN_PAGES_H
#define WRITTEN_PAGES_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As PAGEMAP_SCAN writes them. */
struct run { uint64_t first, last, categories; };

/* preload/copyable.c; @return -1 where the kernel has none that does not stop who writes */
int make_tracker(void);

/* written-pages.c */
int borrow_tracker(int process, const char *pid);
bool track(int tracker, uint64_t first, uint64_t last);
void stop_tracking(int tracker, uint64_t first, uint64_t last);
size_t written_since(int pagemap, uint64_t first, uint64_t last, bool is_private, struct run *runs, size_t room);
#endif
