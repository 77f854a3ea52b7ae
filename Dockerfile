# The image of the service: a static program and nothing else, not even a shell.
#
#   make image            # ppch:latest, with version, commit and date
#   docker build -t ppch . # the same, without what only git knows
#
# It is built alike by BuildKit and by the older builder, which knows no platforms but its own.
# The same commit gives the same program, byte by byte.

# Modules come from where GOPROXY says, if that is given (--build-arg), and must be those of go.sum.
ARG GO=1.26.8

FROM --platform=${BUILDPLATFORM:-linux} golang:${GO}-bookworm AS build
ARG GOPROXY
ENV CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS=-buildvcs=false
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS TARGETARCH
ARG VERSION COMMIT DATE
RUN GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath \
      -ldflags "-s -w ${VERSION:+-X main.version=$VERSION} -X main.commit=$COMMIT -X main.date=$DATE" \
      -o /out/ppch ./cmd/ppch \
 && touch -d "${DATE:-@0}" /out/ppch

FROM scratch
ARG VERSION COMMIT DATE
LABEL org.opencontainers.image.title="PPCH" \
      org.opencontainers.image.description="Tells who is in a Jitsi Meet room without joining it" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$COMMIT" \
      org.opencontainers.image.created="$DATE"
COPY --from=build /out/ppch /ppch
# In a container loopback can't be reached; who may reach the port is decided where it is published.
ENV PPCH_HOST=0.0.0.0
EXPOSE 8890
# By number, so that Kubernetes' runAsNonRoot can tell. Nothing is written, so the root may be read-only.
USER 65532:65532
HEALTHCHECK --interval=30s --timeout=10s --start-period=5s --retries=3 CMD ["/ppch", "healthcheck"]
ENTRYPOINT ["/ppch"]
