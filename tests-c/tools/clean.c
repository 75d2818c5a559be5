/*
 * clean.c: correct programs, of which a memory tool must report nothing. Knows the public API only.
 *
 * For every flag, and for all of them together: allocations of all kinds whose memory is used from end to end, by
 * several clients that come, go and are reset; the questions and checks in between; then the host uses the memory
 * that it had given to the context. Prints the number of operations; exits with 1 if a content or a check is wrong.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "libvmma.h"

#define LIVE 48
#define CLIENTS 3

static uint64_t state = 1;
static long operations;

static size_t below(size_t end)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (size_t)(state >> 11) % end;
}

static void fail(const char *what, vmma_flags_t flags)
{
    fprintf(stderr, "clean: %s (flags 0x%x)\n", what, (unsigned)flags);
    exit(1);
}

struct piece {
    unsigned char *start;
    size_t size;
    unsigned char mark;
};

static struct piece pieces[CLIENTS][LIVE];

static void check_marks(const struct piece *p, size_t upto, vmma_flags_t flags)
{
    for (size_t i = 0; i < upto; i++)
        if (p->start[i] != p->mark)
            fail("a content has changed", flags);
}

static size_t some_size(void)
{
    switch (below(12)) {
    case 0: return 1 + below(16);
    case 1: return 1000 + below(9000);
    case 2: return 10000 + below(60000);
    default: return 1 + below(600);
    }
}

/* All that may be used is used: vmma_get_size, not only what was asked for. */
static void take(vmma_client_t *client, struct piece *p, vmma_flags_t flags)
{
    size_t size = some_size();
    int kind = (int)below(4);
    p->start = kind == 0   ? vmma_calloc(client, 1, size)
               : kind == 1 ? vmma_aligned_alloc(client, (size_t)8 << below(6), size)
                           : vmma_alloc(client, size);
    p->size = 0;
    if (p->start == NULL)
        return;
    p->size = vmma_get_size(client, p->start);
    size_t zero = flags & VMMA_FLAG_ZERO ? p->size : kind == 0 ? size : 0;
    for (size_t i = 0; i < zero; i++)
        if (p->start[i] != 0)
            fail("not zero", flags);
    p->mark = (unsigned char)below(256);
    memset(p->start, p->mark, p->size);
}

static void resize(vmma_client_t *client, struct piece *p, vmma_flags_t flags)
{
    size_t size = below(3) ? p->size + below(40) : some_size();
    void *moved = vmma_realloc(client, p->start, size);
    if (moved == NULL)
        return;
    p->start = moved;
    size_t now = vmma_get_size(client, moved);
    check_marks(p, p->size < size ? p->size : size, flags);
    p->size = now;
    memset(p->start, p->mark, p->size);
}

static void mix(vmma_context_t *context, vmma_flags_t flags, int steps)
{
    vmma_client_t *clients[CLIENTS];
    memset(pieces, 0, sizeof pieces);
    for (int i = 0; i < CLIENTS; i++)
        if ((clients[i] = vmma_create_client(context)) == NULL)
            fail("no client", flags);
    for (int step = 0; step < steps; step++) {
        int who = (int)below(CLIENTS);
        vmma_client_t *client = clients[who];
        struct piece *p = &pieces[who][below(LIVE)];
        operations++;
        if (p->start == NULL) {
            take(client, p, flags);
        } else if (below(3) == 0) {
            resize(client, p, flags);
        } else {
            check_marks(p, p->size, flags);
            if (vmma_free(client, p->start) != VMMA_OK)
                fail("a free is refused", flags);
            p->start = NULL;
        }
        switch (below(400)) {
        case 0:
            if (vmma_reset_client(client) != VMMA_OK)
                fail("reset", flags);
            memset(pieces[who], 0, sizeof pieces[who]);
            break;
        case 1:
            vmma_delete_client(client);
            memset(pieces[who], 0, sizeof pieces[who]);
            if ((clients[who] = vmma_create_client(context)) == NULL)
                fail("no client", flags);
            break;
        case 2:
            if (vmma_trim_client(client) != VMMA_OK || vmma_trim_context(context) != VMMA_OK)
                fail("trim", flags);
            break;
        case 3:
            if (vmma_check_context(context) != VMMA_OK)
                fail("vmma_check_context", flags);
            break;
        default:
            break;
        }
    }
    if (vmma_check_context(context) != VMMA_OK)
        fail("vmma_check_context at the end", flags);
}

/* More clients than the first slots: theirs fill blocks that may have been a client's before. */
static void many_clients(vmma_flags_t flags)
{
    vmma_context_t *context = vmma_create_context(NULL, 256 << 10, 0, 4096, flags);
    if (context == NULL)
        fail("no context", flags);
    vmma_client_t *first = vmma_create_client(context), *last = first;
    while (vmma_alloc(first, 4096) != NULL || vmma_alloc(first, 2000) != NULL)
        operations++;
    vmma_reset_client(first);
    for (int i = 0; i < 100; i++) {
        vmma_client_t *next = vmma_create_client(context);
        if (next == NULL)
            fail("no client", flags);
        char *p = vmma_alloc(next, 10);
        if (p != NULL)
            memset(p, 1, vmma_get_size(next, p));
        vmma_set_name(next, "one of many");
        if (i % 2)
            vmma_delete_client(last);
        last = next;
        operations++;
    }
    if (vmma_check_context(context) != VMMA_OK)
        fail("vmma_check_context with many clients", flags);
    vmma_delete_context(context);
}

/* Far beyond what is closed at creation. */
static void far(vmma_flags_t flags)
{
    vmma_context_t *context = vmma_create_context(NULL, (size_t)96 << 20, 0, 0, flags);
    if (context == NULL)
        fail("no context", flags);
    vmma_client_t *client = vmma_create_client(context);
    for (int i = 0; i < 70; i++) {
        char *p = vmma_alloc(client, (size_t)1 << 20);
        if (p == NULL)
            fail("no run", flags);
        p[0] = p[vmma_get_size(client, p) - 1] = 1;
        char *q = vmma_alloc(client, 10);
        memset(q, 1, vmma_get_size(client, q));
        operations++;
    }
    vmma_delete_context(context);
}

static int write_nothing(const char *text, size_t length, void *user)
{
    (void)text;
    *(size_t *)user += length;
    return 0;
}

int main(void)
{
    static const vmma_flags_t modes[] = {
        0, VMMA_FLAG_THREADS, VMMA_FLAG_SHARED_CLIENTS, VMMA_FLAG_ZERO, VMMA_FLAG_WIPE, VMMA_FLAG_GUARD,
        VMMA_FLAG_QUARANTINE, VMMA_FLAG_PACKED, VMMA_FLAG_NO_CACHE, VMMA_FLAG_RELEASE,
        VMMA_FLAG_GUARD | VMMA_FLAG_PACKED, VMMA_FLAG_GUARD | VMMA_FLAG_ZERO | VMMA_FLAG_WIPE,
        VMMA_FLAG_QUARANTINE | VMMA_FLAG_WIPE, VMMA_FLAG_QUARANTINE | VMMA_FLAG_GUARD | VMMA_FLAG_PACKED, 0x1ff,
    };
    static const size_t block_sizes[] = {1024, 4096, 65536};
    size_t const size = (size_t)1 << 20;
    for (size_t m = 0; m < sizeof modes / sizeof *modes; m++) {
        for (size_t b = 0; b < sizeof block_sizes / sizeof *block_sizes; b++) {
            vmma_flags_t flags = modes[m];
            /* Given memory, twice; then it is the host's again, every byte of it. */
            unsigned char *memory = malloc(size);
            if (memory == NULL)
                return 1;
            for (int again = 0; again < 2; again++) {
                memset(memory, 0xa5, size);
                vmma_context_t *context = vmma_create_context(memory, size, b == 0 ? 8 : 0, block_sizes[b], flags);
                if (context == NULL)
                    fail("no context", flags);
                mix(context, flags, 1500);
                size_t length = 0;
                vmma_dump(context, VMMA_DUMP_TEXT, write_nothing, &length);
                vmma_delete_context(context);
                unsigned sum = 0;
                for (size_t i = 0; i < size; i += 7)
                    sum += memory[i];
                memset(memory, (int)sum, size);
            }
            free(memory);
        }
        many_clients(modes[m]);
    }
    static unsigned char fixed[300000];
    vmma_context_t *context = vmma_create_context(fixed, sizeof fixed, 0, 0, 0);
    if (context == NULL)
        fail("no context in static memory", 0);
    mix(context, 0, 500);
    vmma_delete_context(context);
    memset(fixed, 1, sizeof fixed);
    far(0);
    far(VMMA_FLAG_GUARD);
    printf("survived %ld operations\n", operations);
    return 0;
}
