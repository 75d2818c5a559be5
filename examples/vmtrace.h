/* vmtrace.h - reader of allocation traces (.vmtrace, and .vmtrace.zst through the zstd command).
 *
 * A trace holds the sizes, the ids and the order of a program's allocator calls; the format is
 * described in tests/traces/README.md. The reader decodes a file and checks all of it, so that a
 * replayer can trust every id. It knows nothing of libvmma.
 */
#ifndef VMTRACE_H
#define VMTRACE_H

#include <stddef.h>
#include <stdint.h>

enum {
    VMTRACE_ALLOC,
    VMTRACE_FREE,
    VMTRACE_REALLOC,
    VMTRACE_CALLOC,
    VMTRACE_ALIGNED,
    VMTRACE_MARK,
    VMTRACE_CLIENT, /* what follows belongs to client `id`, which begins at its first use */
    VMTRACE_DELETE  /* client `id`, the current one, is deleted with all that is live in it */
};

typedef struct {
    uint32_t id;   /* allocation: 0 .. ids - 1; client: 0 .. clients - 1 */
    uint32_t size; /* bytes asked for; realloc: the new size */
    uint8_t kind;
    uint8_t log2_alignment; /* VMTRACE_ALIGNED only */
} vmtrace_op_t;

typedef struct {
    char name[49];
    vmtrace_op_t *ops;
    size_t count;
    size_t peak_at;      /* after this operation the sum of the live sizes is first at its peak */
    uint64_t peak_bytes; /* that sum */
    uint64_t peak_live;  /* most allocations alive at a time */
    uint64_t live_at_end;
    uint32_t ids, clients;
    uint32_t alignment; /* what the program may expect of each allocation */
    int cut;            /* the run was stopped in the middle */
} vmtrace_t;

/* NULL, or what is wrong in words. After an error there is nothing to release. */
const char *vmtrace_read(const char *path, vmtrace_t *trace);
void vmtrace_release(vmtrace_t *trace);

#endif
