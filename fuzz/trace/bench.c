/* bench.c - the benchmarks' trace reader, for trace.c: the two readers' headers do not go into one file.
 * It may know that reader. */
#define _GNU_SOURCE
#include <limits.h>
#include "../../benches/trace/vmtrace.h"

/* Reads a trace as the benchmarks do. 1: it was accepted, and all of it is as a replay relies on. -1: it is not. */
int bench_reads(const char *path);

int bench_reads(const char *path)
{
    vt_trace t;
    memset(&t, 0, sizeof t);
    const char *error = vt_load(path, &t);
    int good = error == NULL;
    for (uint64_t i = 0; good == 1 && i < t.n; i++) {
        const vt_op *op = &t.ops[i];
        if (op->kind > VT_CLIENT || op->l2align > 31 || (op->kind < VT_MARK && op->id >= t.max_ids) ||
            (op->kind == VT_CLIENT && op->id >= t.clients))
            good = -1;
    }
    if (t.ops && t.ops != MAP_FAILED)
        munmap(t.ops, (2 * t.n_ops + 1) * sizeof *t.ops);
    return good;
}
