/* driver.c - one program per allocator: takes commands on standard input and answers each with one line, so that
 * run.c can let all allocators take turns. Knows the benchmarks in the headers beside it and one adapter.
 *
 *   driver VARIANT RESERVE-MIB L2ALIGN         commands: load PATH, pass, list, micro NAME, fit WHAT, worst RUNS, quit
 *   driver VARIANT RESERVE-MIB L2ALIGN pairs SIZE COUNT     runs COUNT pairs and ends (for instruction counts)
 *   driver VARIANT RESERVE-MIB L2ALIGN replay PATH          one pass over a trace and ends (for profiles)
 *   driver VARIANT RESERVE-MIB L2ALIGN micro NAME           one repetition and ends (for profiles)
 * An answer is numbers, or "skip WHY". */
#define _GNU_SOURCE
#include "adapter.h"
#include "common.h"
#include "../trace/replay.h"
#include "fit.h"
#include "worst.h"
#include "micro.h"

static void pairs_command(uint32_t size, uint64_t count)
{
    void *h = need(a_open());
    for (uint64_t i = 0; i < count; i++) {
        void *p = a_alloc(h, size);
        *(volatile char *)p = 1;
        a_free(h, p, size);
    }
    a_close(h);
}

int main(int argc, char **argv)
{
    char line[4400];
    if (argc < 4)
        return 2;
    const char *why = a_setup(argv[1], (size_t)strtoull(argv[2], NULL, 10) << 20, (unsigned)atoi(argv[3]));
    if (argc == 7 && !strcmp(argv[4], "pairs")) {
        if (why)
            stop(why);
        pairs_command((uint32_t)atoi(argv[5]), strtoull(argv[6], NULL, 10));
        return 0;
    }
    if (argc == 6 && !strcmp(argv[4], "replay")) {
        if (!why)
            why = rp_load(argv[5]);
        if (why)
            stop(why);
        printf("%.2f ns/op\n", rp_pass());
        return 0;
    }
    if (argc == 6 && !strcmp(argv[4], "micro")) {
        if (why)
            stop(why);
        micro_command(argv[5]);
        return 0;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        if (!strcmp(line, "quit"))
            break;
        if (why)
            printf("skip %s\n", why);
        else if (!strncmp(line, "load ", 5)) {
            const char *err = rp_load(line + 5);
            if (err)
                printf("skip %s\n", err);
            else
                printf("%s %llu %llu %u %u\n", rp_trace.name, (unsigned long long)rp_trace.n,
                       (unsigned long long)rp_trace.peak_bytes, rp_trace.l2align, rp_trace.clients);
        } else if (!strcmp(line, "pass"))
            printf("%.4f\n", rp_pass());
        else if (!strcmp(line, "list"))
            micro_list();
        else if (!strncmp(line, "micro ", 6))
            micro_command(line + 6);
        else if (!strncmp(line, "fit ", 4))
            fit_command(line + 4);
        else if (!strncmp(line, "worst ", 6))
            worst_command(atoi(line + 6));
        else
            printf("skip unknown command\n");
        fflush(stdout);
    }
    return 0;
}
