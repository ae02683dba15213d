"""What was measured, as a table, as a chart, and in plain lines."""

import html
import statistics

from rivals import AGAIN, BYTES, FLOOR, HAPROXY, OURS, SOCKET, SPLICING

COLUMNS = [
    ("cpu", "CPU µs/request", "{:.1f}"), ("instructions", "instructions/request", "{:,.0f}"), ("syscalls", "system calls/request", "{:.2f}"),
    ("held50", "p50 in the proxy µs", "{:.0f}"), ("held99", "p99 in the proxy µs", "{:.0f}"),
    ("p50", "p50 added for clients µs", "{:.0f}"), ("p99", "p99 added for clients µs", "{:.0f}"), ("idle", "memory, fresh (MB)", "{:.1f}"),
    ("connection", "memory per idle connection (KiB)", "{:.1f}"),
]


def ratio(ours, theirs):
    """Ours over theirs: the median over the rounds, so that what disturbed one round counts once."""
    return statistics.median(mine / other for mine, other in zip(ours, theirs))


def spread(ours, theirs):
    """The quartiles of that ratio."""
    values = sorted(mine / other for mine, other in zip(ours, theirs))
    return statistics.quantiles(values, n=4)[::2] if len(values) > 1 else values * 2


def lines(rounds):
    """One plain line per rival: its name, and the ratio of CPU per request."""
    found = []
    for name in rounds:
        if name != OURS:
            low, high = spread(rounds[OURS], rounds[name])
            found.append(f"{name}: ratio {ratio(rounds[OURS], rounds[name]):.2f} (quartiles {low:.2f} to {high:.2f})")
    return found


def table(results):
    head = "| | " + " | ".join(title for _, title, _ in COLUMNS) + " |"
    rows = [head, "|---|" + "---|" * len(COLUMNS)]
    for name, values in results.items():
        cells = [form.format(values[key]) if values.get(key) is not None else "–" for key, _, form in COLUMNS]
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def long_bodies(long):
    """CPU per request with long answers, and ours over each."""
    rows = ["| answer of | | CPU µs/request | ours over it |", "|---|---|---|---|"]
    for length, rounds in long.items():
        for name, values in rounds.items():
            low, high = spread(rounds[OURS], values)
            over = "" if name == OURS else f"{ratio(rounds[OURS], values):.2f} ({low:.2f} to {high:.2f})"
            rows.append(f"| {length >> 10:,} KiB | {name} | {statistics.median(values):.0f} | {over} |")
    return "\n".join(rows)


def goals(results, rounds, kept, long):
    """What the sidecar is held to, and what it does."""
    tails = {name: [p99 for _, p99 in pairs] for name, pairs in kept.items()}
    mine, haproxy = results[OURS], results[HAPROXY]
    longest = long[max(long)]
    checks = [
        ("CPU, of the byte relay's", ratio(rounds[OURS], rounds[FLOOR]), 1.05, "{:.2f}"),
        ("CPU in mode tcp, of the byte relay's", ratio(rounds[BYTES], rounds[FLOOR]), 1.05, "{:.2f}"),
        ("CPU over a Unix socket, of haproxy's", ratio(rounds[SOCKET], rounds[HAPROXY]), 0.65, "{:.2f}"),
        ("CPU over a Unix socket, of the byte relay's", ratio(rounds[SOCKET], rounds[FLOOR]), 0.85, "{:.2f}"),
        ("CPU of answers of 1 MiB, of haproxy's with splice-auto", ratio(longest[OURS], longest[SPLICING]), 1.0, "{:.2f}"),
        ("instructions, of haproxy's", mine["instructions"] / haproxy["instructions"], 0.7, "{:.2f}"),
        ("p99 in the proxy, of haproxy's", ratio(tails[OURS], tails[HAPROXY]), 1.0, "{:.2f}"),
        ("p99 added for clients, of haproxy's", mine["p99"] / haproxy["p99"], 1.0, "{:.2f}"),
        ("memory of a fresh process (MB)", mine["idle"], 4, "{:.1f}"),
        ("memory per idle connection (KiB)", mine["connection"], 4, "{:.1f}"),
    ]
    rows = ["| goal | at most | measured | |", "|---|---|---|---|"]
    for title, value, limit, form in checks:
        rows.append(f"| {title} | {limit} | {form.format(value)} | {'met' if value <= limit else '**missed**'} |")
    return "\n".join(rows)


def chart(results):
    """Bars of CPU per request."""
    left, width, row, top = 190, 520, 30, 56
    most = max(values["cpu"] for values in results.values())
    height = top + row * len(results) + 14
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 90}" height="{height}" font-family="sans-serif" font-size="14">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        '<text x="12" y="24" font-size="16" fill="#1f2328">CPU per proxied HTTP/1.1 request, in microseconds</text>',
        '<text x="12" y="42" font-size="12" fill="#59636e">at saturation: 32 kept connections, answers of 100 bytes, one worker each; less is better</text>',
    ]
    for index, (name, values) in enumerate(results.items()):
        y, bar = top + row * index, width * values["cpu"] / most
        colour = "#0969da" if name.startswith(OURS) else "#8c959f"
        parts.append(f'<text x="{left - 10}" y="{y + 18}" text-anchor="end" fill="#1f2328">{html.escape(name)}</text>')
        parts.append(f'<rect x="{left}" y="{y + 3}" width="{bar:.1f}" height="{row - 8}" fill="{colour}"/>')
        parts.append(f'<text x="{left + bar + 8:.1f}" y="{y + 18}" fill="#1f2328">{values["cpu"]:.1f}</text>')
    return "\n".join([*parts, "</svg>", ""])


def page(results, rounds, kept, long, setting):
    noise = spread(rounds[OURS], rounds[AGAIN])
    tails = [[p99 for _, p99 in kept[name]] for name in (OURS, AGAIN)]
    tail_noise = spread(*tails)
    return f"""# The sidecar beside other proxies

Written by `make bench-sidecar`. {setting}

{table(results)}

The noise: ours against ours again, CPU per request, is {ratio(rounds[OURS], rounds[AGAIN]):.2f} (quartiles {noise[0]:.2f} to {noise[1]:.2f}); p99
in the proxy {ratio(*tails):.2f} (quartiles {tail_noise[0]:.2f} to {tail_noise[1]:.2f}).

CPU per request, ours over each, the median of the rounds:

```
{chr(10).join(lines(rounds))}
```

With long answers, the median of the rounds and the quartiles of the ratio:

{long_bodies(long)}

{goals(results, rounds, kept, long)}

![CPU per request](sidecar.svg)

How it is measured: one proxy works at a time, alone on a core, the app and the clients on another; the rounds go through all of them in turn.
CPU is user and system time of the process (the scheduler's own account), with 32 kept connections that each send the next request as soon as
they have the answer. Instructions are those in user space, by callgrind: the slope between two numbers of requests (Go programs do not run
under it). System calls are counted by strace in runs of their own, which slow every proxy down so that it finds more to do at each wake-up.
Latency is that of an open loop. In the proxy: from the packet that brings a request to the one that takes it to the app, and the same for the
answer, by the kernel's stamps (tcpdump). Added for clients: what the clients see, less what they see without a proxy; in it is whom the scheduler lets run first on
the core that clients and app share. Memory is resident: of a fresh process, and
what each idle connection adds that has had one answer.
"""
