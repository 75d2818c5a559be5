/* vmma-replay.c - replays allocation traces into a context, and advises on its parameters.
 *
 * For each trace: replay it once in a roomy context, then find by bisection the smallest `size`
 * that it completes in, over block sizes, in default and in PACKED mode, and prove each advice by
 * one more replay with the contents verified. A trace of several clients (a server) is replayed
 * with a client each. It may know: libvmma.h, vmtrace.h and replay.h.
 */
#define _GNU_SOURCE
#include "replay.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KIB ((size_t)1024)
#define MIB (KIB * KIB)

static const struct {
    const char *name;
    vmma_flags_t flag;
} flag_names[] = {
    {"THREADS", VMMA_FLAG_THREADS},   {"SHARED_CLIENTS", VMMA_FLAG_SHARED_CLIENTS},
    {"ZERO", VMMA_FLAG_ZERO},         {"WIPE", VMMA_FLAG_WIPE},
    {"GUARD", VMMA_FLAG_GUARD},       {"QUARANTINE", VMMA_FLAG_QUARANTINE},
    {"PACKED", VMMA_FLAG_PACKED},     {"NO_CACHE", VMMA_FLAG_NO_CACHE},
    {"RELEASE", VMMA_FLAG_RELEASE},   {"ABORT", VMMA_FLAG_ABORT},
};
enum { FLAGS = sizeof flag_names / sizeof *flag_names };

static const char *size_text(size_t bytes)
{
    static char text[8][32];
    static int next;
    char *to = text[next++ % 8];
    if (bytes >= MIB)
        snprintf(to, sizeof *text, "%.2f MiB", (double)bytes / (double)MIB);
    else
        snprintf(to, sizeof *text, "%.1f KiB", (double)bytes / (double)KIB);
    return to;
}

static const char *flags_text(vmma_flags_t flags, const char *prefix, const char *none)
{
    static char text[2][256];
    static int next;
    char *to = text[next++ % 2];
    *to = '\0';
    for (int i = 0; i < FLAGS; i++)
        if (flags & flag_names[i].flag) {
            strcat(to, *to ? " | " : "");
            strcat(to, prefix);
            strcat(to, flag_names[i].name);
        }
    return *to ? to : none;
}

/* ---- Advice --------------------------------------------------------------------------------- */

typedef struct {
    const char *path;
    const vmtrace_t *trace;
} job_t;

/* A library that fails a verified promise is no basis for advice. */
static int completes(const job_t *job, setup_t setup, int verify)
{
    replay_t r;
    int good = replay(&r, job->trace, setup, verify, NULL);
    if (r.error) {
        printf("%s: FAILED at operation %zu: %s\n", job->path, r.at, r.error);
        exit(1);
    }
    return good;
}

static size_t step_of(size_t size)
{
    size_t step = size / 400; /* a quarter of a percent */
    return step < KIB ? KIB : step / KIB * KIB;
}

/* The smallest size from low to high that the trace completes in; it does in `high`. */
static size_t smallest(const job_t *job, setup_t setup, size_t low, size_t high)
{
    while (high - low > step_of(high)) {
        setup.size = low + (high - low) / 2 / KIB * KIB;
        if (setup.size <= low)
            break;
        if (completes(job, setup, 0))
            high = setup.size;
        else
            low = setup.size;
    }
    return high;
}

/* Tries all block sizes with these flags. Only one that beats the best so far is bisected: for the
 * others one failing replay is enough. */
static setup_t best_block_size(const job_t *job, setup_t setup, size_t roomy)
{
    setup_t best = setup;
    size_t peak = (size_t)job->trace->peak_bytes, low = peak / KIB * KIB;
    best.size = 0;
    for (size_t block = 256 * KIB; block >= KIB; block /= 2) {
        if (block < 16 * setup.alignment || (block >= 32 * KIB && block > peak / 2 + KIB) ||
            (block < 4 * KIB && peak > 4 * MIB))
            continue;
        setup.block_size = block;
        setup.size = best.size ? best.size - step_of(best.size) : roomy;
        if (setup.size <= low || !completes(job, setup, 0)) {
            printf("  %-14s %9s %14s\n", flags_text(setup.flags, "", "default"), size_text(block),
                   "no better");
            continue;
        }
        setup.size = smallest(job, setup, low, setup.size);
        printf("  %-14s %9s %14s %7.3f\n", flags_text(setup.flags, "", "default"),
               size_text(block), size_text(setup.size), (double)setup.size / (double)peak);
        best = setup;
    }
    return best;
}

static void advise(const job_t *job, setup_t setup, size_t roomy)
{
    setup_t best[2];
    printf("\n  The smallest context that this run completes in, by bisection:\n");
    printf("  %-14s %9s %14s %7s\n", "flags", "blocks of", "size", "/ peak");
    for (int packed = 0; packed < 2; packed++) {
        best[packed].size = 0;
        setup_t with = setup;
        with.flags = packed ? setup.flags | VMMA_FLAG_PACKED : setup.flags & ~VMMA_FLAG_PACKED;
        if (packed && !(vmma_get_supported_flags() & VMMA_FLAG_PACKED))
            printf("  skipped: PACKED (this build of the library leaves it out)\n");
        else
            best[packed] = best_block_size(job, with, roomy);
    }
    printf("\n  Advice:\n");
    for (int packed = 0; packed < 2; packed++) {
        if (!best[packed].size)
            continue;
        replay_t timed;
        if (!replay(&timed, job->trace, best[packed], 0, NULL) || !completes(job, best[packed], 1)) {
            printf("%s: FAILED: the advised size does not do for a second run\n", job->path);
            exit(1);
        }
        printf("    vmma_create_context(memory, %zu, %zu, %zu, %s)  (verified, %.1f ns per operation)\n",
               best[packed].size, best[packed].alignment, best[packed].block_size,
               flags_text(best[packed].flags, "VMMA_FLAG_", "0"),
               timed.seconds * 1e9 / (double)(job->trace->count ? job->trace->count : 1));
    }
    printf("    This is just enough for exactly this run, in memory that the library maps. Add up\n"
           "    to a block for memory of your own at any address, and 10 to 25 %% for other runs.\n");
}

static int one_trace(const char *path, setup_t setup, int verify, int advice, const char *map)
{
    vmtrace_t trace;
    replay_t r;
    const char *error = vmtrace_read(path, &trace);
    if (error) {
        printf("%s: FAILED: %s\n", path, error);
        return 0;
    }
    const job_t job = {path, &trace};
    int fixed = setup.size != 0, good;
    if (!setup.alignment)
        setup.alignment = trace.alignment < 8 ? 8 : trace.alignment;
    if (!fixed)
        setup.size = (size_t)trace.peak_bytes * 4 + MIB;
    /* Roomy means that it completes; block sizes above the default need more to do so. */
    while (!(good = replay(&r, &trace, setup, verify, map)) && !r.error && !fixed &&
           setup.size / 64 < trace.peak_bytes + MIB)
        setup.size *= 2;
    printf("%s: %zu operations, %u client%s, peak %s asked for in %llu allocations%s\n", trace.name,
           trace.count, (unsigned)trace.clients, trace.clients == 1 ? "" : "s",
           size_text((size_t)trace.peak_bytes), (unsigned long long)trace.peak_live,
           trace.cut ? " (cut run)" : "");
    printf("  context of %s, alignment %zu, blocks of %s, flags %s: ", size_text(setup.size),
           setup.alignment, setup.block_size ? size_text(setup.block_size) : "the default size",
           flags_text(setup.flags, "", "none"));
    if (good)
        printf("completed, %s, held %s at most, %.1f ns per operation%s\n",
               verify ? "contents verified" : "contents not verified", size_text(r.peak_held),
               r.seconds * 1e9 / (double)(trace.count ? trace.count : 1),
               verify ? " with the verification" : "");
    else
        printf("%s at operation %zu of %zu%s%s\n", r.error ? "FAILED" : "out of memory", r.at,
               trace.count, r.error ? ": " : "", r.error ? r.error : "");
    if (good && map)
        printf("  heap map at the peak: %s\n", map);
    if (good && advice)
        advise(&job, setup, setup.size);
    vmtrace_release(&trace);
    return good;
}

/* ---- The command line ----------------------------------------------------------------------- */

static const char usage[] =
    "usage: vmma-replay [options] TRACE.vmtrace[.zst] ...\n"
    "  -s, --size N         size of the context (default: roomy); K, M, G may follow\n"
    "  -b, --block-size N   block size (default: the library's)\n"
    "  -a, --alignment N    alignment (default: what the trace asks for)\n"
    "  -f, --flags A,B,...  flags by name: PACKED, NO_CACHE, GUARD, ...\n"
    "  -v, --verify         fill every allocation and check contents, alignment, zeroing\n"
    "  -m, --map FILE       write the heap map (SVG) at the peak; of the last trace\n"
    "  -n, --no-advice      replay only, do not look for the smallest context\n";

static int parse_size(const char *text, size_t *size)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    int shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
    *size = (size_t)value << shift;
    return end != text && *text != '-' && end[shift != 0] == '\0' && *size >> shift == value;
}

static int parse_flags(char *text, vmma_flags_t *flags)
{
    for (char *name = strtok(text, ","); name; name = strtok(NULL, ",")) {
        int i = 0;
        while (i < FLAGS && strcmp(name, flag_names[i].name) != 0)
            i++;
        if (i == FLAGS)
            return 0;
        *flags |= flag_names[i].flag;
    }
    return 1;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"size", 1, 0, 's'},   {"block-size", 1, 0, 'b'}, {"alignment", 1, 0, 'a'},
        {"flags", 1, 0, 'f'},  {"verify", 0, 0, 'v'},     {"map", 1, 0, 'm'},
        {"no-advice", 0, 0, 'n'}, {"help", 0, 0, 'h'},    {0, 0, 0, 0}};
    setup_t setup = {0, 0, 0, 0};
    int verify = 0, advice = 1, option, good = 1;
    const char *map = NULL;
    while ((option = getopt_long(argc, argv, "s:b:a:f:vm:nh", options, NULL)) != -1) {
        switch (option) {
        case 's': good &= parse_size(optarg, &setup.size); break;
        case 'b': good &= parse_size(optarg, &setup.block_size); break;
        case 'a': good &= parse_size(optarg, &setup.alignment); break;
        case 'f': good &= parse_flags(optarg, &setup.flags); break;
        case 'v': verify = 1; break;
        case 'm': map = optarg; break;
        case 'n': advice = 0; break;
        case 'h': fputs(usage, stdout); return 0;
        default: good = 0;
        }
    }
    if (!good || optind == argc) {
        fputs(usage, stderr);
        return 2;
    }
    if (setup.flags & ~vmma_get_supported_flags()) {
        printf("vmma-replay: this build of the library leaves out a flag that was asked for\n");
        return 2;
    }
    for (int i = optind; i < argc; i++)
        good &= one_trace(argv[i], setup, verify, advice, map);
    return good ? 0 : 1;
}
