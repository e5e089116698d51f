# Two images: `--target hub` and `--target operator`. No shell, no root, nothing written: a program and what it links to.
#
#   docker build --target hub -t notification-hub .
#
# Both base images are there for linux/amd64 and linux/arm64, and each platform compiles for itself.
#
# BINARIES=prebuilt takes the programs from the context instead of compiling them; that is how the tests build their
# images, through the same runtime stages (tests/images.sh).
ARG BUILD_IMAGE=docker.io/library/rust:1.95-bookworm
ARG RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot
ARG BINARIES=compiled

FROM ${BUILD_IMAGE} AS compiled
WORKDIR /src
COPY . .
RUN cargo build --locked --release --package notification-hub --package notification-hub-operator \
    && mkdir /out && cp target/release/notification-hub target/release/notification-hub-operator /out/

FROM scratch AS prebuilt
COPY notification-hub notification-hub-operator /out/

FROM ${BINARIES} AS binaries

FROM ${RUNTIME_IMAGE} AS hub
COPY --from=binaries /out/notification-hub /usr/local/bin/notification-hub
USER 65532:65532
# Clients, senders, probes and metrics.
EXPOSE 5000 5001 9090
# There is no shell. The port is that of the configuration: listen.admin in the environment or in the default file.
HEALTHCHECK --start-period=30s CMD ["/usr/local/bin/notification-hub", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/notification-hub"]

FROM ${RUNTIME_IMAGE} AS operator
COPY --from=binaries /out/notification-hub-operator /usr/local/bin/notification-hub-operator
USER 65532:65532
# Probes and metrics.
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/notification-hub-operator"]
CMD ["run"]
