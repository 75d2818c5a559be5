/* replay.h - replays one loaded trace through the adapter: a timed pass, and a pass that only asks whether it fits.
 * Knows vmtrace.h and the adapter's functions. What is live when a client goes is left to a_close where the allocator
 * deletes at once, and freed block by block where it does not. */
#ifndef REPLAY_H
#define REPLAY_H
#include "vmtrace.h"

static vt_trace rp_trace;
static void **rp_slot, **rp_heaps;
static uint32_t *rp_left; /* sizes of the blocks live at the end, by id */

static const char *rp_load(const char *path)
{
    const char *err = vt_load(path, &rp_trace);
    if (err)
        return err;
    rp_slot = need(calloc(rp_trace.max_ids + 1u, sizeof *rp_slot));
    rp_left = need(calloc(rp_trace.max_ids + 1u, sizeof *rp_left));
    rp_heaps = need(calloc(rp_trace.clients + 1u, sizeof *rp_heaps));
    for (uint64_t i = 0; i < rp_trace.n; i++) {
        const vt_op *o = rp_trace.ops + i;
        if (o->kind == VT_FREE)
            rp_left[o->id] = 0;
        else if (o->kind < VT_MARK)
            rp_left[o->id] = o->size;
    }
    return NULL;
}

static void *rp_enter(const vt_op *o, void *(*open_heap)(void), void (*close_heap)(void *))
{
    if (o->flag) {
        if (rp_heaps[o->id])
            close_heap(rp_heaps[o->id]);
        return rp_heaps[o->id] = NULL;
    }
    if (!rp_heaps[o->id])
        rp_heaps[o->id] = open_heap();
    return rp_heaps[o->id];
}

static inline void *rp_alloc(void *h, const vt_op *o)
{
    return o->kind == VT_CALLOC ? a_calloc(h, o->size)
         : o->kind == VT_ALIGNED ? a_aligned(h, (size_t)1 << o->l2align, o->size) : a_alloc(h, o->size);
}

/* one pass over the operations; 0 when an allocation failed */
__attribute__((noinline)) static int rp_ops(void *heap)
{
    const vt_op *o = rp_trace.ops, *e = o + rp_trace.n;
    void **slot = rp_slot;
    for (; o < e; o++) {
        void *p;
        switch (o->kind) {
        case VT_FREE:
            if (!o->flag || !A_DELETE)
                a_free(heap, slot[o->id], o->osize);
            continue;
        case VT_REALLOC: p = a_realloc(heap, slot[o->id], o->osize, o->size); break;
        case VT_MARK: continue;
        case VT_CLIENT:
            heap = rp_enter(o, a_open, a_close);
            if (!heap && !o->flag)
                return 0;
            continue;
        default: p = rp_alloc(heap, o);
        }
        slot[o->id] = p;
        if (o->size) {
            if (!p)
                return 0;
            *(volatile char *)p = (char)o->id;
        }
    }
    return 1;
}

/* ns per operation of one pass; opening the first client and the release at the end are not in it */
static double rp_pass(void)
{
    int tiny = rp_trace.n < 100000;
    double best = 1e300;
    for (int k = tiny ? (int)(200000 / (rp_trace.n + 1)) + 1 : 1; k > 0; k--) {
        void *heap = rp_heaps[0] = need(a_open());
        double t = tiny ? wall_now() : cpu_now();
        if (!rp_ops(heap))
            stop("out of memory in a trace");
        t = (tiny ? wall_now() : cpu_now()) - t;
        if (!A_DELETE)
            for (uint32_t i = 0; i < rp_trace.max_ids; i++)
                if (rp_left[i])
                    a_free(heap, rp_slot[i], rp_left[i]);
        for (uint32_t c = 0; c < rp_trace.clients; c++)
            if (rp_heaps[c]) {
                a_close(rp_heaps[c]);
                rp_heaps[c] = NULL;
            }
        best = t < best ? t : best;
    }
    return best / (double)rp_trace.n;
}

/* one pass inside a given block: 1 when all of it was served */
static int rp_fits(void)
{
    const vt_op *o = rp_trace.ops, *e = o + rp_trace.n;
    void *heap = rp_heaps[0] = a_fit_heap();
    int ok = heap != NULL;
    for (; ok && o < e; o++) {
        void *p = NULL;
        switch (o->kind) {
        case VT_FREE:
            if (!o->flag || !A_FIT_CLIENTS)
                a_free(heap, rp_slot[o->id], o->osize);
            continue;
        case VT_MARK: continue;
        case VT_CLIENT:
            heap = rp_enter(o, a_fit_heap, a_fit_close);
            ok = heap || o->flag;
            continue;
        case VT_REALLOC: p = a_realloc(heap, rp_slot[o->id], o->osize, o->size); break;
        default: p = rp_alloc(heap, o);
        }
        rp_slot[o->id] = p;
        if (o->size && !p)
            ok = 0;
        else if (o->size)
            *(volatile char *)p = 1;
    }
    memset(rp_heaps, 0, rp_trace.clients * sizeof *rp_heaps);
    return ok;
}
#endif
