/* trace.c - a fuzz target: both readers of allocation traces get any bytes as a file. A damaged trace must end in a
 * sentence; one that is accepted must be what a replay relies on. Built by fuzz/trace/build.sh: for libFuzzer, or with
 * -DPLAIN as a program that reads the files that it is given. It may know the readers. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../examples/vmtrace.h"

int bench_reads(const char *path);
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

enum { HEADER = 128 };

static void demand(int holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "assertion failed: %s\n", what);
        abort();
    }
}

static void put(unsigned char *at, uint64_t value, int bytes)
{
    for (; bytes > 0; bytes--, value >>= 8)
        *at++ = (unsigned char)value;
}

/* Both readers, with these bytes as the file. */
static void read_both(const unsigned char *data, size_t size)
{
    static int file = -1;
    static char path[64];
    if (file < 0) {
        file = memfd_create("trace", 0);
        demand(file >= 0, "there is a file for the trace");
        snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    }
    demand(ftruncate(file, 0) == 0 && pwrite(file, data, size, 0) == (ssize_t)size, "the file can be written");
    vmtrace_t t;
    const char *error = vmtrace_read(path, &t);
    demand(error ? strlen(error) > 5 && !t.ops && !t.count : t.ops != NULL, "an error is a sentence, and leaves nothing");
    for (size_t i = 0; i < t.count; i++) {
        const vmtrace_op_t *op = &t.ops[i];
        int client = op->kind == VMTRACE_CLIENT || op->kind == VMTRACE_DELETE;
        demand(op->kind <= VMTRACE_DELETE && op->log2_alignment <= 30, "kinds and alignments are in range");
        demand(op->kind == VMTRACE_MARK || op->id < (client ? t.clients : t.ids), "ids are in range");
    }
    demand(error || memchr(t.name, 0, sizeof t.name), "the name ends");
    vmtrace_release(&t);
    demand(bench_reads(path) >= 0, "what the benchmarks' reader accepts is in range");
}

/* The bytes as they are; and as operations behind a header that fits them as far as a header can without reading them. */
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    if (size < 16 || (data[0] == 'V' && data[1] == 'M')) {
        read_both(data, size);
        return 0;
    }
    size_t ops = size - 16;
    unsigned char *made = calloc(HEADER + ops, 1);
    demand(made != NULL, "there is memory for the trace");
    memcpy(made, "VMTRACE\n", 8);
    put(made + 8, 1, 4);
    made[12] = data[0];
    put(made + 16, data[1] | (uint64_t)data[2] << 8, 8);
    put(made + 24, data[3], 4);
    put(made + 28, data[4] & 15, 4);
    put(made + 32, data[5] | (uint64_t)data[6] << 8 | (uint64_t)data[7] << 16, 8);
    put(made + 40, data[8], 8);
    put(made + 48, data[9], 8);
    put(made + 56, ops, 8);
    memset(made + 64, data[10], 48);
    put(made + 112, data[11], 4);
    memcpy(made + HEADER, data + 16, ops);
    read_both(made, HEADER + ops);
    free(made);
    return 0;
}

#ifdef PLAIN
int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        static unsigned char data[1 << 20];
        FILE *file = fopen(argv[i], "rb");
        demand(file != NULL, argv[i]);
        size_t size = fread(data, 1, sizeof data, file);
        fclose(file);
        LLVMFuzzerTestOneInput(data, size);
    }
    printf("trace: %d inputs read\n", argc - 1);
    return argc > 1 ? 0 : 1;
}
#endif
