/* vmtrace.c - reader of allocation traces; see vmtrace.h. It may know the C library only.
 *
 * The file is input from outside: nothing in it is believed before it is checked, and a damaged
 * one ends in a sentence, never in a crash.
 */
#define _POSIX_C_SOURCE 200809L
#include "vmtrace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER = 128, NOBODY = -1 };

typedef struct {
    const unsigned char *at, *end;
} input_t;

typedef struct { /* one id, while the trace is read */
    uint32_t size;
    int64_t owner; /* NOBODY: dead */
} slot_t;

static uint64_t little_endian(const unsigned char *bytes, int count)
{
    uint64_t value = 0;
    while (count--)
        value = value << 8 | bytes[count];
    return value;
}

static int varint(input_t *in, uint64_t *value)
{
    *value = 0;
    for (int shift = 0; in->at < in->end && shift < 64; shift += 7) {
        unsigned char byte = *in->at++;
        *value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128)
            return 1;
    }
    return 0;
}

/* popen hands its command to a shell, so a quote in the name must not end the quoting. */
static FILE *open_zst(const char *path)
{
    static const char start[] = "zstd -dcq -- '";
    char *command = malloc(sizeof start + 4 * strlen(path) + 2), *to = command;
    if (!command)
        return NULL;
    to = stpcpy(to, start);
    for (; *path; path++)
        if (*path == '\'')
            to = stpcpy(to, "'\\''");
        else
            *to++ = *path;
    strcpy(to, "'");
    FILE *file = popen(command, "r");
    free(command);
    return file;
}

static unsigned char *slurp(const char *path, size_t *length)
{
    size_t n = strlen(path), room = 1 << 16, got;
    int packed = n > 4 && strcmp(path + n - 4, ".zst") == 0;
    FILE *file = packed ? open_zst(path) : fopen(path, "rb");
    unsigned char *bytes = file ? malloc(room) : NULL;
    *length = 0;
    while (bytes && (got = fread(bytes + *length, 1, room - *length, file)) > 0) {
        *length += got;
        if (*length == room) {
            unsigned char *more = realloc(bytes, room *= 2);
            if (!more)
                free(bytes);
            bytes = more;
        }
    }
    if (file && packed ? pclose(file) != 0 : file && fclose(file) != 0) {
        free(bytes);
        return NULL;
    }
    return bytes;
}

static const char *read_header(const unsigned char *h, size_t length, vmtrace_t *t, uint64_t *live)
{
    if (length < HEADER || memcmp(h, "VMTRACE\n", 8) != 0)
        return "not an allocation trace";
    if (little_endian(h + 8, 4) != 1)
        return "a version of the format that this program does not know";
    uint64_t count = little_endian(h + 16, 8), log2_alignment = little_endian(h + 28, 4);
    t->cut = (int)(h[12] & 1);
    t->ids = (uint32_t)little_endian(h + 24, 4);
    t->peak_bytes = little_endian(h + 32, 8);
    t->peak_live = little_endian(h + 40, 8);
    *live = little_endian(h + 48, 8);
    t->clients = (uint32_t)little_endian(h + 112, 4);
    memcpy(t->name, h + 64, 48);
    /* Each operation takes at least a byte, which bounds everything that is allocated below. */
    if (little_endian(h + 56, 8) != length - HEADER || count > length - HEADER)
        return "the file is cut off, or longer than its header says";
    if (t->ids > count || t->clients < 1 || t->clients > count + 1 || log2_alignment > 12)
        return "numbers in the header that cannot be";
    t->count = (size_t)count;
    t->alignment = 1u << log2_alignment;
    return NULL;
}

/* What an operation does to the ids, and whether it may. */
typedef struct {
    slot_t *slots;
    int64_t client; /* NOBODY right after a deletion */
    int64_t last_alloc, last_free;
    uint64_t bytes, live, peak_bytes, peak_live;
} state_t;

static const char *client_op(vmtrace_t *t, state_t *s, uint64_t value, vmtrace_op_t *op)
{
    uint64_t client = value >> 1;
    if (client >= t->clients)
        return "a client that the header does not know";
    op->id = (uint32_t)client;
    op->kind = value & 1 ? VMTRACE_DELETE : VMTRACE_CLIENT;
    if (!(value & 1)) {
        s->client = (int64_t)client;
        return NULL;
    }
    if (s->client != (int64_t)client)
        return "a client is deleted that is not the current one";
    for (uint32_t id = 0; id < t->ids; id++)
        if (s->slots[id].owner == s->client) {
            s->slots[id].owner = NOBODY;
            s->bytes -= s->slots[id].size;
            s->live--;
        }
    s->client = NOBODY;
    return NULL;
}

static const char *next_op(input_t *in, vmtrace_t *t, state_t *s, vmtrace_op_t *op)
{
    uint64_t head, size = 0, log2_alignment = 0;
    if (!varint(in, &head))
        return "it ends in the middle of an operation";
    uint64_t value = head >> 3;
    unsigned kind = (unsigned)(head & 7);
    *op = (vmtrace_op_t){.kind = (uint8_t)kind};
    if (kind == VMTRACE_MARK)
        return NULL;
    if (kind == VMTRACE_CLIENT)
        return client_op(t, s, value, op);
    if (kind > VMTRACE_CLIENT)
        return "an unknown kind of operation";

    int old = kind == VMTRACE_FREE || kind == VMTRACE_REALLOC;
    int64_t step = (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
    int64_t *last = old ? &s->last_free : &s->last_alloc;
    if (step < -(int64_t)t->ids || step > (int64_t)t->ids || *last + step < 0 ||
        *last + step >= (int64_t)t->ids)
        return "an id out of range";
    *last += step;
    if (kind != VMTRACE_FREE && (!varint(in, &size) || size >= UINT32_MAX))
        return "a size out of range";
    if (kind == VMTRACE_ALIGNED && (!varint(in, &log2_alignment) || log2_alignment > 30))
        return "an alignment out of range";
    if (kind == VMTRACE_REALLOC && size == 0)
        return "a realloc to nothing";

    slot_t *slot = &s->slots[*last];
    if (s->client == NOBODY)
        return "an operation between two clients";
    if (old ? slot->owner != s->client : slot->owner != NOBODY)
        return old ? "an id is used that is not live in this client" : "a live id is used again";
    s->bytes += size - (old ? slot->size : 0);
    s->live += kind == VMTRACE_FREE ? (uint64_t)-1 : (uint64_t)!old;
    slot->owner = kind == VMTRACE_FREE ? NOBODY : s->client;
    slot->size = (uint32_t)size;
    op->id = (uint32_t)*last;
    op->size = (uint32_t)size;
    op->log2_alignment = (uint8_t)log2_alignment;
    return NULL;
}

static const char *read_ops(input_t *in, vmtrace_t *t, uint64_t live_at_end)
{
    state_t s = {.last_alloc = -1};
    const char *error = NULL;
    t->ops = calloc(t->count + 1, sizeof *t->ops);
    s.slots = calloc((size_t)t->ids + 1, sizeof *s.slots);
    if (!t->ops || !s.slots)
        error = "not enough memory to read it";
    for (uint32_t id = 0; !error && id < t->ids; id++)
        s.slots[id].owner = NOBODY;
    for (size_t i = 0; !error && i < t->count; i++) {
        error = next_op(in, t, &s, &t->ops[i]);
        if (!error && s.bytes > s.peak_bytes) {
            s.peak_bytes = s.bytes;
            t->peak_at = i;
        }
        if (!error && s.live > s.peak_live)
            s.peak_live = s.live;
    }
    if (!error && (in->at != in->end || s.peak_bytes != t->peak_bytes ||
                   s.peak_live != t->peak_live || s.live != live_at_end))
        error = "its operations do not add up to what its header says";
    t->live_at_end = live_at_end;
    free(s.slots);
    if (error)
        vmtrace_release(t);
    return error;
}

const char *vmtrace_read(const char *path, vmtrace_t *trace)
{
    size_t length = 0;
    uint64_t live = 0;
    unsigned char *bytes = slurp(path, &length);
    memset(trace, 0, sizeof *trace);
    if (!bytes)
        return "cannot read it (a .zst file needs the zstd command)";
    const char *error = read_header(bytes, length, trace, &live);
    input_t in = {bytes + HEADER, bytes + length};
    if (!error)
        error = read_ops(&in, trace, live);
    free(bytes);
    return error;
}

void vmtrace_release(vmtrace_t *trace)
{
    free(trace->ops);
    trace->ops = NULL;
    trace->count = 0;
}
