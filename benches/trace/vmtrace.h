/* vmtrace.h - reads .vmtrace files, the allocation traces of real virtual machines. C99, knows no allocator.
 * A path that ends in ".zst" is read through the `zstd` command, any other path as it is.
 * vt_load checks everything: a trace that it accepts can be replayed without further checks. */
#ifndef VMTRACE_H
#define VMTRACE_H
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { VT_ALLOC = 0, VT_FREE = 1, VT_REALLOC = 2, VT_CALLOC = 3, VT_ALIGNED = 4, VT_MARK = 5, VT_CLIENT = 6, VT_TRUNCATED = 1 /* flag */ };

typedef struct { uint32_t id, size, osize; uint8_t kind, l2align, flag, pad; } vt_op;
/* size: requested bytes (alloc, calloc, aligned, realloc: new size)
 * osize: for free and realloc, the size the id had before (filled in by the reader)
 * VT_CLIENT: the ops that follow are of client `id`; with flag 1: client `id`, the current one,
 * is deleted. Before that the reader puts a VT_FREE with flag 1 for each block still live in it. */

typedef struct {
  char name[48];
  uint32_t flags, max_ids, l2align, clients;
  uint64_t n_ops /* in the file */, n /* in ops[] */, peak_bytes, peak_blocks, live_end;
  vt_op *ops;
} vt_trace;

static uint64_t vt_le(const unsigned char *p, int n) { uint64_t v = 0; while (n--) v = v << 8 | p[n]; return v; }

static unsigned char *vt_slurp(const char *path, size_t *len) {
  size_t L = strlen(path), cap = 1 << 20, n = 0, k;
  int z = L > 4 && !strcmp(path + L - 4, ".zst");
  char cmd[4200];
  FILE *f;
  if (z) {
    if (L > 4000 || strchr(path, '\'')) return NULL;
    snprintf(cmd, sizeof cmd, "zstd -dcq -- '%s'", path);
    f = popen(cmd, "r");
  } else f = fopen(path, "rb");
  if (!f) return NULL;
  unsigned char *b = malloc(cap);
  while (b && (k = fread(b + n, 1, cap - n, f)) > 0) if ((n += k) == cap) b = realloc(b, cap *= 2);
  if (z) pclose(f); else fclose(f);
  *len = n;
  return b;
}

static int vt_var(const unsigned char **p, const unsigned char *e, uint64_t *v) {
  uint64_t r = 0; unsigned s = 0;
  while (*p < e && s < 64) {
    unsigned char c = *(*p)++;
    r |= (uint64_t)(c & 127) << s; s += 7;
    if (c < 128) { *v = r; return 0; }
  }
  return -1;
}

/* Loads, decodes and fully checks a trace. Returns NULL, or what is wrong. The op array is
 * mmap'ed, so that it is not part of the malloc heap that a replay may measure. */
static const char *vt_load(const char *path, vt_trace *t) {
  size_t len = 0;
  unsigned char *b = vt_slurp(path, &len);
  if (!b || len < 128) { free(b); return "cannot read file"; }
  if (memcmp(b, "VMTRACE\n", 8) || vt_le(b + 8, 4) != 1) { free(b); return "not a version 1 vmtrace"; }
  t->flags = (uint32_t)vt_le(b + 12, 4);   t->n_ops = vt_le(b + 16, 8);
  t->max_ids = (uint32_t)vt_le(b + 24, 4); t->l2align = (uint32_t)vt_le(b + 28, 4);
  t->peak_bytes = vt_le(b + 32, 8);        t->peak_blocks = vt_le(b + 40, 8);
  t->live_end = vt_le(b + 48, 8);
  t->clients = (uint32_t)vt_le(b + 112, 4);
  memcpy(t->name, b + 64, 47); t->name[47] = 0; t->n = 0;
  const unsigned char *p = b + 128, *e = b + len;
  if (vt_le(b + 56, 8) != len - 128 || t->n_ops > len || t->max_ids > t->n_ops || t->l2align > 12 ||
      t->clients < 1 || t->clients > t->n_ops + 1) { free(b); return "bad header"; }
  t->ops = mmap(0, (2 * t->n_ops + 1) * sizeof(vt_op), PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  uint32_t *cur = calloc(t->max_ids + 1u, 4);  /* 0: dead, else size + 1 */
  uint32_t *own = calloc(t->max_ids + 1u, 4), cl = 0;
  const char *err = t->ops == MAP_FAILED || !cur || !own ? "no memory" : NULL;
  int64_t pa = -1, pf = 0;
  uint64_t live = 0, bytes = 0, pkb = 0, pkn = 0;
  for (uint64_t i = 0; !err && i < t->n_ops; i++) {
    uint64_t h, s = 0, l = 0;
    if (vt_var(&p, e, &h)) { err = "ends early"; break; }
    unsigned k = h & 7; h >>= 3;
    int64_t id = (int64_t)(h >> 1) ^ -(int64_t)(h & 1);
    vt_op *o = &t->ops[t->n++];
    if (k == VT_MARK) { o->kind = VT_MARK; o->id = (uint32_t)h; continue; }
    if (k == VT_CLIENT) {
      uint32_t c = (uint32_t)(h >> 1);
      if (c >= t->clients || ((h & 1) && c != cl)) { err = "bad client"; break; }
      cl = h & 1 ? UINT32_MAX : c;
      if (h & 1) for (uint32_t d = 0; d < t->max_ids; d++) if (cur[d] && own[d] == c) {
        *o++ = (vt_op){ .id = d, .osize = cur[d] - 1, .kind = VT_FREE, .flag = 1 };
        t->n++; live--; bytes -= cur[d] - 1; cur[d] = 0;
      }
      *o = (vt_op){ .id = c, .kind = VT_CLIENT, .flag = h & 1 };
      continue;
    }
    int old = k == VT_FREE || k == VT_REALLOC;
    id += old ? pf : pa;
    if (k > VT_MARK || id < 0 || id >= (int64_t)t->max_ids) { err = "bad op or id"; break; }
    if (old) pf = id; else pa = id;
    if ((k != VT_FREE && vt_var(&p, e, &s)) || (k == VT_ALIGNED && vt_var(&p, e, &l)) ||
        s >= UINT32_MAX || l > 31) { err = "bad size"; break; }
    if (old != (cur[id] != 0) || (old ? own[id] != cl : cl == UINT32_MAX)) { err = "id not live, or live already"; break; }
    own[id] = cl;
    o->id = (uint32_t)id; o->kind = (uint8_t)k; o->size = (uint32_t)s;
    o->l2align = (uint8_t)(k == VT_ALIGNED ? l : t->l2align);
    o->osize = old ? cur[id] - 1 : 0;
    bytes += s - o->osize; live += !old; live -= k == VT_FREE;
    cur[id] = k == VT_FREE ? 0 : (uint32_t)s + 1;
    pkb = bytes > pkb ? bytes : pkb; pkn = live > pkn ? live : pkn;
  }
  if (!err && (p != e || live != t->live_end || pkb != t->peak_bytes || pkn != t->peak_blocks))
    err = "ops do not match the header";
  free(cur); free(own); free(b);
  return err;
}
#endif
