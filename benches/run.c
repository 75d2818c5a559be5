/* run.c - lets allocators take turns. Starts one driver process per allocator, gives each the same command round by
 * round, keeps the least of the answers and writes a table of tab-separated values. After a few rounds each gets a new
 * process: where the system puts a process's pages decides some per cent of its time. Knows the drivers' command lines
 * (driver/driver.c), nothing of allocators.
 *
 *   run traces ROUNDS OUT.tsv LABEL=DRIVER:VARIANT... -- TRACE...
 *   run micro  ROUNDS OUT.tsv LABEL=DRIVER:VARIANT...
 *   run memory 0      OUT.tsv LABEL=DRIVER:VARIANT[:best]... -- TRACE...
 *   run worst  RUNS   OUT.tsv LABEL=DRIVER:VARIANT...
 * A driver written DRIVER@8 is DRIVER8 where a trace asks for alignment 8 only. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX = 24, NAME = 64, TRACE_ROUNDS = 5, MICRO_ROUNDS = 3 /* rounds of one process */, MIXES = 12 /* random sequences */ };
struct peer {
    char label[NAME], path[1024], variant[NAME], low[1060];
    int best; /* memory: block size is free */
    pid_t pid;
    FILE *in, *out;
    double least;
    char skip[200];
};
static struct peer peers[MAX];
static int count;

static void die(const char *m) { fprintf(stderr, "run: %s\n", m); exit(1); }

static void start(struct peer *p, size_t mib, unsigned l2align)
{
    int to[2], from[2];
    char m[32], a[8];
    snprintf(m, sizeof m, "%zu", mib);
    snprintf(a, sizeof a, "%u", l2align);
    if (pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC))
        die("pipe");
    fflush(NULL);
    p->pid = fork();
    if (p->pid < 0)
        die("fork");
    if (!p->pid) {
        const char *exe = l2align == 3 && p->low[0] ? p->low : p->path;
        dup2(to[0], 0);
        dup2(from[1], 1);
        execl(exe, exe, p->variant, m, a, (char *)NULL);
        _exit(127);
    }
    close(to[0]);
    close(from[1]);
    p->in = fdopen(to[1], "w");
    p->out = fdopen(from[0], "r");
    p->least = -1;
    p->skip[0] = 0;
}
static void end(struct peer *p)
{
    if (p->in) {
        fclose(p->in);
        fclose(p->out);
        waitpid(p->pid, NULL, 0);
    }
    p->in = NULL;
}
/* one command, one line; 0 when the driver skips or has died */
static int ask(struct peer *p, const char *command, char *answer, size_t size)
{
    if (!p->in)
        return 0;
    fprintf(p->in, "%s\n", command);
    fflush(p->in);
    if (!fgets(answer, (int)size, p->out)) {
        snprintf(p->skip, sizeof p->skip, "driver ended (%.60s)", command);
        end(p);
        return 0;
    }
    answer[strcspn(answer, "\n")] = 0;
    if (!strncmp(answer, "skip ", 5)) {
        snprintf(p->skip, sizeof p->skip, "%.190s", answer + 5);
        return 0;
    }
    return 1;
}

/* the same peer as a new process, which begins with a command, if any */
static void renew(struct peer *p, size_t mib, unsigned l2align, const char *command)
{
    char answer[4400];
    double least = p->least;
    if (p->skip[0] || !p->in)
        return;
    end(p);
    start(p, mib, l2align);
    p->least = least;
    if (command)
        ask(p, command, answer, sizeof answer);
}

/* Whose turn it is. Who starts first, and follows the last one, takes 1 to 2 % more time where heaps are large; so with each new
 * set of processes others are the first and the last: in three sets each has an early, a middle and a late place. */
static struct peer *turn(int set, int place)
{
    return &peers[(place + set * ((count + 2) / 3)) % count];
}

/* a .zst is unpacked once for all drivers */
static int unpack(const char *path, char *out, size_t size)
{
    size_t n = strlen(path);
    if (n < 4 || strcmp(path + n - 4, ".zst")) {
        snprintf(out, size, "%s", path);
        return 0;
    }
    const char *dir = getenv("TMPDIR");
    snprintf(out, size, "%s/vmma-bench-%d.vmtrace", dir ? dir : "/tmp", (int)getpid());
    pid_t pid = fork();
    if (!pid) {
        execlp("zstd", "zstd", "-dfqo", out, path, (char *)NULL);
        _exit(127);
    }
    int status;
    if (pid < 0 || waitpid(pid, &status, 0) < 0 || status)
        return -1;
    return 1;
}

/* name, ops, peak, l2align, clients from the trace's header */
static int header(const char *path, char *name, unsigned long long *ops, unsigned long long *peak, unsigned *l2, unsigned *clients)
{
    unsigned char b[128];
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(b, 1, 128, f) : 0;
    if (f)
        fclose(f);
    if (n != 128 || memcmp(b, "VMTRACE\n", 8))
        return -1;
    memcpy(ops, b + 16, 8);
    memcpy(l2, b + 28, 4);
    memcpy(peak, b + 32, 8);
    memcpy(clients, b + 112, 4);
    memcpy(name, b + 64, 47);
    name[47] = 0;
    return 0;
}

static void least_of(const char *command, int rounds, struct peer *p)
{
    char answer[400];
    if (p->skip[0] || !p->in || !rounds)
        return;
    if (ask(p, command, answer, sizeof answer)) {
        double v = atof(answer);
        if (p->least < 0 || v < p->least)
            p->least = v;
    }
}

static void traces(int rounds, FILE *out, char **paths, int memory)
{
    fprintf(out, memory ? "trace\tallocator\tsize\tblock\theld\troomy_held\tpeak\n" : "trace\tops\tallocator\tns_per_op\n");
    for (; *paths; paths++) {
        char plain[1200], name[NAME], command[1300], answer[4400];
        unsigned long long ops, peak;
        unsigned l2, clients;
        int temp = unpack(*paths, plain, sizeof plain);
        if (temp < 0 || header(plain, name, &ops, &peak, &l2, &clients)) {
            fprintf(stderr, "skipped: %s (cannot be read; .zst needs the zstd command)\n", *paths);
            continue;
        }
        size_t mib = (size_t)(4 * peak >> 20) + 128;
        fprintf(stderr, "%s:", name);
        snprintf(command, sizeof command, "load %s", plain);
        for (int i = 0; i < count; i++) {
            start(&peers[i], mib, l2);
            ask(&peers[i], command, answer, sizeof answer);
        }
        if (!memory)
            for (int r = 0; r < rounds; r++) {
                for (int i = 0; r && r % TRACE_ROUNDS == 0 && i < count; i++)
                    renew(turn(r / TRACE_ROUNDS, i), mib, l2, command);
                for (int i = 0; i < count; i++)
                    least_of("pass", rounds, turn(r / TRACE_ROUNDS, i));
            }
        if (temp)
            unlink(plain);
        for (int i = 0; i < count; i++) {
            struct peer *p = &peers[i];
            if (memory && !p->skip[0] && ask(p, p->best ? "fit trace-best" : "fit trace", answer, sizeof answer)) {
                unsigned long long v[5];
                if (sscanf(answer, "%llu %llu %llu %llu %llu", v, v + 1, v + 2, v + 3, v + 4) == 5) {
                    fprintf(out, "%s\t%s\t%llu\t%llu\t%llu\t%llu\t%llu\n", name, p->label, v[0], v[1], v[2], v[3], v[4]);
                    fprintf(stderr, " %s %.3f", p->label, (double)v[0] / (double)v[4]);
                }
            } else if (!memory && p->least >= 0) {
                fprintf(out, "%s\t%llu\t%s\t%.4f\n", name, ops, p->label, p->least);
                fprintf(stderr, " %s %.2f", p->label, p->least);
            }
            if (p->skip[0])
                fprintf(stderr, " [skipped: %s (%s)]", p->label, p->skip);
            end(p);
        }
        fprintf(stderr, "\n");
        fflush(out);
    }
    if (memory) {
        char answer[400], command[40];
        fprintf(stderr, "vm-mix:");
        for (int i = 0; i < count; i++) {
            struct peer *p = &peers[i];
            double sum = 0;
            start(p, 256, 3);
            for (int sequence = 1; sequence <= MIXES; sequence++) {
                snprintf(command, sizeof command, p->best ? "fit mix-best %d" : "fit mix %d", sequence);
                unsigned long long v[5];
                if (!ask(p, command, answer, sizeof answer)) {
                    fprintf(stderr, " [skipped: %s (%s)]", p->label, p->skip);
                    break;
                }
                if (sscanf(answer, "%llu %llu %llu %llu %llu", v, v + 1, v + 2, v + 3, v + 4) != 5)
                    break;
                fprintf(out, "vm-mix-%d\t%s\t%llu\t%llu\t%llu\t%llu\t%llu\n", sequence, p->label, v[0], v[1], v[2], v[3], v[4]);
                sum += (double)v[0] / (double)v[4];
                if (sequence == MIXES)
                    fprintf(stderr, " %s %.3f", p->label, sum / MIXES);
            }
            end(p);
        }
        fprintf(stderr, "\n");
    }
}

static void micro(int rounds, FILE *out)
{
    static char lists[MAX][1200], seen[2400];
    const char *only = getenv("ONLY");
    fprintf(out, "bench\tallocator\tns\n");
    for (int i = 0; i < count; i++) {
        start(&peers[i], 512, 4);
        if (!ask(&peers[i], "list", lists[i], sizeof lists[i]))
            fprintf(stderr, "skipped: %s (%s)\n", peers[i].label, peers[i].skip);
    }
    for (int l = 0; l < count; l++)
        for (char *save, *name = strtok_r(lists[l], " ", &save); name; name = strtok_r(NULL, " ", &save)) {
            char key[NAME + 2], command[NAME + 8];
            snprintf(key, sizeof key, " %s ", name);
            if (strstr(seen, key) || (only && !strstr(only, name)))
                continue;
            strncat(seen, key, sizeof seen - strlen(seen) - 1);
            snprintf(command, sizeof command, "micro %s", name);
            /* what two threads' pages collide in is the luck of a process, and nothing is warm from one round to the next */
            int each = strncmp(name, "threads", 7) ? MICRO_ROUNDS : 1;
            for (int i = 0; i < count; i++) {
                peers[i].least = -1;
                peers[i].skip[0] = 0;
            }
            for (int r = 0; r < rounds; r++) {
                for (int i = 0; r && r % each == 0 && i < count; i++)
                    renew(turn(r / each, i), 512, 4, NULL);
                for (int i = 0; i < count; i++)
                    least_of(command, rounds, turn(r / each, i));
            }
            fprintf(stderr, "%s:", name);
            for (int i = 0; i < count; i++) {
                if (peers[i].least >= 0) {
                    fprintf(out, "%s\t%s\t%.4f\n", name, peers[i].label, peers[i].least);
                    fprintf(stderr, " %s %.2f", peers[i].label, peers[i].least);
                }
            }
            fprintf(stderr, "\n");
            fflush(out);
        }
    for (int i = 0; i < count; i++)
        end(&peers[i]);
}

static void worst(int runs, FILE *out)
{
    char command[32], answer[400];
    fprintf(out, "allocator\talloc_worst\tfree_worst\talloc_mean\tfree_mean\n");
    snprintf(command, sizeof command, "worst %d", runs);
    for (int i = 0; i < count; i++) {
        struct peer *p = &peers[i];
        start(p, 64, 4);
        double v[4];
        if (ask(p, command, answer, sizeof answer) && sscanf(answer, "%lf %lf %lf %lf", v, v + 1, v + 2, v + 3) == 4) {
            fprintf(out, "%s\t%.0f\t%.0f\t%.0f\t%.0f\n", p->label, v[0], v[1], v[2], v[3]);
            fprintf(stderr, "%s: alloc %.0f free %.0f (mean %.0f %.0f; calls, ticks: %s)\n", p->label, v[0], v[1], v[2], v[3], answer);
        } else
            fprintf(stderr, "skipped: %s (%s)\n", p->label, p->skip);
        end(p);
    }
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (argc < 5)
        die("usage: see the top of run.c");
    int i = 4, rounds = atoi(argv[2]);
    for (; i < argc && strcmp(argv[i], "--"); i++) {
        struct peer *p = &peers[count];
        char *eq = strchr(argv[i], '='), *colon = strrchr(argv[i], ':');
        if (count == MAX || !eq || !colon)
            die("bad allocator");
        if (!strcmp(colon, ":best")) {
            p->best = 1;
            *colon = 0;
            colon = strrchr(argv[i], ':');
        }
        if (!colon || colon < eq)
            die("bad allocator");
        *eq = *colon = 0;
        snprintf(p->label, sizeof p->label, "%s", argv[i]);
        snprintf(p->path, sizeof p->path, "%s", eq + 1);
        snprintf(p->variant, sizeof p->variant, "%s", colon + 1);
        char *at = strstr(p->path, "@8");
        if (at) {
            *at = 0;
            memcpy(p->low, p->path, sizeof p->path);
            strcat(p->low, "8");
        }
        if (access(p->path, X_OK)) {
            fprintf(stderr, "skipped: %s (not built)\n", p->label);
            continue;
        }
        count++;
    }
    FILE *out = fopen(argv[3], "w");
    if (!out)
        die("cannot write the table");
    if (!strcmp(argv[1], "traces") || !strcmp(argv[1], "memory"))
        traces(rounds, out, argv + (i < argc ? i + 1 : argc), argv[1][0] == 'm');
    else if (!strcmp(argv[1], "micro"))
        micro(rounds, out);
    else if (!strcmp(argv[1], "worst"))
        worst(rounds, out);
    else
        die("unknown table");
    if (fclose(out))
        die("cannot write the table");
    return 0;
}
