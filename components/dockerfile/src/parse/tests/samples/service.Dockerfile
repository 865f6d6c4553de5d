# syntax=docker/dockerfile:1.7
# check=skip=JSONArgsRecommended

# RUST is the version of the tool chain
ARG RUST=1.85
ARG DEBIAN=bookworm

FROM --platform=$BUILDPLATFORM docker.io/library/rust:${RUST}-slim-${DEBIAN} AS Chef
WORKDIR /src
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked cargo install cargo-chef

FROM chef AS planner
COPY . .
RUN cargo chef prepare --recipe-path recipe.json

FROM chef AS builder
ARG TARGETPLATFORM
COPY --from=planner /src/recipe.json recipe.json
RUN cargo chef cook --release --recipe-path recipe.json
COPY --link . .
RUN --mount=type=cache,id=cargo-${TARGETPLATFORM},target=/usr/local/cargo/registry \
    --mount=type=secret,id=netrc,target=/root/.netrc,required \
    # the agent is for private crates
    --mount=type=ssh \
    set -eux; \
    cargo build --release --locked; \
    # keep it small
    cp target/release/service /usr/local/bin/; \
    strip /usr/local/bin/service || true

FROM --platform=${TARGETPLATFORM:-linux/amd64} debian:${DEBIAN}-slim
RUN <<EOF
set -e
apt-get update
apt-get install -y --no-install-recommends ca-certificates curl
rm -rf /var/lib/apt/lists/*
EOF
COPY --from=builder --chown=65532:65532 --chmod=0555 /usr/local/bin/service /usr/local/bin/
COPY --chmod=644 <<config.toml /etc/service/config.toml
[server]
bind = "0.0.0.0:${PORT}"
# a comment of the file

workers = 4
config.toml
USER 65532:65532
ENV PORT=8080 \
    RUST_LOG="info,hyper=warn" \
    GREETING='hello $USER'
EXPOSE $PORT 9090/udp
HEALTHCHECK --interval=30s --timeout=3s CMD ["curl", "-fsS", "http://localhost:8080/healthz"]
ENTRYPOINT ["/usr/local/bin/service"]
CMD ["--config", "/etc/service/config.toml"]
