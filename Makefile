# Two commands matter: `make run` and `make test`. ARGS goes to headgate, for example `make run ARGS="--config mine.toml"`.

.PHONY: run test check long-audio yardstick fuzz fuzz-corpus bench-door bench-failover bench-cost bench-placement cost-table fixtures clean help

# How long `make fuzz` stays with each target.
SECONDS ?= 900

# End-to-end tests mostly wait for real time to pass: more of them at once than there are cores.
END_TO_END_THREADS ?= 6

help:
	@echo "make run        install what is missing, build, start proxy and node (ARGS=... is passed on)"
	@echo "make test       install what the tests need, then formats, lints, documentation and all tests"
	@echo "make check      the quick part: formats, lints and unit tests; no encoders"
	@echo "make long-audio half an hour of sound, copied and encoded: where it is at the end; takes minutes"
	@echo "make yardstick  the project's figures: lengths of functions and files, shares, tests"
	@echo "make fuzz       fuzz each reader of foreign bytes for SECONDS=$(SECONDS); needs a nightly toolchain"
	@echo "make fuzz-corpus  keep the fewest inputs that cover what make fuzz has found, for make test to replay"
	@echo "make bench-door what 100 publishers cost, beside nginx with its RTMP module; under 4 minutes, 2 cores"
	@echo "make bench-failover  what a fault costs: kill -9, SIGSTOP and network cut, 30 each, GOPs of 2 s and of 10 s; about 80 minutes"
	@echo "make bench-cost what is predicted of ten streams, and what they take; under 10 minutes"
	@echo "make bench-placement  which node gets a stream, simulated beside round robin and others; 5 minutes, 2 cores"
	@echo "make cost-table measure again what an attempt's cost is estimated from; 15 minutes of an idle machine"
	@echo "make fixtures   make the files under fixtures/ again"
	@echo "make clean      remove what was built and installed here"

run:
	@ingest-tests/install-peers run
	cargo run --release --locked -- up $(ARGS)

test:
	@ingest-tests/install-peers test
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items
	INSTA_UPDATE=no RUST_TEST_THREADS=$(END_TO_END_THREADS) cargo test --locked --no-fail-fast

check:
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	INSTA_UPDATE=no cargo test --locked --lib --bins -- --skip node::
	cargo test --locked --test tidy

long-audio:
	@ingest-tests/install-peers test
	cargo test --locked --test long_audio -- --nocapture --test-threads=1

yardstick:
	@cargo test --quiet --locked --test tidy yardstick -- --nocapture

fuzz:
	@ingest-tests/fuzz/run $(SECONDS)

fuzz-corpus:
	@ingest-tests/fuzz/run minimise

bench-door:
	@ingest-tests/install-peers bench
	cargo bench --locked --bench door

bench-failover:
	@ingest-tests/install-peers run
	cargo bench --locked --bench failover

bench-cost:
	@ingest-tests/install-peers run
	cargo bench --locked --bench learned

bench-placement:
	cargo bench --locked --bench placement

cost-table:
	@ingest-tests/install-peers run
	ingest-tests/benchmarks/cost-table

fixtures:
	@ingest-tests/install-peers run
	sh fixtures/media/make.sh

clean:
	cargo clean
	rm -rf .peers test-output
