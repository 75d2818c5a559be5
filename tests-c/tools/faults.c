/*
 * faults.c: memory faults of a client's program, one at a time, for a memory tool to find. Knows the public API only.
 *
 *     faults NAME FLAGS bad|good
 *
 * Does what NAME says in a context with FLAGS; `good` does the same but for the one wrong access. The line that is at
 * fault ends in a comment: the name of the case. run.sh looks there, and wants the report to name that line.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "libvmma.h"

#define BLOCK ((size_t)16384)

static vmma_context_t *context;
static vmma_client_t *client;
static volatile char sink;
static int bad;

static char *must(void *p)
{
    if (p == NULL) {
        fprintf(stderr, "faults: no memory\n");
        exit(3);
    }
    return p;
}

static char *get(size_t size)
{
    char *p = must(vmma_alloc(client, size));
    memset(p, 'a', size);
    return p;
}

/* From the requested size on, with GUARD. */
static void overflow_guard(void)
{
    char *p = get(13);
    if (bad)
        p[13] = 1;                      /* overflow_guard */
}

static void overflow_calloc(void)
{
    char *p = must(vmma_calloc(client, 3, 7));
    if (bad)
        p[21] = 1;                      /* overflow_calloc */
}

static void overflow_aligned(void)
{
    char *p = must(vmma_aligned_alloc(client, 1024, 100));
    if (bad)
        sink = p[100];                  /* overflow_aligned */
}

static void overflow_grown(void)
{
    char *p = must(vmma_realloc(client, get(99), 101));
    p[100] = 1;
    if (bad)
        p[101] = 1;                     /* overflow_grown */
}

static void overflow_memset(void)
{
    char *p = get(40);
    size_t volatile n = bad ? 41 : 40;
    memset(p, 0, n);                    /* overflow_memset */
}

/* Behind all that may be used, in every mode. */
static void overflow_cell(void)
{
    char *p = get(24);
    size_t n = vmma_get_size(client, p);
    memset(p, 'b', n);
    if (bad)
        p[n] = 1;                       /* overflow_cell */
}

static void overflow_block(void)
{
    char *p = get(BLOCK - 100);
    size_t n = vmma_get_size(client, p);
    memset(p, 'b', n);
    if (bad)
        sink = p[n];                    /* overflow_block */
}

static void overflow_run(void)
{
    char *p = get(3 * BLOCK + 100);
    size_t n = vmma_get_size(client, p);
    memset(p, 'b', n);
    if (bad)
        p[n] = 1;                       /* overflow_run */
}

static void underflow(void)
{
    char *low = get(64), *high = get(64);
    if (low > high) {
        char *other = low;
        low = high;
        high = other;
    }
    vmma_free(client, low);
    sink = high[0];
    if (bad)
        sink = high[-1];                /* underflow */
}

static void never_allocated(void)
{
    char *p = get(64);
    if (bad)
        sink = p[5000];                 /* never_allocated */
}

static void read_after_free(void)
{
    char *p = get(40);
    sink = p[5];
    vmma_free(client, p);
    if (bad)
        sink = p[5];                    /* read_after_free */
}

static void write_after_free(void)
{
    char *p = get(3000);
    vmma_free(client, p);
    if (bad)
        p[2999] = 1;                    /* write_after_free */
}

static void run_after_free(void)
{
    char *p = get(5 * BLOCK);
    vmma_free(client, p);
    if (bad)
        sink = p[4 * BLOCK];            /* run_after_free */
}

static void old_after_move(void)
{
    char *p = get(40);
    sink = *get(40);                    /* in the way, so that it has to move */
    char *q = must(vmma_realloc(client, p, 4000));
    sink = q[39];
    if (bad)
        sink = p[39];                   /* old_after_move */
}

static void tail_after_shrink(void)
{
    char *p = get(8192);
    char *q = must(vmma_realloc(client, p, 1024));
    sink = q[1023];
    if (bad)
        sink = p[5000];                 /* tail_after_shrink */
}

static void run_after_shrink(void)
{
    char *p = get(6 * BLOCK);
    char *q = must(vmma_realloc(client, p, 2 * BLOCK));
    sink = q[2 * BLOCK - 1];
    if (bad)
        p[5 * BLOCK] = 1;               /* run_after_shrink */
}

static void after_delete(void)
{
    char *p = get(40);
    vmma_client_t *other = must(vmma_create_client(context)) ? vmma_create_client(context) : NULL;
    vmma_delete_client(client);
    client = other;
    if (bad)
        p[3] = 1;                       /* after_delete */
}

static void run_after_delete(void)
{
    char *p = get(3 * BLOCK);
    vmma_delete_client(client);
    client = vmma_create_client(context);
    if (bad)
        sink = p[2 * BLOCK];            /* run_after_delete */
}

static void after_reset(void)
{
    char *p = get(40);
    vmma_reset_client(client);
    if (bad)
        sink = p[3];                    /* after_reset */
}

/* memcheck only: what is in new memory means nothing. */
static void uninitialised(void)
{
    char *p = must(vmma_alloc(client, 40));
    if (!bad)
        p[7] = 'x';
    if (p[7] == 'x')                    /* uninitialised */
        sink = 1;
}

/* memcheck only: found at the end, by the stack of the allocation. */
static void *keep;
static void leak(void)
{
    char *p = must(vmma_alloc(client, 777));        /* leak */
    keep = p;
    *(void **)(void *)p = NULL;
    keep = NULL;
}

static const struct fault {
    const char *name;
    void (*run)(void);
    vmma_flags_t flags;
} faults[] = {
    {"overflow_guard", overflow_guard, VMMA_FLAG_GUARD},
    {"overflow_calloc", overflow_calloc, VMMA_FLAG_GUARD},
    {"overflow_aligned", overflow_aligned, VMMA_FLAG_GUARD},
    {"overflow_grown", overflow_grown, VMMA_FLAG_GUARD},
    {"overflow_memset", overflow_memset, VMMA_FLAG_GUARD},
    {"overflow_cell", overflow_cell, 0},
    {"overflow_block", overflow_block, 0},
    {"overflow_run", overflow_run, 0},
    {"underflow", underflow, 0},
    {"never_allocated", never_allocated, 0},
    {"read_after_free", read_after_free, 0},
    {"write_after_free", write_after_free, 0},
    {"run_after_free", run_after_free, 0},
    {"old_after_move", old_after_move, 0},
    {"tail_after_shrink", tail_after_shrink, 0},
    {"run_after_shrink", run_after_shrink, 0},
    {"after_delete", after_delete, 0},
    {"run_after_delete", run_after_delete, 0},
    {"after_reset", after_reset, 0},
    {"uninitialised", uninitialised, 0},
    {"leak", leak, 0},
};

int main(int argc, char **argv)
{
    size_t const size = (size_t)1 << 20;
    if (argc != 4) {
        for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
            puts(faults[i].name);
        return 2;
    }
    bad = strcmp(argv[3], "bad") == 0;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        if (strcmp(faults[i].name, argv[1]) != 0)
            continue;
        vmma_flags_t flags = (vmma_flags_t)strtoul(argv[2], NULL, 0) | faults[i].flags;
        /* Leaks are looked for in memory from malloc: a mapping is searched as a whole, and would hold its own blocks. */
        void *memory = strcmp(argv[1], "leak") == 0 ? malloc(size) : NULL;
        context = vmma_create_context(memory, size, 0, BLOCK, flags);
        if (context == NULL || (client = vmma_create_client(context)) == NULL)
            return 3;
        faults[i].run();
        if (strcmp(argv[1], "leak") == 0 && bad) {
            puts("survived, client not deleted");
            fflush(stdout);
            return 0;
        }
        vmma_delete_context(context);
        free(memory);
        puts("survived");
        return 0;
    }
    return 2;
}
