# headgate in a small image: docker build -t headgate . && docker run --rm -p 1935:1935 -p 8080:8080 -v ./mine.toml:/etc/headgate/config.toml:ro headgate
#
# The built-in defaults listen on loopback only, which inside a container nobody can reach: mount a configuration that
# listens on 0.0.0.0 and gives its tenants keys.

FROM rust:1-slim-bookworm AS build
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY config.toml ./
# Test targets are named in Cargo.toml; the build needs their files to exist, not what is in them.
COPY ingest-tests ingest-tests
RUN cargo build --release --locked && strip target/release/headgate

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ffmpeg \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin headgate
COPY --from=build /build/target/release/headgate /usr/local/bin/headgate
COPY config.toml /etc/headgate/config.toml
USER headgate
WORKDIR /etc/headgate
# RTMP, HTTP (API and HLS), fleet.
EXPOSE 1935 1936 8080 7070
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/headgate"]
CMD ["up"]
