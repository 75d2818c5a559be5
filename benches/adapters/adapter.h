/* adapter.h - what the driver expects of an allocator. One adapter is chosen at compile time (ADAPTER), so that every
 * allocator is called directly, in a program of its own. Knows nothing of the benchmarks.
 *
 *   A_NAME      text
 *   A_IN_BLOCK  1: lives in a given block, so its smallest block can be searched
 *   A_DELETE    1: a_close frees what is live, at once; 0: the driver frees block by block before a_close
 *   A_FIT_CLIENTS 1: in a_fit every client slot has a heap of its own in the same block
 *   a_setup     once: variant, bytes to reserve, log2 of the alignment wanted; NULL or the reason why not
 *   a_open, a_close, a_alloc, a_calloc, a_aligned, a_realloc, a_free    osize is the size last asked for
 *   a_fit_begin an allocator in [memory, memory + size), block size (0: default); 0 if it does not fit
 *   a_fit_heap, a_fit_close, a_fit_end, a_fit_held (0: not known) */
#ifndef ADAPTER_H
#define ADAPTER_H
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include ADAPTER

#if !A_IN_BLOCK
static int a_fit_begin(void *memory, size_t size, size_t block) { (void)memory; (void)size; (void)block; return 0; }
static void *a_fit_heap(void) { return NULL; }
static void a_fit_close(void *h) { (void)h; }
static void a_fit_end(void) { }
static size_t a_fit_held(void) { return 0; }
#define A_FIT_CLIENTS 0
#elif !A_FIT_CLIENTS
static void *a_fit_heap(void) { return fit_heap; }
static void a_fit_close(void *h) { (void)h; }
static void a_fit_end(void) { }
#endif
#endif
