/* replay.h - one replay of an allocation trace into a context of its own.
 *
 * It may know: libvmma.h and vmtrace.h. What the result means for a user is vmma-replay.c's job.
 */
#ifndef REPLAY_H
#define REPLAY_H

#include "vmtrace.h"

#include <libvmma.h>

typedef struct {
    size_t size, alignment, block_size;
    vmma_flags_t flags;
} setup_t;

typedef struct {
    const vmtrace_t *trace;
    setup_t setup;
    vmma_context_t *context;
    vmma_client_t **clients, *current;
    struct slot *slots;
    size_t at;         /* index of the operation */
    const char *error; /* what the library did wrong; running out of memory is not an error */
    int verify;
    size_t peak_held;
    double seconds;
} replay_t;

/* 1: completed. 0 with r->error == NULL: the context is too small; r->at says how far it came.
 * 0 with r->error: the library broke a promise. With `verify` every allocation is filled, and its
 * contents, alignment and zeroing are checked. `map`: file for the heap map at the peak, or NULL. */
int replay(replay_t *r, const vmtrace_t *trace, setup_t setup, int verify, const char *map);

#endif
