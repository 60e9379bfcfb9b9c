# Short names for what is done often. `just --list` shows them; everything also works without `just`.

# What must hold before a change is merged.
ci:
    .ci/run

# Formatting, lints and house rules: a minute, before every commit.
quick:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo test --test tidy

# All tests.
test:
    cargo test

# Many larger simulated worlds, crossed with everything that goes wrong: `just seeds 2000`.
seeds count:
    NEARBITS_SEEDS={{ count }} cargo test --release --test swarm

# Many jobs through one daemon that is killed again and again: `just storm 300x20x30` (jobs, files of each, kills).
storm size="300x20x30":
    NEARBITS_STORM={{ size }} cargo test --release --test cli storm -- --nocapture

# How a line is shared and a rate is held, measured at the sockets of origins and of who is served: over a minute and over ten seconds.
line:
    NEARBITS_LINE=1 cargo test --release --test node -- limits serving --nocapture --test-threads 1

# Four machines that lose each other and the origin while they fetch, in turn and at random: `just parted 20` (runs, a minute
# each). Needs namespaces.
parted runs="20":
    NEARBITS_PARTED={{ runs }} cargo test --release --test node p15 -- --nocapture

# An office whose machines fetch one file after another together, while some are killed and come back: `just soak 32x10`
# (machines, files). Needs namespaces.
soak size="32x10":
    NEARBITS_SOAK={{ size }} cargo test --release --test node soak:: -- --nocapture

# What a cache of many records costs: how soon a daemon with it answers, its memory, its index: `just records 100000`.
records count="100000":
    NEARBITS_RECORDS={{ count }} cargo test --release --test cli records -- --nocapture

# How long it takes to find the one machine of many that holds a file: `just lookup 40x100` (machines, tries). Needs namespaces.
lookup size="40x100":
    NEARBITS_LOOKUP={{ size }} cargo test --release --test node found:: -- --nocapture

# Whether who does not know a digest can tell a hit from a miss by the time it takes: two thousand probes of each kind, four
# minutes (P14).
probes count="2000":
    NEARBITS_PROBES={{ count }} cargo test --release --test node p14 -- --nocapture

# How many mutations of the pure rooms their unit tests catch: all of them, or the fourth of forty samples: `just mutants 3/40`.
mutants sample="0/1":
    .ci/mutants {{ sample }}

# Several real nodes on this machine fetch one payload over a narrow line.
demo:
    cargo run --release -- demo

# All benchmarks, or one of them: `just bench verify`.
bench name="":
    cargo bench {{ if name == "" { "--benches" } else { "--bench " + name } }}

# The documentation of the library.
doc:
    cargo doc --workspace --no-deps --open

# What the dependencies bring in.
deny:
    cargo deny check bans licenses sources
