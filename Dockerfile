# rewatch as an image: one static binary, no shell, no root.
#
#   make image                        rewatch:VERSION
#   make image RUN_IMAGE=scratch      without CA certificates, which https:// needs
#
# Both base images are arguments, so that a mirror or an image of one's own can
# take their place.
ARG BUILD_IMAGE=docker.io/library/golang:1.26-bookworm
ARG RUN_IMAGE=gcr.io/distroless/static-debian12:nonroot

FROM ${BUILD_IMAGE} AS build
WORKDIR /src
# The modules first: they change less often than the source.
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X rewatch/cmd/rewatch/cli.version=${VERSION}" -o /rewatch ./cmd/rewatch
# The state file's directory. A new volume takes over its owner.
RUN mkdir -m 0700 /state

FROM ${RUN_IMAGE}
ARG VERSION=
LABEL org.opencontainers.image.title="rewatch" \
      org.opencontainers.image.description="SIP sidecar that recovers presence subscriptions whose NOTIFY failed" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY LICENSE /licenses/LICENSE
COPY --from=build /rewatch /usr/local/bin/rewatch
COPY --from=build --chown=65532:65532 /state /var/lib/rewatch
# For REWATCH_STATE=file:/var/lib/rewatch/state.db
VOLUME /var/lib/rewatch
# As a number, so that Kubernetes can see that it is not root (runAsNonRoot).
USER 65532:65532
# SIP on the core side; metrics, probes, API and console.
EXPOSE 5060/udp 5060/tcp 9090/tcp
# Kubernetes takes no notice of it and has probes of its own.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["/usr/local/bin/rewatch", "health"]
# SIGTERM, the default, drains (REWATCH_DRAIN): give it longer than that.
ENTRYPOINT ["/usr/local/bin/rewatch"]
