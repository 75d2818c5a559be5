/* duktape.c - several Duktape heaps, each in a client of its own.
 *
 * Four JavaScript programs take turns in one context: one computes and is destroyed in order, one
 * uses JSON, one leaks up to its limit and gets a JavaScript error for it, and one is dropped in
 * the middle: its heap is never destroyed, its client is deleted. It may know: libvmma.h and
 * duktape.h. It exits with 1 if anything is not as it says.
 */
#include <duktape.h>
#include <libvmma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void expect(int good, const char *claim)
{
    if (!good) {
        fprintf(stderr, "duktape: FAILED: %s\n", claim);
        exit(1);
    }
}

/* Duktape's memory functions: the user pointer of a heap is its client. */
static void *js_alloc(void *client, duk_size_t size)
{
    return size ? vmma_alloc(client, size) : NULL;
}

static void *js_realloc(void *client, void *ptr, duk_size_t size)
{
    if (size)
        return vmma_realloc(client, ptr, size);
    vmma_free(client, ptr); /* Duktape means it as a free; vmma_realloc takes 0 for 1 */
    return NULL;
}

static void js_free(void *client, void *ptr)
{
    vmma_free(client, ptr);
}

static void js_fatal(void *client, const char *message)
{
    fprintf(stderr, "duktape: %s: fatal: %s\n", vmma_get_name(client), message ? message : "?");
    exit(1); /* Duktape forbids a return from here */
}

typedef struct {
    const char *name;
    size_t limit;
    int destroy; /* end it with duk_destroy_heap */
    const char *step;     /* run ten times, in turn with the other programs */
    const char *expected; /* its last result */
    vmma_client_t *client;
    duk_context *js;
    char result[128];
} program_t;

static program_t programs[] = {
    {.name = "primes", .destroy = 1, .expected = "1229",
     .step = "var sieve = sieve || [], upto = (upto || 0) + 1000, count = 0, i, k;"
             "for (i = 0; i < upto; i++) sieve[i] = i > 1;"
             "for (i = 2; i * i < upto; i++)"
             "  if (sieve[i]) for (k = i * i; k < upto; k += i) sieve[k] = false;"
             "for (i = 0; i < upto; i++) count += sieve[i];"
             "count"},
    {.name = "json", .destroy = 1, .expected = "1000",
     .step = "var list = list || [];"
             "for (var i = 0; i < 100; i++)"
             "  list.push({ id: list.length, name: 'n\\u00e4me ' + i, tags: ['a', 'b', { deep: [i] }] });"
             "var text = JSON.stringify(list);"
             "list = JSON.parse(text);"
             "if (JSON.stringify(list) !== text) throw new Error('round trip differs');"
             "list.length"},
    {.name = "leaker", .limit = (size_t)1 << 20, .destroy = 1, .expected = "error",
     .step = "var kept = kept || [];"
             "for (var i = 0; i < 2000; i++) kept.push({ number: i, text: 'leaked ' + kept.length });"
             "kept.length"},
    {.name = "dropped", .destroy = 0, .expected = "2550",
     .step = "var queue = queue || [], total = total || 0;"
             "for (var i = 0; i < 255; i++) queue.push(function () { return queue.length; });"
             "queue.length"},
};
enum { PROGRAMS = sizeof programs / sizeof *programs };

static void start(program_t *p, vmma_context_t *context)
{
    p->client = vmma_create_client(context);
    expect(p->client != NULL, "a client is created");
    vmma_set_name(p->client, p->name);
    expect(vmma_set_limit(p->client, p->limit) == VMMA_OK, "the limit is set");
    p->js = duk_create_heap(js_alloc, js_realloc, js_free, p->client, js_fatal);
    expect(p->js != NULL, "a heap is created");
}

static void step(program_t *p)
{
    if (duk_peval_string(p->js, p->step) == 0)
        snprintf(p->result, sizeof p->result, "%s", duk_to_string(p->js, -1));
    else
        snprintf(p->result, sizeof p->result, "%s", duk_safe_to_string(p->js, -1));
    duk_pop(p->js);
}

static void end(program_t *p, vmma_context_t *context)
{
    size_t held = vmma_get_held_size(p->client), peak = vmma_get_peak_held_size(p->client);
    if (strcmp(p->expected, "error") == 0) {
        expect(strstr(p->result, "rror") != NULL, "the leaker gets a JavaScript error");
        expect(vmma_get_last_status(p->client) == VMMA_E_LIMIT, "its limit was the reason");
        expect(peak <= p->limit, "it never held more than its limit");
    } else {
        expect(strcmp(p->result, p->expected) == 0, "the program computes what it should");
    }
    if (p->destroy) {
        vmma_stats_t stats = {.struct_size = sizeof stats};
        duk_destroy_heap(p->js);
        expect(vmma_populate_client_stats(p->client, &stats) == VMMA_OK, "there are statistics");
        expect(stats.live_count == 0, "Duktape gave everything back");
    }
    printf("  %-8s held %7zu KiB, peak %7zu KiB, %-18s result: %s\n", p->name, held / 1024,
           peak / 1024, p->destroy ? "heap destroyed," : "heap NOT destroyed,", p->result);
    size_t free_blocks = vmma_get_free_blocks(context);
    size_t given_back = vmma_get_held_size(p->client) / vmma_get_block_size(context);
    expect(vmma_delete_client(p->client) == VMMA_OK, "the client is deleted");
    expect(vmma_get_free_blocks(context) == free_blocks + given_back, "all its blocks are free");
    expect(vmma_check_context(context) == VMMA_OK, "the records of the context add up");
}

int main(void)
{
    vmma_context_t *context = vmma_create_context(NULL, (size_t)16 << 20, 0, 0, 0);
    expect(context != NULL, "the context is created");
    size_t before = vmma_get_free_blocks(context);
    printf("Duktape %ld over libvmma %s: %d heaps, one client each\n", (long)DUK_VERSION,
           vmma_get_version_string(), (int)PROGRAMS);
    for (int i = 0; i < PROGRAMS; i++)
        start(&programs[i], context);
    for (int turn = 0; turn < 10; turn++)
        for (int i = 0; i < PROGRAMS; i++)
            step(&programs[i]);
    for (int i = 0; i < PROGRAMS; i++)
        end(&programs[i], context);
    expect(vmma_get_free_blocks(context) == before, "the context is as free as before");
    printf("%zu of %zu blocks free, as at the start\n", before, vmma_get_total_blocks(context));
    return vmma_delete_context(context) == VMMA_OK ? 0 : 1;
}
