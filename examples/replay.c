/* replay.c - one replay of an allocation trace into a context of its own; see replay.h. */
#define _POSIX_C_SOURCE 200809L
#include "replay.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

typedef struct slot { /* one id of the trace */
    unsigned char *at;
    uint32_t size, seed;
    vmma_client_t *owner;
} slot_t;

static unsigned char pattern(uint32_t seed, uint32_t i)
{
    return (unsigned char)((seed * 2654435761u >> 24) + i * 31u + (i >> 8));
}

static void fill(slot_t *slot, uint32_t from)
{
    for (uint32_t i = from; i < slot->size; i++)
        slot->at[i] = pattern(slot->seed, i);
}

static int intact(const slot_t *slot, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++)
        if (slot->at[i] != pattern(slot->seed, i))
            return 0;
    return 1;
}

static int fail(replay_t *r, const char *what)
{
    if (!r->error)
        r->error = what;
    return 0;
}

/* The alignment that API.md promises for an allocation of `size` bytes. */
static size_t promised_alignment(const replay_t *r, const vmtrace_op_t *op)
{
    size_t alignment = r->setup.alignment, block = vmma_get_block_size(r->context);
    if (op->kind == VMTRACE_ALIGNED)
        return (size_t)1 << op->log2_alignment;
    if (!(r->setup.flags & VMMA_FLAG_PACKED))
        while (alignment < op->size && alignment < block)
            alignment *= 2;
    return alignment;
}

static int verify_new(replay_t *r, const vmtrace_op_t *op, slot_t *slot)
{
    if ((uintptr_t)slot->at % promised_alignment(r, op) != 0)
        return fail(r, "an allocation is not aligned as promised");
    if (vmma_get_size(r->current, slot->at) < op->size)
        return fail(r, "vmma_get_size is below the size asked for");
    for (uint32_t i = 0; op->kind == VMTRACE_CALLOC && i < op->size; i++)
        if (slot->at[i])
            return fail(r, "calloc gave memory that is not zero");
    return 1;
}

/* 0 when the replay cannot go on: no memory, or r->error says what the library did wrong. */
static int allocate(replay_t *r, const vmtrace_op_t *op)
{
    slot_t *slot = &r->slots[op->id];
    uint32_t kept = 0;
    void *at;
    switch (op->kind) {
    case VMTRACE_REALLOC:
        kept = slot->size < op->size ? slot->size : op->size;
        if (r->verify && !intact(slot, slot->size))
            return fail(r, "contents changed before a realloc");
        at = vmma_realloc(r->current, slot->at, op->size);
        break;
    case VMTRACE_CALLOC:
        at = vmma_calloc(r->current, 1, op->size);
        break;
    case VMTRACE_ALIGNED:
        at = vmma_aligned_alloc(r->current, (size_t)1 << op->log2_alignment, op->size);
        break;
    default:
        at = vmma_alloc(r->current, op->size);
    }
    if (!at)
        return 0;
    *slot = (slot_t){at, op->size, kept ? slot->seed : (uint32_t)r->at, r->current};
    if (r->verify) {
        if (!intact(slot, kept))
            return fail(r, "realloc lost contents");
        if (!verify_new(r, op, slot))
            return 0;
        fill(slot, kept);
    } else if (op->size > kept) {
        slot->at[op->size - 1] = 1; /* a program writes into what it asks for */
    }
    return 1;
}

static int enter_client(replay_t *r, uint32_t number)
{
    if (!r->clients[number]) {
        char name[32];
        snprintf(name, sizeof name, "client %u", (unsigned)number);
        r->clients[number] = vmma_create_client(r->context);
        if (r->clients[number])
            vmma_set_name(r->clients[number], r->trace->clients > 1 ? name : r->trace->name);
    }
    r->current = r->clients[number];
    return r->current != NULL;
}

static int leave_client(replay_t *r, uint32_t number)
{
    vmma_client_t *client = r->clients[number];
    for (uint32_t id = 0; client && r->verify && id < r->trace->ids; id++)
        if (r->slots[id].owner == client) {
            if (!intact(&r->slots[id], r->slots[id].size))
                return fail(r, "contents changed before the client was deleted");
            r->slots[id].owner = NULL;
        }
    r->clients[number] = NULL;
    if (client && vmma_delete_client(client) != VMMA_OK)
        return fail(r, "a client could not be deleted");
    return 1;
}

static int one_op(replay_t *r, const vmtrace_op_t *op)
{
    slot_t *slot = &r->slots[op->id];
    switch (op->kind) {
    case VMTRACE_MARK:
        return 1;
    case VMTRACE_CLIENT:
        return enter_client(r, op->id);
    case VMTRACE_DELETE:
        return leave_client(r, op->id);
    case VMTRACE_FREE:
        if (r->verify && !intact(slot, slot->size))
            return fail(r, "contents changed before a free");
        slot->owner = NULL;
        return vmma_free(r->current, slot->at) == VMMA_OK ? 1 : fail(r, "a right free was refused");
    default:
        return allocate(r, op);
    }
}

static int to_file(const char *text, size_t length, void *file)
{
    return fwrite(text, 1, length, file) == length ? 0 : 1;
}

static int write_map(replay_t *r, const char *path)
{
    FILE *file = fopen(path, "w");
    int good = file && vmma_dump(r->context, VMMA_DUMP_SVG, to_file, file) == VMMA_OK;
    if (file && fclose(file) != 0)
        good = 0;
    return good ? 1 : fail(r, "the heap map could not be written");
}

int replay(replay_t *r, const vmtrace_t *trace, setup_t setup, int verify, const char *map)
{
    struct timespec t0, t1;
    int good = 1;
    *r = (replay_t){.trace = trace, .setup = setup, .verify = verify};
    r->context = vmma_create_context(NULL, setup.size, setup.alignment, setup.block_size, setup.flags);
    if (!r->context)
        return 0;
    r->clients = calloc(trace->clients, sizeof *r->clients);
    r->slots = calloc((size_t)trace->ids + 1, sizeof *r->slots);
    if (!r->clients || !r->slots) {
        fprintf(stderr, "vmma-replay: not enough memory\n");
        exit(2);
    }
    size_t before = vmma_get_free_blocks(r->context);
    clock_gettime(CLOCK_MONOTONIC, &t0);
    good = enter_client(r, 0);
    while (good && r->at < trace->count) {
        good = one_op(r, &trace->ops[r->at]);
        if (good && map && r->at == trace->peak_at)
            good = write_map(r, map);
        r->at += good;
    }
    clock_gettime(CLOCK_MONOTONIC, &t1);
    r->seconds = (double)(t1.tv_sec - t0.tv_sec) + (double)(t1.tv_nsec - t0.tv_nsec) / 1e9;
    r->peak_held = vmma_get_peak_blocks(r->context) * vmma_get_block_size(r->context);
    if (verify && good && vmma_check_context(r->context) != VMMA_OK)
        good = fail(r, "the records of the context do not add up");
    for (uint32_t i = 0; good && i < trace->clients; i++)
        good = leave_client(r, i);
    /* More than four clients at a time make the context take a block for their slots for good. */
    if (good && trace->clients <= 4 && vmma_get_free_blocks(r->context) != before)
        good = fail(r, "the context is not as free as before");
    if (vmma_delete_context(r->context) != VMMA_OK)
        good = fail(r, "the context could not be deleted");
    free(r->clients);
    free(r->slots);
    return good && !r->error;
}
