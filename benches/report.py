#!/usr/bin/env python3
"""Turns the benchmarks' tables (tab-separated values) into Markdown and SVG. Standard library only; knows the columns
that run.c and instructions.sh write and the goals that the project set itself, measures nothing.

usage: report.py RESULTS-DIRECTORY OUTPUT-DIRECTORY"""
import csv, math, os, platform, sys

OURS, PACKED = "libvmma", "libvmma PACKED"
MI = ("mimalloc 2 heaps", "mimalloc 3 heaps")
POOLS = ("TLSF", "dlmalloc mspace")


def rows(directory, name):
    path = os.path.join(directory, name + ".tsv")
    if not os.path.exists(path):
        return []
    with open(path, newline="") as f:
        return list(csv.DictReader(f, delimiter="\t"))


def geo(values):
    values = [v for v in values if v]
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None


def pivot(table, row, column, value):
    """{row: {column: number}}, and both in their order of appearance"""
    out, names = {}, []
    for r in table:
        out.setdefault(r[row], {})[r[column]] = value(r)
        if r[column] not in names:
            names.append(r[column])
    return out, names


def fmt(v, digits=2):
    if v is None:
        return "–"
    if v >= 10000:
        return f"{v:,.0f}".replace(",", " ")
    return f"{v:.{digits}f}"


def markdown(head, lines):
    out = ["| " + " | ".join(head) + " |", "|---|" + "--:|" * (len(head) - 1)]
    return "\n".join(out + ["| " + " | ".join(line) + " |" for line in lines]) + "\n"


def machine():
    cpu = platform.machine()
    try:
        with open("/proc/cpuinfo") as f:
            cpu = next((l.split(":", 1)[1].strip() for l in f if l.startswith("model name")), cpu)
    except OSError:
        pass
    return f"{cpu}, {os.cpu_count()} cores, {platform.system()} {platform.release().split('-')[0]}, {' '.join(platform.libc_ver())}"


def escape(s):
    return s.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


COLOURS = ["#0b6e4f", "#6bbf59", "#c1440e", "#e88c5a", "#7a7a7a", "#3d5a98", "#7fa7d9", "#b08bbf", "#d0c9a8", "#444444"]


def mean(values):
    return sum(values) / len(values)


def merge_mixes(table, names, merge):
    """One row for all sequences of the VM mix, of those allocators that complete each."""
    rows_of = [table.pop(t) for t in list(table) if t.startswith("vm-mix-")]
    values = {n: [row[n] for row in rows_of if n in row] for n in names}
    if rows_of:
        table["vm-mix"] = {n: merge(v) for n, v in values.items() if len(v) == len(rows_of)}


def bars(title, groups, names, data, unit, path, mark=None):
    """Grouped bars: one group per row, one bar per allocator; values above the axis are cut and written out."""
    bar, gap, left, top, height = 9, 16, 56, 64, 300
    group = bar * len(names) + gap
    width = left + group * len(groups) + 20
    every = sorted(v for g in groups for v in data[g].values() if v)
    if not every:
        return False
    limit = every[min(len(every) - 1, int(len(every) * 0.97))] * 1.08
    step = 10 ** math.floor(math.log10(limit))
    step = next(s for s in (step / 5, step / 2, step, step * 2) if limit / s <= 10)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {top + height + 130}" font-family="sans-serif" font-size="11">',
           f'<rect width="{width}" height="{top + height + 130}" fill="#ffffff"/>',
           f'<text x="{left}" y="18" font-size="15">{escape(title)}</text>']
    x = left
    for i, n in enumerate(names):
        out.append(f'<rect x="{x}" y="30" width="10" height="10" fill="{COLOURS[i % 10]}"/><text x="{x + 14}" y="39">{escape(n)}</text>')
        x += 26 + 6.4 * len(n)
    v = 0.0
    while v <= limit:
        y = top + height - height * v / limit
        out.append(f'<line x1="{left}" x2="{width - 10}" y1="{y:.1f}" y2="{y:.1f}" stroke="#dddddd"/>'
                   f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{v:g}</text>')
        v += step
    out.append(f'<text x="12" y="{top - 8}">{escape(unit)}</text>')
    for k, g in enumerate(groups):
        x0 = left + k * group + gap / 2
        for i, n in enumerate(names):
            value = data[g].get(n)
            if value is None:
                continue
            h = height * min(value, limit) / limit
            x1, y1 = x0 + i * bar, top + height - h
            out.append(f'<rect x="{x1:.1f}" y="{y1:.1f}" width="{bar - 1}" height="{h:.1f}" fill="{COLOURS[i % 10]}">'
                       f'<title>{escape(g)}, {escape(n)}: {value:.2f}</title></rect>')
            if value > limit:
                out.append(f'<text x="{x1 + 7:.1f}" y="{y1 + 4:.1f}" font-size="8" transform="rotate(-90 {x1 + 7:.1f} {y1 + 4:.1f})" '
                           f'text-anchor="end" fill="#ffffff">{value:.3g}</text>')
        cx = x0 + bar * len(names) / 2
        out.append(f'<text x="{cx:.1f}" y="{top + height + 14}" text-anchor="end" transform="rotate(-35 {cx:.1f} {top + height + 14})">{escape(g)}</text>')
    if mark:
        y = top + height - height * mark / limit
        out.append(f'<line x1="{left}" x2="{width - 10}" y1="{y:.1f}" y2="{y:.1f}" stroke="#000000" stroke-dasharray="4 3"/>')
    out.append("</svg>")
    with open(path, "w") as f:
        f.write("\n".join(out) + "\n")
    return True


class Report:
    def __init__(self, results, out):
        self.out = out
        self.reach = []
        self.trace, self.trace_names = pivot(rows(results, "traces"), "trace", "allocator", lambda r: float(r["ns_per_op"]))
        self.ops = {r["trace"]: r["ops"] for r in rows(results, "traces")}
        self.micro, self.micro_names = pivot(rows(results, "micro"), "bench", "allocator", lambda r: float(r["ns"]))
        self.memory = rows(results, "memory")
        self.instr, self.instr_names = pivot(rows(results, "instructions"), "size", "allocator", lambda r: float(r["instructions"]))
        self.worst = rows(results, "worst")

    def write(self, name, text):
        with open(os.path.join(self.out, name), "w") as f:
            f.write("<!-- Made by benches/report.py; do not edit. -->\n" + text)

    def goal(self, what, goal, measured, ok):
        self.reach.append([what, goal, measured, "–" if ok is None else "reached" if ok else "**missed**"])

    def traces(self):
        if not self.trace:
            return
        names = self.trace_names
        lines = [[t, self.ops[t]] + [fmt(v.get(n)) for n in names] for t, v in self.trace.items()]
        g = {n: geo([v.get(n) for v in self.trace.values()]) for n in names}
        lines.append(["**geometric mean**", ""] + [f"**{fmt(g[n])}**" for n in names])
        ratio = [[t] + [fmt(v[n] / v[OURS]) if n in v and OURS in v else "–" for n in names] for t, v in self.trace.items()]
        ratio.append(["**geometric mean**"] + [f"**{fmt(g[n] / g[OURS])}**" if g.get(OURS) and g[n] else "–" for n in names])
        self.write("traces.md", "# Real traces: nanoseconds per operation\n\n"
                   f"{machine()}. One process per allocator, all taking turns round by round; the least of the rounds; processor time, the\n"
                   "replayer's own work (about 26 instructions an operation) included; realloc native.\n\n"
                   + markdown(["trace", "ops"] + names, lines) + "\n## As ratios to libvmma (above 1: slower than libvmma)\n\n"
                   + markdown(["trace"] + names, ratio) + "\n![time per operation](traces.svg)\n")
        bars("Real traces: time per operation", list(self.trace), names, self.trace, "ns", os.path.join(self.out, "traces.svg"))
        mi = [g[n] for n in MI if g.get(n)]
        pool = [g[n] for n in POOLS if g.get(n)]
        if OURS in g and mi:
            r = g[OURS] / min(mi)
            self.goal("traces, geometric mean, to the faster mimalloc", "≤ 1.00", f"{r:.2f} ({g[OURS]:.2f} / {min(mi):.2f} ns)", r <= 1.0)
        if OURS in g and pool:
            r = g[OURS] / min(pool)
            self.goal("traces, geometric mean, to the best of TLSF / dlmalloc", "≤ 0.45", f"{r:.2f} ({g[OURS]:.2f} / {min(pool):.2f} ns)", r <= 0.45)

    def value(self, bench, name=OURS):
        return self.micro.get(bench, {}).get(name)

    def ratio_to_mi(self, what, bench):
        ours, mi = self.value(bench), [self.value(bench, n) for n in MI if self.value(bench, n)]
        if ours and mi:
            self.goal(what, "≤ 1.00 × mimalloc", f"{ours / min(mi):.2f} ({ours:.2f} / {min(mi):.2f} ns)", ours <= min(mi))

    def micros(self):
        if not self.micro:
            return
        names = self.micro_names
        both = {b: v for b, v in self.micro.items() if any(n in v for n in names if not n.startswith(OURS))}
        only = {b: v for b, v in self.micro.items() if b not in both}
        text = ("# Synthetic lines: nanoseconds\n\n" f"{machine()}. The least of the rounds, allocators in turn.\n\n"
                "churn, clients: per operation (a step frees one of 10 000 live blocks and allocates anew, so it counts two). pair, lifo: per\n"
                "alloc and free. realloc: per call. delete, reset: the whole heap with 1 000 000 live blocks of 64 bytes. life-N: create, N\n"
                "allocations of 64 bytes, delete. A dash: it means nothing for that allocator (one that can only drop its block, or has no heaps).\n\n"
                + markdown(["line"] + names, [[b] + [fmt(v.get(n)) for n in names] for b, v in both.items()]))
        if only:
            ours = [n for n in names if n.startswith(OURS)]
            text += "\n## What only libvmma has\n\n" + markdown(["line"] + ours, [[b] + [fmt(v.get(n)) for n in ours] for b, v in only.items()])
        self.write("micro.md", text + "\n![churn and pairs](micro.svg)\n")
        shown = [b for b in both if b.startswith(("churn", "pair", "lifo", "realloc-same", "clients"))]
        bars("Synthetic lines", shown, names, both, "ns", os.path.join(self.out, "micro.svg"))
        self.ratio_to_mi("churn, 16..1024 log-uniform", "churn-log")
        self.ratio_to_mi("churn, VM mix", "churn-vm")
        base = self.value("pair-64")
        if base:
            big = {s: self.value(f"pair-{s}") for s in (4096, 8192, 16384, 32768)}
            worst = max(v for v in big.values() if v)
            self.goal("pairs of 4 KiB to 32 KiB, to the 64 B pair", "≤ 1.50", f"{worst / base:.2f} ({worst:.2f} / {base:.2f} ns)", worst <= 1.5 * base)
            same = self.value("realloc-same")
            self.goal("realloc within the same cell, to the pair", "≤ 1.00", f"{same / base:.2f} ({same:.2f} / {base:.2f} ns)", same <= base)
        for bench, what, most, unit in (("delete-million", "delete with a million live", 5000, "µs"), ("reset-million", "reset with a million live", 5000, "µs"),
                                        ("life-10", "create + 10 allocs of 64 B + delete", 200, "ns"), ("life-0", "a client that only comes and goes", 80, "ns")):
            v = self.value(bench)
            if v is not None:
                k = 1000 if unit == "µs" else 1
                self.goal(what, f"≤ {most // k} {unit}", f"{v / k:.2f} {unit}", v <= most)
        self.ratio_to_mi("64 clients in random turn", "clients-64")
        plain, shared = self.value("pair-64-plain"), self.value("pair-64-shared")
        if plain and shared:
            self.goal("SHARED_CLIENTS uncontended, over the plain pair", "≤ + 25 ns", f"+ {shared - plain:.1f} ns ({shared:.1f} / {plain:.1f})", shared <= plain + 25)
        one, two = self.value("threads-one-context"), self.value("threads-two-contexts")
        if one and two:
            self.goal("two threads, a client each, to two contexts", "≤ 1.00 (5 % of noise allowed)", f"{one / two:.2f} ({one:.2f} / {two:.2f} ns)", one <= 1.05 * two)

    def memories(self):
        if not self.memory:
            return
        ratio, names = pivot(self.memory, "trace", "allocator", lambda r: int(r["size"]) / int(r["peak"]))
        block, _ = pivot(self.memory, "trace", "allocator", lambda r: int(r["block"]))
        held, _ = pivot(self.memory, "trace", "allocator", lambda r: int(r["roomy_held"]) / int(r["peak"]))
        spread = {n: (min(v), max(v)) for n in names if (v := [ratio[t][n] for t in ratio if t.startswith("vm-mix-") and n in ratio[t]])}
        mixes = sum(t.startswith("vm-mix-") for t in ratio)
        for table, merge in ((ratio, mean), (held, mean), (block, lambda values: max(sorted(set(values)), key=values.count))):
            merge_mixes(table, names, merge)
        single = [t for t in ratio if t not in ("vm-mix", "lua-server")]
        g = {n: geo([ratio[t].get(n) for t in single]) for n in names}
        lines = [[t] + [fmt(v.get(n), 3) for n in names] for t, v in ratio.items()]
        lines.append(["**geometric mean** (single clients)"] + [f"**{fmt(g[n], 3)}**" for n in names])
        best = [n for n in names if "best" in n]
        hold = [n for n in names if any(held[t].get(n) for t in held)]
        self.write("memory.md", "# Memory: the smallest block, over the peak of live requested bytes\n\n"
                   "By bisection over the block's size, to 1/2000 of the peak, at an address aligned like a large mapping. Everything is in the block: the\n"
                   "allocator's records too. PACKED takes the alignment that the trace asks for (8 or 16), dlmalloc mspace its default of 16 or, in the\n"
                   "second row, what is asked for; TLSF always gives 8, o1heap 32, libvmma's default mode 16 and more. \"best block\": the block size that needs least, chosen per trace.\n"
                   + (f"vm-mix is the mean of {mixes} random sequences. The best block is chosen for each; the next table has the one chosen most.\n" if mixes else "") + "\n"
                   + markdown(["workload"] + names, lines) + "\n## The block sizes chosen, in bytes (0: the default)\n\n"
                   + markdown(["workload"] + best, [[t] + [str(block[t].get(n, "–")) for n in best] for t in block])
                   + "\n## Peak held in a roomy block, over the peak of live requested bytes\n\n"
                   + markdown(["workload"] + hold, [[t] + [fmt(held[t].get(n), 3) for n in hold] for t in held]) + "\n![smallest block](memory.svg)\n")
        bars("Smallest block over the peak of live bytes", list(ratio), names, ratio, "ratio", os.path.join(self.out, "memory.svg"), 1.0)
        mix = ratio.get("vm-mix", {})
        for name, goal_mix, goal_geo in ((OURS, 1.40, 1.40), ("PACKED, best block", 1.12, 1.14)):
            if mix.get(name):
                self.goal(f"smallest block, {name}, VM mix", f"≤ {goal_mix:.2f}",
                          f"{mix[name]:.3f} (mean of {mixes} sequences, {spread[name][0]:.3f} to {spread[name][1]:.3f})", mix[name] <= goal_mix)
            if g.get(name):
                self.goal(f"smallest block, {name}, open traces", f"≤ {goal_geo:.2f}", f"{g[name]:.3f}", g[name] <= goal_geo)
        self.packed_over(ratio, single, POOLS, "dlmalloc / TLSF")
        self.packed_over(ratio, single, POOLS + ("dlmalloc, alignment as asked",), "those and dlmalloc compiled for alignment 8")

    def packed_over(self, ratio, single, pools, whom):
        over = {t: ratio[t]["PACKED, best block"] / min(ratio[t][p] for p in pools if p in ratio[t])
                for t in single if "PACKED, best block" in ratio[t] and any(p in ratio[t] for p in pools)}
        if over:
            t = max(over, key=over.get)
            bad = ", ".join(f"{k} {v:.3f}" for k, v in over.items() if v > 1.03)
            self.goal(f"PACKED on every trace, to the best of {whom}", "≤ 1.03", f"worst {over[t]:.3f} ({t})" + (f"; over: {bad}" if bad else ""), over[t] <= 1.03)

    def instructions(self):
        if not self.instr:
            return
        names = [n for n in self.instr_names if not n.startswith("flag ")]
        flags = {n[5:]: v for n, v in self.instr.get("64", {}).items() if n.startswith("flag ")}
        self.write("instructions.md", "# Instructions per pair of alloc and free\n\nCounted by callgrind, over an allocator whose functions are empty.\n\n"
                   + markdown(["bytes"] + names, [[s] + [fmt(v.get(n), 1) for n in names] for s, v in self.instr.items()])
                   + "\n## What each flag costs: pairs of 64 bytes\n\n"
                   + markdown(list(flags), [[fmt(v, 1) for v in flags.values()]]))
        for s in ("64", "1024"):
            v = self.instr.get(s, {}).get(OURS)
            if v is not None:
                self.goal(f"instructions per pair of {s} B", "≤ 45", f"{v:.1f}", v <= 45)

    def worsts(self):
        if not self.worst:
            return
        self.write("worst.md", "# The longest single call, in ticks of the time-stamp counter\n\n"
                   f"{machine()}. 40 000 calls, requests up to 64 KiB; the same sequence many times, of each call the fewest ticks over all runs (what\n"
                   "interrupts add falls out), then the greatest of these. Reading the counter is taken off.\n\n"
                   + markdown(["allocator", "alloc, worst", "free, worst", "alloc, mean", "free, mean"],
                              [[r["allocator"], r["alloc_worst"], r["free_worst"], r["alloc_mean"], r["free_mean"]] for r in self.worst]))
        by = {r["allocator"]: r for r in self.worst}
        if "libvmma NO_CACHE" in by:
            v, o = by["libvmma NO_CACHE"], by.get("o1heap")
            self.goal("worst call, NO_CACHE, ticks (alloc / free)", "reported beside o1heap's", f"{v['alloc_worst']} / {v['free_worst']}"
                      + (f"; o1heap {o['alloc_worst']} / {o['free_worst']}" if o else ""), None)

    def reached(self):
        self.write("reach.md", "# What was to be reached, and what the last run measured\n\n"
                   f"{machine()}. The step count of the worst call is proven by a test, not here.\n\n"
                   + markdown(["line", "goal", "measured", ""], self.reach).replace("|--:|--:|--:|", "|---|---|---|"))
        for line in self.reach:
            print(" | ".join(line))


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    os.makedirs(sys.argv[2], exist_ok=True)
    r = Report(sys.argv[1], sys.argv[2])
    for part in (r.traces, r.micros, r.instructions, r.memories, r.worsts, r.reached):
        part()


if __name__ == "__main__":
    main()
